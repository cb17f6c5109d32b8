"""Benchmarks: one module per benchmark turns its rows into questions about images; `BENCHMARKS` names them all, others' too.

docs/adding-a-benchmark.md shows how to add one.
"""

from __future__ import annotations

from .adaptmmbench import ADAPTMMBENCH
from .custom import CUSTOM
from .cvbench import CVBENCH
from .docvqa import DOCVQA, INFOVQA
from .hrbench import HRBENCH_4K, HRBENCH_8K
from .item import BadRow, Benchmark, Item, Rows
from .mme_realworld_lite import MME_REALWORLD_LITE
from .mmstar import MMSTAR
from .o3bench import O3BENCH
from .pope import POPE
from .registry import Registry
from .screenspot_pro import SCREENSPOT_PRO
from .treebench import TREEBENCH
from .visual_probe import VISUAL_PROBE
from .vstar import VSTAR
from .vstar_mini import VSTAR_MINI
from .zoombench import ZOOMBENCH
from .zoomgainbench import ZOOMGAINBENCH

SHIPPED: dict[str, Benchmark] = {
    "vstar": VSTAR,
    "vstar_mini": VSTAR_MINI,
    "hrbench4k": HRBENCH_4K,
    "hrbench8k": HRBENCH_8K,
    "mme_realworld_lite": MME_REALWORLD_LITE,
    "treebench": TREEBENCH,
    "visual_probe": VISUAL_PROBE,
    "pope": POPE,
    "infovqa": INFOVQA,
    "docvqa": DOCVQA,
    "mmstar": MMSTAR,
    "zoombench": ZOOMBENCH,
    "adaptmmbench": ADAPTMMBENCH,
    "o3bench": O3BENCH,
    "zoomgainbench": ZOOMGAINBENCH,
    "cvbench": CVBENCH,
    "screenspot_pro": SCREENSPOT_PRO,
    "custom": CUSTOM,
}
"""Those of this package."""

BENCHMARKS = Registry(SHIPPED)
"""By name, as in tasks' names and in `--benchmarks`; with those of other packages and of `--benchmark-module`."""

__all__ = ["BENCHMARKS", "SHIPPED", "BadRow", "Benchmark", "Item", "Rows"]
