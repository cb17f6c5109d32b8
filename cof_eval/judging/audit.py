"""How far a judge can be trusted: its verdicts on a card's labelled pairs, with intervals, by kind and by who decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from ..core.records import Outcome, Verdict
from ..stats import Interval, wilson
from . import Judge, Pair, judge_many


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A pair and what a judge made of it."""

    pair: Pair
    verdict: Verdict

    @property
    def outcome(self) -> Outcome:
        """The judge's verdict."""
        return self.verdict.verdict


@dataclass(frozen=True, slots=True)
class Tally:
    """Verdicts on some pairs, counted."""

    name: str
    n: int
    agreed: int
    false_accepts: int
    """Wrong answers judged correct."""
    false_rejects: int
    """Correct answers judged wrong."""
    unscored: int
    wrong: int
    """Wrong answers that were scored: what false accepts are a fraction of."""
    correct: int
    """Correct answers that were scored."""

    @property
    def scored(self) -> int:
        """Pairs that got a verdict."""
        return self.n - self.unscored

    @property
    def bounds(self) -> tuple[float, float]:
        """Agreement over all pairs if the unscored were all misjudged, and if none were."""
        return (self.agreed / self.n, (self.agreed + self.unscored) / self.n) if self.n else (0.0, 1.0)


async def judge_pairs(
    judge: Judge, pairs: Sequence[Pair], folder: Path, concurrency: int, changed: Callable[[], None] = lambda: None
) -> list[JudgedPair]:
    """A judge's verdicts on labelled pairs, in their order.

    Args:
        judge: the card and its served judge.
        pairs: the card's.
        folder: the card's, where the images of pairs lie.
        concurrency: questions at once.
        changed: called after each.
    """
    judge.images = lambda name: (folder / name).read_bytes() if (folder / name).is_file() else None

    async def one(pair: Pair) -> JudgedPair:
        verdict = await judge.judge_answer(pair.ask(), pair.answer, pair.image)
        changed()
        return JudgedPair(pair, verdict)

    return await judge_many(pairs, one, concurrency=concurrency)


def tally(name: str, judged: Sequence[JudgedPair]) -> Tally:
    """Count verdicts against labels."""
    scored = [each for each in judged if each.outcome is not Outcome.UNSCORED]
    accepts = sum(each.outcome is Outcome.CORRECT and each.pair.label is Outcome.WRONG for each in scored)
    rejects = sum(each.outcome is Outcome.WRONG and each.pair.label is Outcome.CORRECT for each in scored)
    wrong = sum(each.pair.label is Outcome.WRONG for each in scored)
    agreed = len(scored) - accepts - rejects
    return Tally(name, len(judged), agreed, accepts, rejects, len(judged) - len(scored), wrong, len(scored) - wrong)


def tallies(judged: Sequence[JudgedPair], name: Callable[[JudgedPair], str]) -> list[Tally]:
    """Counts for each group, in the order in which groups first appear."""
    groups: dict[str, list[JudgedPair]] = {}
    for each in judged:
        groups.setdefault(name(each), []).append(each)
    return [tally(group, members) for group, members in groups.items()]


def _sorted(judged: Sequence[JudgedPair], name: Callable[[JudgedPair], str]) -> list[Tally]:
    return sorted(tallies(judged, name), key=lambda counts: counts.name)


def decider(judged: JudgedPair) -> str:
    """Who decided: a rule by name, the judge, or nobody."""
    if judged.outcome is Outcome.UNSCORED:
        return "nobody"
    return judged.verdict.by


def majority(panel: Sequence[Sequence[JudgedPair]]) -> list[JudgedPair]:
    """What most of several judges say of each pair; unscored without a majority of those that scored it."""
    return [JudgedPair(votes[0].pair, _vote(votes)) for votes in zip(*panel, strict=True)]


