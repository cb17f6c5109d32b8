"""Questions with images as the rows that GRPO's trainer draws: prompt, shown image, and what its rollouts are about."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cof_eval.agent.conversation import Conversation
from cof_eval.agent.protocols import Protocol
from cof_eval.agent.rollout import Subject
from cof_eval.agent.showing import look
from cof_eval.benchmarks import Item
from cof_eval.core.images import load_native, pixel_hash, source_hash
from cof_eval.core.records import ImageRef, Row, digest
from cof_eval.core.resolution import PixelLimits, Resolution, effective_cap
from training.data.conversation import messages_for_trl


def prompt_rows(
    items: Sequence[Item], protocol: Protocol, limits: PixelLimits, resolution: Resolution, *, held: int = 16
) -> Any:
    """A `datasets.Dataset` whose rows are made when they are drawn; images are decoded then, and not before.

    Columns: `prompt` (messages, an image placeholder among them), `images` (the shown image), `group` (which prompt it is),
    `subject` (for the environment), `row` (its place in a run folder).

    Args:
        items: questions and where their images are.
        protocol: prompts and frames.
        limits: what the checkpoint's image processor does to sizes.
        resolution: cap on the shown image.
        held: rows kept ready, since each is drawn many times in a row.
    """
    from datasets import Dataset

    within = protocol.limits(limits)
    cap = effective_cap(resolution, within)

    @lru_cache(maxsize=held)
    def row(index: int) -> dict[str, Any]:
        item = items[index]
        subject = _subject(item, protocol, within, resolution)
        assert subject.view is not None
        question = item.question
        messages = Conversation(protocol, within, question, subject.view, subject.shown_hash).messages
        place = Row(f"grpo_{question.benchmark}", index, question.id, question.benchmark, resolution.name, 0, "", cap)
        return {
            "prompt": messages_for_trl(messages),
            "images": [subject.view.shown],
            "group": subject.key,
            "subject": subject,
            "row": place,
        }

    def drawn(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [row(index) for index in batch["index"]]
        return {name: [r[name] for r in rows] for name in rows[0]}

    return Dataset.from_dict({"index": list(range(len(items)))}).with_transform(drawn)


def _subject(item: Item, protocol: Protocol, limits: PixelLimits, resolution: Resolution) -> Subject:
    data = item.image.read()
    native = load_native(data)
    view = look(native, resolution, protocol, limits)
    name, source = pixel_hash(view.shown), ImageRef(source_hash(data), native.size)
    key = digest("prompt", item.question, source.hash, view.shown.size)
    return Subject(question=item.question, image=source, view=view, shown_hash=name, key=key)
