"""An interval for every number, and paired tests between runs.

Benchmarks of this field are small (191 questions in V*), and their questions often share images. So a number without an
interval says little. An interval that takes dependent rows as independent is wrong.
"""

from .bootstrap import cluster_bootstrap
from .clusters import Clusters
from .intervals import Interval, accuracy_interval, mean_interval, ratio_interval, wilson
from .paired import Paired, compare_paired, detectable_difference, holm, sign_flip_test

__all__ = [
    "Clusters",
    "Interval",
    "Paired",
    "accuracy_interval",
    "cluster_bootstrap",
    "compare_paired",
    "detectable_difference",
    "holm",
    "mean_interval",
    "ratio_interval",
    "sign_flip_test",
    "wilson",
]
