"""How many rows benchmarks have and how large their images are, as far as published: for costs before anything is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.records import Size
from ..core.resolution import PixelLimits, Resolution, effective_cap, shown_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is published of a benchmark's size."""

    rows: int
    source: str
    smallest: Size | None = None
    """(width, height) of the image with the fewest pixels; None where it is not known."""
    largest: Size | None = None


PUBLISHED: dict[str, Published] = {
    "vstar": Published(
        rows=191,
        smallest=(1690, 1500),
        largest=(5759, 1440),
        source="statistics of vstar_bench in EvalScope 1.6's documentation",
    ),
    "hrbench4k": Published(rows=800, source="dataset card of DreamMr/HR-Bench: 200 images, four rotations of the options"),
    "hrbench8k": Published(rows=800, source="dataset card of DreamMr/HR-Bench: 200 images, four rotations of the options"),
    "visual_probe": Published(rows=515, source="dataset cards of Mini-o3/VisualProbe_Easy, _Medium and _Hard"),
    "mmstar": Published(rows=1500, source="dataset card of Lin-Chen/MMStar"),
    "treebench": Published(rows=405, source="dataset card of HaochenWang/TreeBench"),
    "pope": Published(
        rows=9000, smallest=(500, 243), largest=(640, 640), source="statistics of pope in EvalScope 1.6's documentation"
    ),
    "infovqa": Published(rows=2801, source="dataset card of lmms-lab/DocVQA, InfographicVQA, validation"),
    "zoombench": Published(rows=845, source="dataset card of inclusionAI/ZoomBench"),
    "adaptmmbench": Published(rows=1420, source="dataset card of xintongzhang/AdaptMMBench"),
    "o3bench": Published(rows=345, source="paper of O3-Bench (arXiv 2512.18745)"),
    "cvbench": Published(rows=2638, source="dataset card of nyu-visionx/CV-Bench"),
    "screenspot_pro": Published(rows=1581, source="paper of ScreenSpot-Pro (arXiv 2504.07981)"),
    "docvqa": Published(rows=5349, source="dataset card of lmms-lab/DocVQA, DocVQA, validation"),
}
"""By benchmark; others are not known before they are fetched."""


def published_tokens(
    published: Published, resolutions: Sequence[Resolution], limits: PixelLimits, limit: int | None = None
) -> tuple[int | None, int]:
    """(least, most) visual tokens of all shown images, equal work at several resolutions counted once.

    The least is None where the images' sizes are not known; the most is then what the resolutions' caps allow.
    """
    rows = min(published.rows, limit or published.rows)
    if published.smallest is None or published.largest is None:
        return None, limits.area_tokens(rows * sum({effective_cap(resolution, limits) for resolution in resolutions}))
    few, many = (
        sum(map(limits.tokens, {shown_size(size, resolution, limits) for resolution in resolutions}))
        for size in (published.smallest, published.largest)
    )
    return rows * min(few, many), rows * max(few, many)
