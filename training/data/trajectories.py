"""Our own run folders as training data: good trajectories, replayed turn by turn from the shown image.

A crop is cut again and must be the recorded one to the pixel; so what is trained on is what the model saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec
from PIL import Image

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.engine import ImagePart, Message
from cof_eval.agent.protocols import Protocol
from cof_eval.agent.zoom import CropSource, View
from cof_eval.core.errors import CofError, DataError
from cof_eval.core.frames import crop_box, target_boxes
from cof_eval.core.images import FORMATS, ImageSource, encode_png, load_native, pixel_hash, resize, source_hash
from cof_eval.core.records import Outcome, Trajectory, Verdict
from cof_eval.core.resolution import PixelLimits
from cof_eval.runs.folder import RunData, image_path, load_run

from ..recipe.recipe import DataSource
from .conversation import add_turn
from .rows import ChatMessage, DraftRow, DroppedRow, Reason, RowError

_FREE = {
    "name", "factor", "min_pixels", "max_pixels", "crop_min_pixels", "max_turns", "max_images", "max_new_tokens", "context",
    "temperature", "top_p", "repetition_penalty", "turn_patterns",
}  # fmt: skip
"""What of a protocol no conversation shows: limits and decoding. A run that differs in anything else (its words, the frame of
its boxes, how crops are made) taught another conversation."""


def read_trajectories(source: DataSource, protocol: Protocol) -> Iterator[DraftRow | DroppedRow]:
    """The good trajectories of a run folder, as the recipe's source filters them.

    Raises:
        DataError: if it is no run folder, or one under another protocol.
    """
    try:
        run = load_run(Path(source.path))
        spoken = msgspec.convert(run.settings.get("protocol"), Protocol)
        limits = msgspec.convert((run.settings.get("engine") or {}).get("limits"), PixelLimits)
    except (CofError, msgspec.ValidationError) as error:
        raise DataError(f"{source.path} cannot be trained on: {error}") from error
    differ = [f.name for f in fields(Protocol) if f.name not in _FREE and getattr(spoken, f.name) != getattr(protocol, f.name)]
    if differ:
        raise DataError(
            f"{source.path} was run under {spoken.name!r}, which differs from the recipe's {protocol.name!r} in {', '.join(differ)}; "
            "give the recipe the run's protocol (protocol, protocol_args)"
        )
    natives = _natives(source.images) if source.images else {}
    replay = Replay(run, spoken, spoken.limits(limits), natives)
    for key, trajectory in run.trajectories.items():
        try:
            check_good(trajectory, run.verdicts.get(key), source)
            messages = replay(trajectory)
        except RowError as error:
            yield DroppedRow(source.path, key, error.reason, str(error))
            continue
        images = tuple(ImageSource(data=encode_png(part.image)) for message in messages for part in message.images)
        yield DraftRow(source=source.path, row=key, messages=tuple(map(_spoken, messages)), images=images)


def check_good(trajectory: Trajectory, verdict: Verdict | None, source: DataSource) -> None:
    """Whether a trajectory is one to learn from.

    Raises:
        RowError: saying which filter it does not pass.
    """
    if verdict is None or verdict.verdict is not Outcome.CORRECT:
        raise RowError(Reason.VERDICT, f"the verdict is {verdict.verdict.value if verdict else 'missing'}")
    least, most = source.zooms
    if not least <= trajectory.zooms <= most:
        raise RowError(Reason.FILTER, f"{trajectory.zooms} zooms; the recipe keeps {least} to {most}")
    if trajectory.tool_errors and not source.errors:
        raise RowError(Reason.FILTER, f"{trajectory.tool_errors} calls failed; the recipe keeps none (errors: false)")
    if trajectory.zooms and source.coverage:
        covered = coverage(trajectory)
        if covered is None or covered < source.coverage:
            says = "no target is annotated" if covered is None else f"crops hold {covered:.2f} of a target"
            raise RowError(Reason.FILTER, f"{says}; the recipe asks for {source.coverage:g}")


def coverage(trajectory: Trajectory) -> float | None:
    """Fraction (0-1) of the worst covered target that its best crop holds; None without annotated targets."""
    crops = [crop_box(trajectory, call.crop) for call in trajectory.calls if call.crop]
    held = (max((crop.coverage(target) for crop in crops if crop), default=0.0) for target in target_boxes(trajectory))
    return min(held, default=None)


@dataclass(frozen=True, slots=True)
class Replay:
    """Rebuilds the messages of a run's trajectories, images included."""

    run: RunData
    protocol: Protocol
    limits: PixelLimits
    natives: Mapping[str, Path]
    """Native images by the hash of their bytes."""

    def __call__(self, trajectory: Trajectory) -> tuple[Message, ...]:
        """The whole conversation, as the model saw it.

        Raises:
            RowError: if the shown image is not to be had, or a crop differs from the recorded one.
        """
        view, shown = self._view(trajectory), trajectory.shown.hash
        conversation = Conversation(self.protocol, self.limits, trajectory.question, view, shown)
        for turn in trajectory.turns[:-1]:
            calls, _ = add_turn(conversation, turn.text.strip())
            if [c.crop and c.crop.hash for c in calls] != [c.crop and c.crop.hash for c in turn.calls]:
                raise RowError(Reason.REPLAY, f"the calls of turn {conversation.turns} give other crops than were recorded")
        for turn in trajectory.turns[-1:]:
            conversation.add_assistant_turn(turn.text.strip())
        return tuple(conversation.messages)

    def _view(self, trajectory: Trajectory) -> View:
        native = self._native(trajectory)
        shown = self._shown(trajectory) or (native and resize(native, trajectory.shown.size, self.protocol.shown_filter))
        if shown is None or pixel_hash(shown) != trajectory.shown.hash:
            raise RowError(
                Reason.REPLAY,
                "the shown image is not to be had: run with --keep-images all, or name the folder of the native images (images: …)",
            )
        if self.protocol.shown_fits and self.protocol.crop_source is CropSource.SHOWN and trajectory.calls:
            raise RowError(
                Reason.REPLAY, "its crops were cut from an image of another size than the shown one, which no run keeps"
            )
        held = native if self.protocol.crop_source is CropSource.NATIVE else None
        if held is None and self.protocol.crop_source is CropSource.NATIVE and trajectory.calls:
            raise RowError(
                Reason.REPLAY, "its crops were cut from the native image, which is not to be had: name its folder (images: …)"
            )
        return View(shown, trajectory.image.size, held)

    def _shown(self, trajectory: Trajectory) -> Image.Image | None:
        path = image_path(self.run.path, trajectory.shown.hash, exact=True)
        return load_native(path.read_bytes()) if path.is_file() else None

    def _native(self, trajectory: Trajectory) -> Image.Image | None:
        path = self.natives.get(trajectory.image.hash)
        return load_native(path.read_bytes()) if path else None


def _natives(folder: str) -> dict[str, Path]:
    """Images below a folder by the hash of their bytes."""
    endings = {f".{name.lower()}" for name in FORMATS} | {".jpg", ".tif"}
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in endings and p.is_file())
    if not files:
        raise DataError(f"{folder} holds no images; expected the native images of the run")
    return {source_hash(path.read_bytes()): path for path in files}


def _spoken(message: Message) -> ChatMessage:
    return ChatMessage(message.role.value, tuple(None if isinstance(p, ImagePart) else p.text for p in message.parts))
