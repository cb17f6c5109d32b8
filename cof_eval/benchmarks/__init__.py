"""Benchmarks: one module per benchmark turns its rows into questions about images; `BENCHMARKS` names them all, others' too.

docs/adding-a-benchmark.md shows how to add one.
"""

from __future__ import annotations

from .custom import CUSTOM
from .docvqa import DOCVQA, INFOVQA
from .hrbench import HRBENCH_4K, HRBENCH_8K
from .item import BadRow, Benchmark, Item, Rows
from .mme_realworld_lite import MME_REALWORLD_LITE
from .mmstar import MMSTAR
from .pope import POPE
from .registry import Registry
from .treebench import TREEBENCH
from .visual_probe import VISUAL_PROBE
from .vstar import VSTAR
from .vstar_mini import VSTAR_MINI

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
    "custom": CUSTOM,
}
"""Those of this package."""

BENCHMARKS = Registry(SHIPPED)
"""By name, as in tasks' names and in `--benchmarks`; with those of other packages and of `--benchmark-module`."""

__all__ = ["BENCHMARKS", "SHIPPED", "BadRow", "Benchmark", "Item", "Rows"]
