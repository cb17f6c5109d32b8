"""From the sources of a recipe to rows that can be trained on: every row checked, every drop reported, none cut.

`prepare` writes a folder: `rows.jsonl` (what is trained on), `dropped.jsonl` (what is not, and why), `images/` (those that
came as bytes), and at last `prepared.json`; the same recipe on the same files finds it done.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cof_eval.agent.protocols import BoxFrame, Protocol
from cof_eval.core.errors import DataError, ImageError
from cof_eval.core.files import write_whole
from cof_eval.core.images import ImageSource, load_native, source_hash
from cof_eval.core.journal import Journal, read_journal
from cof_eval.core.records import Size, digest
from cof_eval.core.resolution import NATIVE, PixelLimits, parse_resolution, shown_size, visual_tokens
from cof_eval.engines.checkpoint import Checkpoint

from ..recipe.recipe import DataSource, Format, Recipe, Stage
from .messages import read_messages
from .questions import read_questions
from .rows import DraftRow, DroppedRow, Picture, Reason, RowError, TrainingRow
from .tables import ENDINGS, find_data
from .trajectories import read_trajectories

READERS: dict[Format, Callable[[DataSource, Protocol], Iterator[DraftRow | DroppedRow]]] = {
    Format.MESSAGES: read_messages,
    Format.QUESTIONS: read_questions,
    Format.RUN: read_trajectories,
}
FORMATS = {Stage.SFT: (Format.MESSAGES, Format.RUN), Stage.GRPO: (Format.QUESTIONS,)}
"""What each stage can learn from."""

_BATCH = 64
"""Rows whose images are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedData:
    """What became of a recipe's data."""

    folder: Path
    kept: int
    dropped: int
    reasons: dict[str, int]
    """Dropped rows by reason."""
    longest: int
    """Tokens of the longest row kept."""
    tokens: int
    """Tokens of all rows kept."""
    reworded: int
    """Rows kept whose prompts are worded otherwise than the protocol's."""

    def rows(self) -> list[TrainingRow]:
        """The rows, in the order of the sources."""
        return list(read_journal(self.folder / "rows.jsonl", TrainingRow))

    def dropped_rows(self) -> list[DroppedRow]:
        """What was dropped, in the order of the sources."""
        return list(read_journal(self.folder / "dropped.jsonl", DroppedRow))


def check_formats(recipe: Recipe) -> None:
    """Whether the stage can learn from what the sources hold.

    Raises:
        DataError: naming the source that it cannot.
    """
    for source in recipe.data:
        if source.format not in FORMATS[recipe.stage]:
            known = " or ".join(FORMATS[recipe.stage])
            raise DataError(
                f"stage {recipe.stage} cannot learn from {source.path!r} of format {source.format}; expected {known}"
            )


def prepare(recipe: Recipe, checkpoint: Checkpoint, folder: Path) -> PreparedData:
    """Check every row of a recipe's sources and write those that can be trained on.

    Args:
        recipe: names the sources and limits.
        checkpoint: whose processor counts tokens; its template must be the contract's.
        folder: where to.

    Raises:
        DataError: if a source cannot be read, or no row is left.
    """
    check_formats(recipe)
    stamp = _stamp(recipe, checkpoint)
    done = _finished(folder, stamp)
    if done is None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("prepared.json", "rows.jsonl", "dropped.jsonl"):
            (folder / name).unlink(missing_ok=True)
        done = _prepare(recipe, Inspector(recipe, checkpoint, folder), folder)
        values = {name: getattr(done, name) for name in ("kept", "dropped", "reasons", "longest", "tokens", "reworded")}
        write_whole(folder / "prepared.json", json.dumps({"stamp": stamp, **values}).encode())
    say(done)
    if not done.kept:
        raise DataError(f"no row is left to train on: all {done.dropped} were dropped, see {folder / 'dropped.jsonl'}")
    return done


def say(prepared: PreparedData) -> None:
    """What became of the data, on stderr: counts, and one example of each reason."""
    write = sys.stderr.write
    write(f"data: {prepared.kept} rows, {prepared.tokens:,} tokens, {prepared.longest:,} in the longest\n")
    if prepared.reworded:
        write(f"  {prepared.reworded} of them word their prompts otherwise than the protocol, and are kept as they are\n")
    if prepared.dropped:
        write(f"  {prepared.dropped} rows dropped, each with its reason in {prepared.folder / 'dropped.jsonl'}:\n")
        first: dict[str, DroppedRow] = {}
        for row in prepared.dropped_rows():
            first.setdefault(row.reason.value, row)
        for reason, count in prepared.reasons.items():
            write(f"  {count:>6}  {reason}, for instance {first[reason].row}: {first[reason].says}\n")


