"""An interval for every number, and paired tests between runs.

Benchmarks of this field are small (191 questions in V*), and their questions often share images. So a number without an
interval says little. An interval that takes dependent rows as independent is wrong.
"""

from .bootstrap import cluster_bootstrap
from .clusters import Clusters
from .intervals import (
    Interval,
    accuracy_interval,
    bounded_ratio_interval,
    clustered_wilson,
    fieller_interval,
    mean_interval,
    ratio_interval,
    wilson,
)
from .paired import Paired, bounds_interval, compare_paired, detectable_difference, paired_interval, with_two_more
from .sign_flips import FlipTest, flip_test_name, holm, max_t, sign_flip_test
from .sweep_mean import Estimate, combine, mean_over
from .zoom_value import Answers, Correlation, need_correlation

__all__ = [
    "Answers",
    "Clusters",
    "Correlation",
    "Estimate",
    "FlipTest",
    "Interval",
    "Paired",
    "accuracy_interval",
    "bounded_ratio_interval",
    "bounds_interval",
    "cluster_bootstrap",
    "clustered_wilson",
    "combine",
    "compare_paired",
    "detectable_difference",
    "fieller_interval",
    "flip_test_name",
    "holm",
    "max_t",
    "mean_interval",
    "mean_over",
    "need_correlation",
    "paired_interval",
    "ratio_interval",
    "sign_flip_test",
    "wilson",
    "with_two_more",
]
