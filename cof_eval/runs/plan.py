"""What a run will do, before it does it: each question's shown size, cap, tokens, and which work is equal.

Planning reads every image file once: its bytes and its header, no pixels. So equal work is found across tasks and
resolutions, and finished work is recognised on resume. Unreadable images are known before a model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol as Seam

from ..agent.protocols import Crops, Protocol, protocol_digest
from ..agent.showing import size_shown
from ..core.errors import ImageError
from ..core.images import header_size, source_hash
from ..core.records import ImageRef, Question, Row, Size, digest, question_key, trajectory_key
from ..core.resolution import PixelLimits, Resolution, effective_cap, resolution_rank


class StoredImage(Seam):
    """Where an image's stored bytes come from."""

    def read(self) -> bytes:
        """The stored bytes.

        Raises:
            ImageError: if they are not to be had.
        """
        ...

    def __hash__(self) -> int:
        """Equal sources have the same bytes: they are read once for all resolutions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of one task to be answered."""

    task: str
    doc_id: int
    question: Question
    resolution: Resolution
    source: StoredImage | None
    """None for a question without an image."""
    repeat: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """A job whose image has been looked at."""

    job: Job
    key: str
    image: ImageRef
    shown: Size
    cap: int
    """Effective cap on the shown image's area, px²."""
    visual_tokens: int
    error: str | None = None
    """Why the image cannot be shown; the row is then unscored."""

    @property
    def row(self) -> Row:
        """The row of the run folder."""
        job = self.job
        return Row(
            task=job.task,
            doc_id=job.doc_id,
            question_id=job.question.id,
            benchmark=job.question.benchmark,
            resolution=job.resolution.name,
            repeat=job.repeat,
            trajectory=self.key,
            cap=self.cap,
            question=question_key(job.question),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans jobs for one checkpoint under one protocol."""

    checkpoint: str
    """The checkpoint's fingerprint."""
    protocol: Protocol
    limits: PixelLimits
    """The protocol's limits within the engine's."""
    seen: dict[StoredImage, ImageRef] = field(default_factory=dict, compare=False, repr=False)
    """Images looked at already."""

    def plan(self, job: Job) -> PlannedJob:
        """Look at a job's image. Never raises for a bad image: the plan says what is wrong."""
        cap = effective_cap(job.resolution, self.limits)
        try:
            image = self._look(job.source) if job.source else ImageRef("", (0, 0))
            shown = size_shown(image.size, job.resolution, self.protocol, self.limits) if job.source else (0, 0)
        except ImageError as error:
            key = digest("unreadable", self.checkpoint, self.protocol.name, job.task, job.doc_id, job.repeat)
            return PlannedJob(
                job=job, key=key, image=ImageRef("", (0, 0)), shown=(0, 0), cap=cap, visual_tokens=0, error=str(error)
            )
        key = trajectory_key(
            checkpoint=self.checkpoint,
            protocol=protocol_digest(self.protocol),
            prompt=_prompt(job.question, self.protocol),
            image=image.hash,
            shown=shown,
            repeat=job.repeat,
        )
        return PlannedJob(job=job, key=key, image=image, shown=shown, cap=cap, visual_tokens=self.limits.tokens(shown))

    def _look(self, source: StoredImage) -> ImageRef:
        if source not in self.seen:
            data = source.read()
            self.seen[source] = ImageRef(source_hash(data), header_size(data))
        return self.seen[source]


def _prompt(question: Question, protocol: Protocol) -> str:
    """The parts of a question that decide its trajectory: its text, and its boxes where crops are cut at them."""
    return f"{question.text}\n{question.boxes}" if protocol.crops is Crops.ORACLE else question.text


@dataclass(frozen=True, slots=True)
class Point:
    """The plan at one resolution of one benchmark."""

    benchmark: str
    resolution: str
    rows: int
    distinct: int
    """Rows whose trajectory no smaller resolution shares."""
    cap: int
    visual_tokens: float
    """Mean over the rows whose image can be shown, of the shown image alone."""
    unreadable: int


def summarize(plans: Sequence[PlannedJob]) -> list[Point]:
    """One line per benchmark and resolution, in the order of the sweep."""
    groups: dict[tuple[str, str], list[PlannedJob]] = {}
    for plan in sorted(plans, key=lambda p: (p.job.question.benchmark, resolution_rank(p.job.resolution.name))):
        groups.setdefault((plan.job.question.benchmark, plan.job.resolution.name), []).append(plan)
    seen: set[str] = set()
    points = []
    for (benchmark, resolution), group in groups.items():
        fresh = {plan.key for plan in group} - seen
        seen |= fresh
        tokens = [plan.visual_tokens for plan in group if plan.error is None]
        points.append(
            Point(
                benchmark,
                resolution,
                len(group),
                len(fresh),
                group[0].cap,
                sum(tokens) / max(1, len(tokens)),
                len(group) - len(tokens),
            )
        )
    return points


def in_order(plans: Iterable[PlannedJob]) -> list[PlannedJob]:
    """Plans sorted so that the resolutions of one image follow each other: it is decoded once for all of them."""
    return sorted(plans, key=lambda p: (p.job.question.benchmark, p.job.question.cluster, p.image.hash, p.job.doc_id, p.shown))
