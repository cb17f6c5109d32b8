"""Metrics of benchmarks beyond accuracy: what one row came to, and figures of many rows.

Each benchmark names its own in its module; they are columns in lmms-eval's table, and `measured` gives them, with intervals, for a
run folder. Every figure is a ratio of two totals, so that its interval can be taken over clusters. One without a row that it could
be taken from is NaN.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..core.records import Outcome, Question, Stop, Trajectory, Verdict


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """One row as metrics see it."""

    question: Question
    answer: str
    """What the model answered; empty unless it did."""
    outcome: Outcome

    def __str__(self) -> str:
        """How lmms-eval's samples show it."""
        return self.outcome.value


class Term(NamedTuple):
    """What a row, or a few that count as one, adds to a figure's two totals."""

    value: float
    weight: float
    cluster: str
    """What was drawn independently: `Question.cluster`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a benchmark's rows: the sum of its terms' values by the sum of their weights."""

    name: str
    terms: Callable[[Sequence[JudgedAnswer]], Iterable[Term]]
    higher_is_better: bool = True

    def of(self, rows: Sequence[JudgedAnswer]) -> float:
        """The figure; NaN where nothing weighs anything."""
        terms = list(self.terms(rows))
        weight = sum(term.weight for term in terms)
        return sum(term.value for term in terms) / weight if weight else math.nan


def judged_answer(question: Question, trajectory: Trajectory | None, verdict: Verdict | None) -> JudgedAnswer:
    """The row of a question, whatever became of it."""
    said = trajectory.answer if trajectory and trajectory.stop is Stop.ANSWERED else ""
    return JudgedAnswer(question, said, verdict.verdict if verdict else Outcome.UNSCORED)


def part(name: str, category: str) -> Metric:
    """Accuracy of the rows whose category is this one, or begins with it and a slash; unscored ones count as not right."""
    return among(name, lambda question: f"{question.category}/".startswith(f"{category}/"))


def among(name: str, chosen: Callable[[Question], bool]) -> Metric:
    """Accuracy of the rows whose question is chosen; unscored ones count as not right."""

    def terms(rows: Sequence[JudgedAnswer]) -> Iterator[Term]:
        for row in rows:
            if chosen(row.question):
                yield Term(float(row.outcome is Outcome.CORRECT), 1, row.question.cluster)

    return Metric(name, terms)


def balanced(name: str, weights: Mapping[str, float]) -> Metric:
    """A weighted mean of the accuracies of categories, whatever the numbers of their rows; NaN unless each has a row.

    Args:
        name: of the metric.
        weights: by category, as `part` understands it; together 1.
    """

    def terms(rows: Sequence[JudgedAnswer]) -> Iterator[Term]:
        parts = {category: [term for term in part(name, category).terms(rows)] for category in weights}
        if all(parts.values()):
            for category, found in parts.items():
                weight = weights[category] / len(found)
                yield from (Term(term.value * weight, weight, term.cluster) for term in found)

    return Metric(name, terms)


def _each(rows: Sequence[JudgedAnswer]) -> Iterator[Term]:
    return (Term(float(row.outcome is Outcome.CORRECT), 1, row.question.cluster) for row in rows)


def _by_category(rows: Sequence[JudgedAnswer]) -> Iterator[Term]:
    sizes = Counter(row.question.category for row in rows)
    for row, term in zip(rows, _each(rows), strict=True):
        size = sizes[row.question.category]
        yield Term(term.value / size, 1 / size, term.cluster)


MICRO = Metric("acc_micro", _each)
"""Mean over rows; unscored ones count as not right."""
MACRO = Metric("acc_macro", _by_category)
"""Mean over categories of the mean over their rows; unscored ones count as not right."""

ANLS_THRESHOLD = 0.5
"""Less similar answers count as wrong, not as badly spelled."""


def row_anls(row: JudgedAnswer) -> float:
    """Similarity of the answer to the accepted answer nearest to it, 0 below the threshold.

    1 - edit distance / length of the longer text, case and runs of blanks aside (Biten et al. 2019, arXiv 1907.00490; the
    threshold itself is kept, as in the challenge's evaluation script).
    """
    from rapidfuzz.distance import Levenshtein

    said = _plain(row.answer)
    similar = (Levenshtein.normalized_similarity(_plain(known), said) for known in row.question.answers)
    best = max(similar, default=0.0) if said else 0.0
    return best if best >= ANLS_THRESHOLD else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


ANLS = Metric("anls", lambda rows: (Term(row_anls(row), 1, row.question.cluster) for row in rows))
"""Average normalized Levenshtein similarity; it needs no judge."""


def strict(size: int) -> Metric:
    """Fraction of questions that are right in all `size` rows which ask them with differently ordered options.

    A question of which some rows are missing, as with `--limit`, is not counted.
    """

    def terms(rows: Sequence[JudgedAnswer]) -> Iterator[Term]:
        groups: defaultdict[tuple[str, str], list[JudgedAnswer]] = defaultdict(list)
        for row in rows:
            groups[row.question.cluster, _stem(row.question)].append(row)
        for (cluster, _), group in groups.items():
            if len(group) == size:
                yield Term(float(all(row.outcome is Outcome.CORRECT for row in group)), 1, cluster)

    return Metric(f"acc_{size}_of_{size}", terms)


def _stem(question: Question) -> str:
    """A question's text before its options."""
    return question.text.partition("\n(A)")[0].strip()


def _yes_or_no(count: Callable[[bool, bool], tuple[int, int]]) -> Callable[[Sequence[JudgedAnswer]], Iterator[Term]]:
    """Terms by whether the reference is yes and whether yes was said, of the rows for which that is known."""

    def terms(rows: Sequence[JudgedAnswer]) -> Iterator[Term]:
        for row in rows:
            if row.outcome is not Outcome.UNSCORED:
                is_yes = row.question.answer == "yes"
                says_yes = bool(row.answer) and is_yes == (row.outcome is Outcome.CORRECT)
                yield Term(*count(is_yes, says_yes), row.question.cluster)

    return terms


YES_NO = (
    Metric("precision", _yes_or_no(lambda is_yes, says_yes: (is_yes and says_yes, says_yes))),
    Metric("recall", _yes_or_no(lambda is_yes, says_yes: (is_yes and says_yes, is_yes))),
    Metric("f1", _yes_or_no(lambda is_yes, says_yes: (2 * (is_yes and says_yes), is_yes + says_yes))),
    Metric("yes_ratio", _yes_or_no(lambda _, says_yes: (says_yes, 1))),
)
"""Of questions to be answered yes or no, with "yes" as the positive class; what was said, not what is right, makes the ratio.

A row without an answer says neither. Unscored rows are excluded: what they say is not known.
"""