class Inspector:
    """Looks at the images of a row and counts its tokens."""

    def __init__(self, recipe: Recipe, checkpoint: Checkpoint, folder: Path) -> None:
        self._recipe = recipe
        self._processor = checkpoint.processor
        self._images = folder / "images"
        protocol = recipe.protocol_settings()
        self._limits: PixelLimits = protocol.limits(checkpoint.limits)
        self._in_pixels = protocol.frame in (BoxFrame.SHOWN, BoxFrame.UNIT_OR_PIXELS)
        self._resolution = parse_resolution(recipe.grpo.resolution) if recipe.grpo else NATIVE
        self._most = recipe.grpo.max_prompt_tokens if recipe.grpo else recipe.max_tokens

    def __call__(self, draft: DraftRow) -> TrainingRow | DroppedRow:
        """The row, or why it cannot be trained on."""
        try:
            images = tuple(self._picture(source) for source in draft.images)
            self._check_frame(draft, images)
            tokens = self.tokens(draft, images)
            if tokens > self._most:
                raise RowError(Reason.TOO_LONG, f"{tokens:,} tokens, {self._most:,} fit")
        except RowError as error:
            return DroppedRow(draft.source, draft.row, error.reason, str(error))
        return TrainingRow(
            source=draft.source,
            row=draft.row,
            messages=draft.messages,
            images=images,
            tokens=tokens,
            question=draft.question,
        )

    def tokens(self, draft: DraftRow, images: tuple[Picture, ...]) -> int:
        """Tokens of the rendered row, as the processor gives them."""
        row = TrainingRow(source="", row="", messages=draft.messages, images=images, tokens=0)
        text = self._processor.apply_chat_template(row.chat(), tokenize=False, add_generation_prompt=draft.question is not None)
        words = len(self._processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        return words + sum(visual_tokens(self._shown(image.size), self._limits.factor) - 1 for image in images)

    def _shown(self, size: Size) -> Size:
        try:
            return shown_size(size, self._resolution, self._limits)
        except ImageError as error:
            raise RowError(Reason.IMAGE, str(error)) from error

    def _picture(self, source: ImageSource) -> Picture:
        """The image on disk, decoded once to know that it can be."""
        try:
            data = source.read()
            size = load_native(data).size
        except ImageError as error:
            raise RowError(Reason.IMAGE, str(error)) from error
        if source.path is not None:
            return Picture(str(Path(source.path).resolve()), size)
        name = source_hash(data)
        path = self._images / name[:2] / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        return Picture(str(path.resolve()), size)

    def _check_frame(self, draft: DraftRow, images: tuple[Picture, ...]) -> None:
        """Where boxes are pixels of the shown image, that one must keep its size (but for rounding)."""
        calls = sum(message.role == "assistant" for message in draft.messages) > 1
        if not (self._in_pixels and calls and images) or draft.question is not None:
            return
        width, height = images[0].size
        if not self._limits.min_pixels <= width * height <= self._limits.max_pixels + self._limits.factor * (width + height):
            raise RowError(
                Reason.FRAME,
                f"the image of {width}x{height} px would be resized to fit {self._limits.min_pixels:,} to {self._limits.max_pixels:,} "
                "px², and the boxes with it; change min_pixels or max_pixels",
            )


def _prepare(recipe: Recipe, inspect: Inspector, folder: Path) -> PreparedData:
    protocol, reasons = recipe.protocol_settings(), Counter[str]()
    kept = longest = tokens = reworded = 0
    with (
        Journal(folder / "rows.jsonl", TrainingRow) as rows,
        Journal(folder / "dropped.jsonl", DroppedRow) as dropped,
        ThreadPoolExecutor(max_workers=os.cpu_count()) as threads,
        tqdm(desc="data", unit="row", file=sys.stderr, disable=None) as bar,
    ):
        drafts = chain.from_iterable(_limited(READERS[source.format](source, protocol), source.limit) for source in recipe.data)
        for batch in _batches(drafts, _BATCH):
            seen = list(threads.map(lambda draft: draft if isinstance(draft, DroppedRow) else inspect(draft), batch))
            good, bad = [r for r in seen if isinstance(r, TrainingRow)], [r for r in seen if isinstance(r, DroppedRow)]
            rows.append(*good)
            dropped.append(*bad)
            reasons.update(r.reason.value for r in bad)
            kept, tokens = kept + len(good), tokens + sum(r.tokens for r in good)
            longest = max([longest, *(r.tokens for r in good)])
            reworded += sum(
                isinstance(r, TrainingRow) and isinstance(d, DraftRow) and not d.worded
                for r, d in zip(seen, batch, strict=True)
            )
            bar.update(len(batch))
    return PreparedData(
        folder=folder,
        kept=kept,
        dropped=sum(reasons.values()),
        reasons=dict(reasons.most_common()),
        longest=longest,
        tokens=tokens,
        reworded=reworded,
    )


def _limited(drafts: Iterable[DraftRow | DroppedRow], limit: int | None) -> Iterable[DraftRow | DroppedRow]:
    return islice(drafts, limit)


def _batches(values: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(values, size)):
        yield batch


def _finished(folder: Path, stamp: str) -> PreparedData | None:
    """What an earlier session prepared, if it was from the same files for the same recipe."""
    try:
        values = json.loads((folder / "prepared.json").read_bytes())
    except (OSError, ValueError):
        return None
    return PreparedData(folder=folder, **values) if values.pop("stamp") == stamp else None


def _stamp(recipe: Recipe, checkpoint: Checkpoint) -> str:
    """Changes with everything that decides the rows."""
    prompts = recipe.grpo and (recipe.grpo.max_prompt_tokens, recipe.grpo.resolution)
    template = checkpoint.processor.chat_template
    tokenizer = checkpoint.processor.tokenizer.get_vocab()
    limits = (checkpoint.limits, recipe.max_tokens, prompts)
    paths = [Path(source.path) if source.format is Format.RUN else find_data(source.path) for source in recipe.data]
    files = [_files(path) for path in paths]
    return digest(recipe.data, recipe.protocol_settings(), limits, template, sorted(tokenizer.items()), files)


def _files(path: Path) -> list[tuple[str, int, int]]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (*ENDINGS, ".yaml", ".zip"))
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
