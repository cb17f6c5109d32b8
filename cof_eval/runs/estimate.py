"""How long a run will take and what it will cost, from finished rollouts of the same kind. Pure.

Rollouts run at once, so seconds follow from how many were under way: a session in which the rollouts' own times add up to 600 s
and which lasted 60 s had 10 of them under way. Rollouts of another resolution take another time, so each resolution has its own
mean. Questions are the units of uncertainty: one question's rollouts at eight resolutions are long or short together.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import NormalDist, fmean
from typing import NamedTuple

from .prices import ModelPrices, Use

LEVEL = 0.95
"""How often a range holds, as far as the pilot's questions are like the others."""
FEWEST = 2
"""Questions without which a mean has no range."""

Cell = tuple[str, str]
"""(benchmark, resolution)."""


class Span(NamedTuple):
    """A figure with its range."""

    low: float
    likely: float | None
    """None where only bounds are known."""
    high: float

    def times(self, factor: float) -> Span:
        """Every bound by a factor."""
        return Span(self.low * factor, None if self.likely is None else self.likely * factor, self.high * factor)


NOTHING = Span(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one finished rollout took."""

    cluster: str
    """Its question's image: rollouts of one cluster are not independent."""
    wall_s: float
    prompt_tokens: int
    """Of all its turns, each with its whole prompt, as servers bill them."""
    output_tokens: int
    crop_tokens: int
    """Visual tokens of its crops."""
    use: Use = field(default_factory=Use)
    """What it is billed for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be generated at one resolution of one benchmark."""

    benchmark: str
    resolution: str
    rollouts: int
    shown_tokens: int
    """Visual tokens of all shown images: known before anything is generated."""
    prompt: Span
    """Tokens of all prompts, from one turn a rollout to the protocol's last; likewise `output` and `visual`."""
    output: Span
    visual: Span
    images: Span = NOTHING
    """Images of all prompts: each turn sends all so far."""

    @property
    def cell(self) -> Cell:
        """Where it belongs."""
        return self.benchmark, self.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast rollouts ended together."""

    under_way: float
    """Rollouts under way in the mean, the sessions' beginnings and ends included."""
    startup_s: Span | None = None
    """From a session's begin to its first rollout: loading the weights, mostly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the work at one resolution, or all of it, is expected to take."""

    benchmark: str
    resolution: str
    rollouts: int
    seconds: Span | None
    """None where no rates are known."""
    prompt: Span
    output: Span
    visual: Span
    sampled: int = 0
    """Rollouts that the figures rest on; 0 where they are bounds."""
    dollars: Span | None = None
    """By the model's prices; None without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run is expected to take."""

    costs: tuple[Cost, ...]
    total: Cost
    """Its seconds are those of the resolutions with rates: see `without_rates`."""
    startup_s: Span | None

    @property
    def without_rates(self) -> int:
        """Resolutions whose seconds are not known."""
        return sum(cost.seconds is None for cost in self.costs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What computing costs, in dollars; nothing is assumed."""

    gpu_hour: float | None = None
    million_in: float | None = None
    million_out: float | None = None
    model: ModelPrices | None = None
    """From a file of prices."""

    def dollars(self, cost: Cost, gpus: int | None) -> Span | None:
        """The price of a cost; None without prices, or without what they are prices of."""
        if self.model is not None:
            return cost.dollars
        if self.million_in is not None and self.million_out is not None:
            a, b = cost.prompt.times(self.million_in / 1e6), cost.output.times(self.million_out / 1e6)
            likely = None if a.likely is None or b.likely is None else a.likely + b.likely
            return Span(a.low + b.low, likely, a.high + b.high)
        if self.gpu_hour is None or cost.seconds is None or gpus is None:
            return None
        return cost.seconds.times(self.gpu_hour * gpus / 3600)


def pace(rollouts: Iterable[tuple[float, float]], started: Sequence[float]) -> Pace | None:
    """How many rollouts were under way, from when each ended and how long it took.

    Args:
        rollouts: (end as Unix time in s, duration in s) of each; those whose end is 0 are not counted.
        started: Unix times at which the sessions began.

    Returns:
        None if no end is known.
    """
    begins = sorted(started)
    sessions: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for ended, wall_s in rollouts:
        if ended > 0:
            sessions[bisect_right(begins, ended)].append((ended, wall_s))
    lasted = sum(max(e for e, _ in each) - min(e - w for e, w in each) for each in sessions.values())
    if lasted <= 0:
        return None
    waits = [max(0.0, min(e - w for e, w in each) - begins[n - 1]) for n, each in sessions.items() if n]
    startup = Span(min(waits), fmean(waits), max(waits)) if waits else None
    return Pace(under_way=max(1.0, sum(w for each in sessions.values() for _, w in each) / lasted), startup_s=startup)


def estimate(
    work: Sequence[Work],
    samples: Mapping[Cell, Sequence[Sample]],
    measured: Pace | None,
    *,
    concurrency: int,
    prices: ModelPrices | None = None,
) -> Estimate:
    """What the work is expected to take; a total only of what is known.

    Args:
        work: what is to be generated.
        samples: finished rollouts, by benchmark and resolution; a benchmark without any takes another's.
        measured: how fast they ended; None if that is not known.
        concurrency: rollouts at once in the run to come.
        prices: of the model, if it is paid by what it uses.
    """
    todo = [each for each in work if each.rollouts]
    found = {each.cell: _fitting(each.cell, samples) for each in todo}
    slots = min(concurrency, sum(each.rollouts for each in todo)) or 1
    costs = tuple(_cost([each], found, measured, slots, each.benchmark, each.resolution, prices) for each in todo)
    total = _cost(todo, found, measured, slots, "total", "", prices)
    return Estimate(costs=costs, total=total, startup_s=measured.startup_s if measured and todo else None)


def _fitting(cell: Cell, samples: Mapping[Cell, Sequence[Sample]]) -> Sequence[Sample]:
    """The samples to judge a cell by: its own, or those of its resolution in other benchmarks."""
    own = samples.get(cell, ())
    if len({sample.cluster for sample in own}) >= FEWEST:
        return own
    others = [sample for (_, resolution), each in samples.items() if resolution == cell[1] for sample in each]
    return others if len({sample.cluster for sample in others}) >= FEWEST else ()


def _cost(
    work: Sequence[Work],
    found: Mapping[Cell, Sequence[Sample]],
    measured: Pace | None,
    slots: int,
    benchmark: str,
    resolution: str,
    prices: ModelPrices | None,
) -> Cost:
    known = [each for each in work if found[each.cell]]
    unknown = [each for each in work if not found[each.cell]]
    parts = [(each.rollouts, found[each.cell]) for each in known]

    def figure(of: Callable[[Sample], float], bounds: Callable[[Work], Span], sure: float = 0.0) -> Span:
        spans = []
        if known:
            span, most = project(parts, of), sum(bounds(each).high for each in known) - sure
            none_seen = min(1.0, 3 / sum(len(samples) for _, samples in parts))  # the rule of three
            span = Span(0.0, 0.0, none_seen * most) if span.likely == 0 else span
            spans = [Span(span.low + sure, (span.likely or 0.0) + sure, span.high + sure)]
        return _sum([*spans, *map(bounds, unknown)])

    seconds = None
    if measured is not None and known:
        seconds = at_once(project(parts, lambda sample: sample.wall_s), measured.under_way, slots)
    return Cost(
        benchmark=benchmark,
        resolution=resolution,
        rollouts=sum(each.rollouts for each in work),
        seconds=seconds,
        prompt=figure(lambda sample: sample.prompt_tokens, lambda each: each.prompt),
        output=figure(lambda sample: sample.output_tokens, lambda each: each.output),
        visual=figure(lambda sample: sample.crop_tokens, lambda each: each.visual, sum(each.shown_tokens for each in known)),
        sampled=sum(len(samples) for _, samples in parts),
        dollars=None if prices is None else figure(lambda sample: prices.dollars(sample.use), partial(_billed, prices=prices)),
    )


def _billed(each: Work, prices: ModelPrices) -> Span:
    """Bounds of a work's price: all prompt tokens as the cheapest, and as the dearest."""
    low, high = Use(output_tokens=int(each.output.low)), Use(output_tokens=int(each.output.high))
    return Span(
        prices.dollars(low) + each.prompt.low * prices.cheapest_prompt / 1e6 + each.images.low * prices.per_image,
        None,
        prices.dollars(high) + each.prompt.high * prices.dearest_prompt / 1e6 + each.images.high * prices.per_image,
    )


def at_once(alone: Span, under_way: float, slots: int) -> Span:
    """Seconds of rollouts that run at once, from the sum of their own times.

    A full engine is as fast with more rollouts under way, an idle one is faster: the range has both. With fewer slots than were
    under way in the pilot, each rollout may or may not become faster for it: the range has both again.
    """
    few, many = sorted((under_way, max(1.0, float(slots))))
    likely = None if alone.likely is None else alone.likely / few
    return Span(alone.low / many, likely, alone.high / few)


def project(parts: Sequence[tuple[int, Sequence[Sample]]], of: Callable[[Sample], float]) -> Span:
    """A total over rollouts to come, from samples: sums of means, with a range by the jackknife over clusters.

    The range is Student's t on the logarithm, with clusters - 1 degrees of freedom, so that it never goes below zero. It also has
    room for how the rollouts to come differ by themselves (a prediction interval).

    Args:
        parts: (rollouts to come, samples of their kind) of each kind; each with samples.
        of: the figure of a sample.
    """
    sums = [_by_cluster(samples, of) for _, samples in parts]
    whole = [(sum(s for s, _ in each.values()), sum(n for _, n in each.values())) for each in sums]
    counts = [count for count, _ in parts]
    likely = math.fsum(count * s / n for count, (s, n) in zip(counts, whole, strict=True))
    clusters = sorted(set().union(*sums))
    if likely <= 0 or len(clusters) < FEWEST:
        return Span(0.0, max(0.0, likely), max(0.0, likely))
    left_out = [_without(cluster, counts, sums, whole) for cluster in clusters]
    m, middle = len(clusters), fmean(left_out)
    variance = (m - 1) / m * math.fsum((value - middle) ** 2 for value in left_out)
    sampled, coming = sum(n for _, n in whole), sum(counts)
    error = math.sqrt(variance * (1 + sampled / max(1, coming))) / likely
    factor = math.exp(min(700.0, student(m - 1) * error))
    return Span(likely / factor, likely, likely * factor)


def _by_cluster(samples: Sequence[Sample], of: Callable[[Sample], float]) -> dict[str, tuple[float, int]]:
    """(sum, count) of each cluster."""
    found: dict[str, tuple[float, int]] = {}
    for sample in samples:
        total, count = found.get(sample.cluster, (0.0, 0))
        found[sample.cluster] = (total + of(sample), count + 1)
    return found


def _without(
    cluster: str, counts: Sequence[int], sums: Sequence[Mapping[str, tuple[float, int]]], whole: Sequence[tuple[float, int]]
) -> float:
    """The total as it would be without one cluster's samples."""
    total = 0.0
    for count, each, (s, n) in zip(counts, sums, whole, strict=True):
        less, fewer = each.get(cluster, (0.0, 0))
        total += count * (s - less) / (n - fewer) if n > fewer else count * s / n
    return total


def student(freedom: int, level: float = LEVEL) -> float:
    """The two-sided quantile of Student's t (Abramowitz and Stegun 26.7.5; exact for one and two degrees of freedom)."""
    p = (1 + level) / 2
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z, v = NormalDist().inv_cdf(p), freedom
    terms = (
        z,
        (z**3 + z) / (4 * v),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3),
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4),
    )
    return math.fsum(terms)


def _sum(spans: Sequence[Span]) -> Span:
    """The sum, likely only where every part is."""
    likely = [span.likely for span in spans]
    return Span(
        sum(span.low for span in spans),
        None if None in likely else math.fsum(each for each in likely if each is not None),
        sum(span.high for span in spans),
    )
