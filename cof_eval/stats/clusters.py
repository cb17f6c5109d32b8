"""Clusters: what is drawn independently. Rows about one image, and repeats of one question, are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Totals of each cluster; a mean over all rows is then `sum(sums) / sum(sizes)`."""

    sums: Numbers
    """Sum of the values of each cluster, shape (clusters,)."""
    sizes: Numbers
    """What the sums are divided by: rows, or another total, shape (clusters,)."""

    def __post_init__(self) -> None:
        if self.sums.shape != self.sizes.shape or self.sums.ndim != 1:
            raise ValueError(f"sums of shape {self.sums.shape} and sizes of shape {self.sizes.shape}; expected one of each")

    @classmethod
    def of(cls, values: Sequence[float] | Any, labels: Sequence[Any] | Any | None = None) -> Clusters:
        """Values grouped by their labels; without labels, each value is a cluster of its own.

        Raises:
            ValueError: unless there are as many labels as values.
        """
        numbers = np.asarray(values, dtype=float)
        if labels is None:
            return cls(numbers, np.ones(len(numbers)))
        return cls(*_totals(labels, numbers, np.ones(len(numbers))))

    @classmethod
    def ratio(
        cls, numerators: Sequence[float] | Any, denominators: Sequence[float] | Any, labels: Sequence[Any] | Any
    ) -> Clusters:
        """For a ratio of two totals, such as tokens per correct answer."""
        return cls(*_totals(labels, np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)))

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def estimate(self) -> float:
        """The mean over all rows; NaN where there are none."""
        size = float(self.sizes.sum())
        return float(self.sums.sum()) / size if size else float("nan")

    @property
    def error(self) -> float:
        """Standard error of `estimate` by the linearised variance of a ratio (Cochran 1977); NaN with fewer than two clusters."""
        m, size = len(self), float(self.sizes.sum())
        if m < 2 or not size:
            return math.nan
        residuals = self.sums - self.estimate * self.sizes
        return math.sqrt(m / (m - 1) * float(residuals @ residuals)) / abs(size)

    @property
    def single(self) -> bool:
        """Whether every cluster is one row."""
        return bool(np.all(self.sizes == 1))


def _totals(labels: Sequence[Any] | Any, *columns: Numbers) -> tuple[Numbers, ...]:
    """Each column summed by label, in the order of the sorted labels."""
    if any(len(column) != len(labels) for column in columns):
        raise ValueError(f"{len(labels)} labels for {[len(column) for column in columns]} values; expected as many")
    index, _ = codes(labels)
    return tuple(np.bincount(index, weights=column).astype(np.float64) for column in columns)


def codes(labels: Any) -> tuple[npt.NDArray[np.intp], Any]:
    """Each label's number, and the distinct labels as text, sorted.

    Args:
        labels: a sequence, an array, or a pandas column.
    """
    column: Any = labels
    if hasattr(column, "factorize"):  # of pandas: by hashing, which is many times faster than sorting all labels
        index, distinct = column.astype(str).factorize(sort=True)
        return index, distinct
    distinct, index = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    return index, distinct
