"""What zooming gains and harms, question by question, against direct answers; and whether zooms go where they are needed.

A direct answer is one noisy sample of whether a question needs a zoom: a model that answers as often right as the direct one, but
not to the same questions, seems to gain and to harm by some points each. So gain and harm stand next to their noise floors,
which need two or more direct samples of a question. The difference of gain and harm needs no correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .clusters import Clusters, Numbers
from .intervals import UNKNOWN, Interval, student

LEAST_NEED = 0.02
"""Least variance of need that a correlation with it can be corrected for."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Questions as a zooming run and direct samples answered them; all of shape (questions,), fractions 0-1."""

    direct: Numbers
    """Mean of the direct samples: 1 where all were right."""
    samples: Numbers
    """How many direct samples."""
    zoomed: Numbers
    """Fraction of the zooming run's rows with a zoom."""
    right: Numbers
    """Fraction of its rows that are right."""
    zoomed_right: Numbers
    """Fraction of its rows with a zoom that are right."""

    @classmethod
    def of(cls, direct: Any, samples: Any, zoomed: Any, right: Any, zoomed_right: Any) -> Answers:
        """From anything that becomes an array of numbers."""
        return cls(*(np.asarray(each, dtype=float) for each in (direct, samples, zoomed, right, zoomed_right)))

    @property
    def net(self) -> Numbers:
        """Gain minus harm by calls: z(c - d); unbiased with any number of samples."""
        return self.call_gain - self.call_harm

    @property
    def call_gain(self) -> Numbers:
        """Direct is wrong, the run zooms and is right."""
        return (1 - self.direct) * self.zoomed_right

    @property
    def call_harm(self) -> Numbers:
        """Direct is right, the run zooms and is wrong."""
        return self.direct * (self.zoomed - self.zoomed_right)

    @property
    def still_gain(self) -> Numbers:
        """Direct is wrong, the run does not zoom and is right."""
        return (1 - self.direct) * (self.right - self.zoomed_right)

    @property
    def still_harm(self) -> Numbers:
        """Direct is right, the run does not zoom and is wrong."""
        return self.direct * (1 - self.zoomed - self.right + self.zoomed_right)

    @property
    def noise(self) -> Numbers:
        """What a placebo that answers as often right as direct would gain, and harm; NaN with one sample of a question."""
        k = np.where(self.samples > 1, self.samples, np.nan)
        return np.asarray(k / (k - 1) * self.direct * (1 - self.direct), dtype=np.float64)

    @property
    def call_floor(self) -> Numbers:
        """Noise in `call_gain`, and in `call_harm`."""
        return self.zoomed * self.noise

    @property
    def still_floor(self) -> Numbers:
        """Noise in `still_gain`, and in `still_harm`."""
        return (1 - self.zoomed) * self.noise


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation with its standard error and 95% interval."""

    value: float
    error: float
    interval: Interval


NO_CORRELATION = Correlation(math.nan, math.nan, UNKNOWN)


def need_correlation(answers: Answers, labels: Sequence[Any] | Any, level: float = 0.95) -> Correlation:
    """Matthews' correlation of zooming with need (direct is wrong), corrected for the noise of direct samples.

    cov(z, need) / sqrt(var z · cov of two samples' need). With samples that always agree it is the plain coefficient. The error
    is that of its influence values summed by cluster, the interval Fisher's z with Student's t.

    Returns:
        NaN where a question has one sample only, or need hardly varies (`LEAST_NEED`).
    """
    z, d, k = answers.zoomed, answers.direct, answers.samples
    if len(z) < 2 or (k < 2).any():
        return NO_CORRELATION
    both = (k * d * d - d) / (k - 1)  # mean over pairs of two samples' product: both right
    shared, moved, need = both - 2 * d.mean() * d + d.mean() ** 2, z - z.mean(), d.mean() - d
    together, spread, true = float((moved * need).mean()), float((moved**2).mean()), float(shared.mean())
    if true <= LEAST_NEED or spread <= 0:
        return NO_CORRELATION
    value = together / math.sqrt(spread * true)
    influence = (moved * need - together) / math.sqrt(spread * true)
    influence -= value / 2 * ((moved**2 - spread) / spread + (shared - true) / true)
    return _fisher(value, Clusters.of(influence, labels), level)


def _fisher(value: float, influence: Clusters, level: float) -> Correlation:
    error = influence.error
    if math.isnan(error) or abs(value) >= 1:
        return Correlation(value, error, UNKNOWN)
    half = student(level, len(influence) - 1) * error / (1 - value * value)
    centre = math.atanh(value)
    return Correlation(value, error, Interval(math.tanh(centre - half), math.tanh(centre + half)))
