"""The rollouts of a training run as a run folder: reports and the viewer open it like an evaluation's.

All processes hand their rollouts in; the main one writes. A step that is done again after a resume replaces its records.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from cof_eval.core.images import preview
from cof_eval.core.records import Row, Trajectory, Verdict
from cof_eval.runs.folder import RunFolder
from training.rl.rewards import Gather, gather_over_ranks


@dataclass(frozen=True, slots=True)
class LoggedRollout:
    """One rollout and what became of it."""

    row: Row
    trajectory: Trajectory
    verdict: Verdict


class RolloutLog:
    """Collects a process's rollouts and images, and writes those of all processes."""

    def __init__(self, run: RunFolder | None, *, every: int = 1, gather: Gather = gather_over_ranks) -> None:
        """Write into `run` (None on processes that do not write) the rollouts of every `every`-th step."""
        self._run = run
        self._every = every
        self._gather = gather
        self._images: dict[str, bytes] = {}

    def keep_image(self, name: str, image: Image.Image) -> None:
        """Keep a preview of an image that a rollout of this batch was shown."""
        if name not in self._images:
            self._images[name] = preview(image)

    def write(self, step: int, rollouts: Sequence[LoggedRollout]) -> None:
        """Write the rollouts of one step; every process calls it."""
        images, self._images = self._images, {}
        if step % self._every:
            return
        everyone = self._gather([(list(rollouts), images)])
        if self._run is None:
            return
        for logged, previews in everyone:
            for name, data in previews.items():
                self._run.keep_image(name, Image.open(io.BytesIO(data)).convert("RGB"))
            self._write(logged)

    def _write(self, rollouts: Sequence[LoggedRollout]) -> None:
        assert self._run is not None
        for rollout in rollouts:
            self._run.add_trajectory(rollout.trajectory)
            if rollout.verdict.key not in self._run.verdicts:
                self._run.add_verdict(rollout.verdict)
        self._run.add_rows(rollout.row for rollout in rollouts)
