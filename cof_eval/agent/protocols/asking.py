"""The words of a protocol: its prompts, and how a chat template renders them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ...core.errors import UsageError
from ...core.letters import option_letters
from ...core.option_order import find_layout
from .filling import fill

IMAGE = "<image>"
"""Placeholder of the crop in `Asking.crop_turn`."""


class Numbering(StrEnum):
    """What the number `{observation}` of a crop counts."""

    CROPS = "crops"
    TURNS = "turns"
    """Turns with a call, those that could not be executed too (Mini-o3)."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The settings by which a model is asked."""

    name: str
    system: str
    """The system message; none is sent if it is empty."""
    question: str = "{question}"
    """The first user message after the image. `{question}` is the question's whole text, `{stem}` what stands before its
    options, `{options}` the options, one `option` a line; `{format}` is filled in too."""
    open_question: str = ""
    """The same for questions without options; if empty, `question` serves both."""
    option: str = "{letter}. {text}"
    """One option of `{options}`."""
    format: str = ""
    """The instruction that closes the question and follows every crop."""
    crop_turn: str = IMAGE
    """The message for a zoom: text around `<image>`. `{format}`, `{action}` (turns so far), `{observation}` (the
    crop's number), `{width}` and `{height}` of the crop are filled in."""
    error_turn: str = "{error}"
    """The message for a call that cannot be executed."""
    tool_turn: str = "Done. The next message shows it."
    """Native calls: the tool message for a zoom, with the placeholders of `crop_turn`; the crop follows in a user message."""
    between: str = ""
    """Stands between the results of several calls of one turn."""
    closing: str = "{format}"
    """Follows the results of a turn if one of them is an image."""
    numbering: Numbering = Numbering.CROPS
    """What `{observation}` counts."""
    chat_template_kwargs: Mapping[str, bool | int | float | str] = field(default_factory=dict, hash=False)
    """Passed to the checkpoint's chat template, e.g. `enable_thinking` and `preserve_thinking`."""

    def __post_init__(self) -> None:
        if self.crop_turn.count(IMAGE) != 1:
            raise UsageError(
                f"protocol {self.name!r}: crop_turn={self.crop_turn!r} must hold {IMAGE} once, where the crop stands"
            )

    def prompt(self, question: str, options: Sequence[str] = ()) -> str:
        """The first user message's text.

        Args:
            question: the question's whole text.
            options: its options, as they stand in it.
        """
        layout = find_layout(question, options)
        if layout is None:  # no options, or none that can be told from the rest of the text
            template = self.open_question or self.question
            return fill(template, question=question, stem=question, options="", format=self.format)
        lines = (
            fill(self.option, letter=letter, text=text)
            for letter, text in zip(option_letters(len(options)), options, strict=True)
        )
        return fill(self.question, question=question, stem=layout.stem, options="\n".join(lines), format=self.format)