def _vote(votes: Sequence[JudgedPair]) -> Verdict:
    correct = sum(vote.outcome is Outcome.CORRECT for vote in votes)
    wrong = sum(vote.outcome is Outcome.WRONG for vote in votes)
    outcome = Outcome.UNSCORED if correct == wrong else Outcome.CORRECT if correct > wrong else Outcome.WRONG
    return Verdict("", "majority", "", outcome, "majority", reason=f"{correct} correct, {wrong} wrong")


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa of two judges over the pairs that both scored."""

    first: str
    second: str
    n: int
    value: float
    """NaN where both always say the same one thing."""
    interval: Interval


def kappas(panel: Mapping[str, Sequence[JudgedPair]]) -> Iterator[Kappa]:
    """Agreement beyond chance of each two judges, and of each with the labels."""
    said = {name: [each.outcome for each in judged] for name, judged in panel.items()}
    labels = {"labels": [each.pair.label for each in next(iter(panel.values()), ())]}
    for (a, first), (b, second) in combinations({**said, **labels}.items(), 2):
        yield _kappa(a, b, first, second)


def _kappa(a: str, b: str, first: Sequence[Outcome], second: Sequence[Outcome]) -> Kappa:
    import warnings

    import numpy as np
    from statsmodels.stats.inter_rater import cohens_kappa

    sides = (Outcome.CORRECT, Outcome.WRONG)
    both = [(x, y) for x, y in zip(first, second, strict=True) if Outcome.UNSCORED not in (x, y)]
    table = np.array([[sum((x, y) == (r, c) for x, y in both) for c in sides] for r in sides])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # no spread, no kappa: NaN says so
        result = cohens_kappa(table)
    return Kappa(a, b, len(both), float(result.kappa), Interval(float(result.kappa_low), float(result.kappa_upp)))


def audit_lines(name: str, judged: Sequence[JudgedPair]) -> list[str]:
    """An audit as text: all pairs, by question, by kind, by who decided; then every pair that was misjudged."""
    whole = tally("all pairs", judged)
    low, high = whole.bounds
    groups = {
        "": [whole],
        "by question": _sorted(judged, lambda each: "with options" if each.pair.options else "open"),
        "by kind": _sorted(judged, lambda each: each.pair.kind),
        "by who decided": _sorted(judged, decider),
    }
    lines = [f"{name}: {whole.n} labelled pairs, {whole.scored} scored, {whole.unscored} unscored", "", *_columns(groups)]
    if whole.unscored:
        lines += ["", f"agreement over all pairs lies between {low:.1%} and {high:.1%}: {whole.unscored} are unscored"]
    misjudged = [each for each in judged if each.outcome not in (Outcome.UNSCORED, each.pair.label)]
    if misjudged:
        lines += ["", "misjudged", *map(_misjudged, misjudged)]
    if not any(each.verdict.by == "judge" for each in judged):
        lines += ["", "The LLM judge: not measured here (no --judge-url); the figures are those of the rules."]
    return lines


def panel_lines(panel: Mapping[str, Sequence[JudgedPair]]) -> list[str]:
    """Several judges side by side: their majority, and how far they agree beyond chance."""
    lines = audit_lines("majority", majority(list(panel.values()))) if len(panel) > 1 else []
    lines = [line for line in lines if "not measured here" not in line]
    lines += ["", "Cohen's kappa"]
    for kappa in kappas(panel):
        says = (
            "undefined"
            if kappa.value != kappa.value
            else f"{kappa.value:.3f} [{kappa.interval.low:.3f}, {kappa.interval.high:.3f}]"
        )
        lines.append(f"  {kappa.first} · {kappa.second:<24} {says} over {kappa.n} pairs")
    return lines


_HEAD = ("", "pairs", "unscored", "agreement", "false accepts", "false rejects")


def _columns(groups: Mapping[str, Sequence[Tally]]) -> Iterator[str]:
    """Titled groups of counts as one table; each column is as wide as its longest entry, and two blanks apart."""
    rows = {title: [_row(counts) for counts in found] for title, found in groups.items()}
    widths = [max(map(len, column)) for column in zip(_HEAD, *(row for found in rows.values() for row in found), strict=True)]
    yield _aligned(_HEAD, widths)
    for title, found in rows.items():
        yield from ("", title) if title else ()
        yield from (_aligned(row, widths) for row in found)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells in their columns, counts to the right."""
    placed = (
        cell.rjust(width) if 0 < i < 3 else cell.ljust(width) for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"  {'  '.join(placed)}".rstrip()


def _row(counts: Tally) -> tuple[str, ...]:
    agreement = _share(counts.agreed, counts.scored)
    accepts, rejects = _share(counts.false_accepts, counts.wrong), _share(counts.false_rejects, counts.correct)
    return counts.name, str(counts.n), str(counts.unscored), agreement, accepts, rejects


def _share(part: int, of: int) -> str:
    """A fraction with its 95% interval."""
    if not of:
        return "-"
    low, high = wilson(part, of)
    return f"{part}/{of} {part / of:.1%} [{low:.1%}, {high:.1%}]"


def _misjudged(each: JudgedPair) -> str:
    return (
        f"  {each.pair.kind}: {each.pair.question!r}, standard {each.pair.reference!r}, answer {each.pair.answer[:80]!r} is "
        f"{each.pair.label}, judged {each.outcome} by {each.verdict.by}"
    )
