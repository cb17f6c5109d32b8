"""What is said of a training run, while it goes on and after: lines, curves, and nothing that is not true."""

from __future__ import annotations

from pathlib import Path

import pytest

from cof_eval.core.errors import UsageError
from training.session.curves import _panels, write_curves
from training.session.metrics import Metrics
from training.session.progress import line

LOGS = {"loss": 0.12345, "grad_norm": 3, "rollout/zooms": 0.25, "completions/clipped_ratio": 0.5, "kl": None, "epoch": 1}


def test_a_line_names_what_matters_and_leaves_out_the_rest() -> None:
    assert line(3, 12, LOGS, 90) == "step  3/12  loss 0.1235  zooms 0.25  gradient norm 3  left 1.5 min"


def metrics(**values: float) -> list[Metrics]:
    return [Metrics(step, 1.0, {name.replace("__", "/"): value for name, value in values.items()}) for step in (1, 2)]


def test_curves_show_what_was_logged_in_a_fixed_order() -> None:
    runs = {"grpo": metrics(rollout__zooms=1, rewards__agar__mean=0.5, reward=0.5, rewards__agar__std=0.1, step_time=3, loss=1)}
    assert _panels(runs) == [
        ("loss", ["loss"]),
        ("reward", ["reward", "rewards/agar/mean"]),
        ("calls a rollout", ["rollout/zooms"]),
    ]


def test_several_runs_share_a_figure_and_none_is_an_error(tmp_path: Path) -> None:
    runs = {"sft": metrics(loss=2, mean_token_accuracy=0.5), "grpo": metrics(loss=1, reward=0.5)}
    one, both = write_curves({"sft": runs["sft"]}, tmp_path / "one.png"), write_curves(runs, tmp_path / "both.png")
    assert one.read_bytes().startswith(b"\x89PNG") and both.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="no metrics are logged yet"):
        write_curves({"sft": []}, tmp_path / "none.png")
