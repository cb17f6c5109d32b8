"""How a protocol reads a model's text: the settings, and the reading itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ...core.errors import UsageError
from ...core.records import ToolCall
from .answers import AnswerForm, AnswerPlace, AnswerRule, AnswerSyntax, AnswerTag, find_answer, without_thoughts
from .calls import SYNTAXES, CallForm, CallSyntax, RawCall, Unclosed
from .dialects import Dialect
from .native import calls_left, read_tool_calls
from .pattern import pattern_problem


class CallPlace(StrEnum):
    """Where a call may stand."""

    ANYWHERE = "anywhere"
    OUTSIDE = "outside"
    """Outside thoughts only (Qwen-Agent)."""
    END = "end"
    """Only where the text ends with the closing tag of a call (Pixel-Reasoner)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """All that a turn's text says."""

    calls: tuple[RawCall, ...]
    answer: str | None
    """The answer's text; several different ones are all kept, one a line. None if there is none."""
    answer_complete: bool = True
    """Whether the answer is known to be complete; an unclosed one counts only if the turn was not cut."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The settings by which a text is read."""

    call_syntax: CallSyntax = CallSyntax.TOOL_CALL
    """How calls are written."""
    answer_syntax: AnswerSyntax = AnswerSyntax.TAG
    """How the answer is marked."""
    call_pattern: str = ""
    """A call of the syntax `pattern`: text with `{tool}`, `{box}`, `{x1}` … `{y2}`, `{image}`, `{label}`, `{arguments}` or `{call}`."""
    call_dialect: Dialect = Dialect.LOOSE
    """Which JSON calls may be written in; all but `loose` take one object a block and no numerals in quotes."""
    call_unclosed: Unclosed = Unclosed.READ
    """What a call without its closing tag is."""
    call_place: CallPlace = CallPlace.ANYWHERE
    """Where calls may stand."""
    exact_tags: bool = False
    """Whether call tags count in lower case only."""
    answer_tag: AnswerTag = AnswerTag.ALL
    """Which of several answer tags counts."""
    answer_form: AnswerForm = AnswerForm.LOOSE
    """What an answer tag must look like."""
    answer_place: AnswerPlace = AnswerPlace.OUTSIDE_FIRST
    """Where an answer may stand."""
    first_box: bool = False
    r"""Whether a reply with a `\boxed{` is read inside its first box only."""

    def __post_init__(self) -> None:
        if (self.call_syntax is CallSyntax.PATTERN) != bool(self.call_pattern):
            raise UsageError("call_syntax=pattern and call_pattern go together: set both or neither")
        problem = pattern_problem(self.call_pattern) if self.call_pattern else None
        if problem:
            raise UsageError(f"call_pattern={self.call_pattern!r} cannot be used: {problem}")

    @property
    def call_form(self) -> CallForm:
        """What the call syntax leaves open."""
        return CallForm(
            dialect=self.call_dialect, unclosed=self.call_unclosed, exact_tags=self.exact_tags, pattern=self.call_pattern
        )

    def read(self, text: str) -> Reply:
        """Read one turn's text."""
        calls = self._calls(text)
        if self.call_place is CallPlace.OUTSIDE:
            allow_in_thoughts = not calls
        else:
            allow_in_thoughts = not SYNTAXES[self.call_syntax].any(without_thoughts(text), self.call_form)
        return self._with_calls(text, calls, allow_in_thoughts=allow_in_thoughts)

    def read_native(self, text: str, tool_calls: Sequence[ToolCall]) -> Reply:
        """Read one turn whose calls came apart from its text."""
        calls = read_tool_calls(tool_calls, self.call_form) or calls_left(text)
        return self._with_calls(text, calls, allow_in_thoughts=not calls)

    def _with_calls(self, text: str, calls: tuple[RawCall, ...], *, allow_in_thoughts: bool) -> Reply:
        """What a text says next to these calls."""
        plain = text
        if self.call_dialect is Dialect.JSON5 and not calls:
            plain = text.partition("<tool_call>")[0]  # a block that Qwen-Agent drops is no part of the answer either
        answer, complete = find_answer(plain, self._answer_rule, allow_in_thoughts=allow_in_thoughts, has_call=bool(calls))
        return Reply(calls, answer, complete)

    def last_answer(self, texts: Sequence[str]) -> str | None:
        """The answer of several turns read as one text."""
        return find_answer("\n".join(texts), self._answer_rule, allow_in_thoughts=True, has_call=True)[0]

    def _calls(self, text: str) -> tuple[RawCall, ...]:
        syntax = SYNTAXES[self.call_syntax]
        if self.call_place is CallPlace.END:
            return self._last_call(text)
        return tuple(syntax.read(without_thoughts(text) if self.call_place is CallPlace.OUTSIDE else text, self.call_form))

    def _last_call(self, text: str) -> tuple[RawCall, ...]:
        """The calls of a text that ends with one."""
        syntax = SYNTAXES[self.call_syntax]
        closing = syntax.write("", {}, self.call_form).rstrip().rpartition("</")[2]
        if not closing or not text.endswith(f"</{closing}"):
            return ()
        return tuple(syntax.read(text, self.call_form)) or (RawCall("", error=f"</{closing} closes no call"),)

    @property
    def _answer_rule(self) -> AnswerRule:
        return AnswerRule(
            syntax=self.answer_syntax,
            tag=self.answer_tag,
            form=self.answer_form,
            place=self.answer_place,
            first_box=self.first_box,
        )


def parse_reply(text: str, calls: CallSyntax, answer: AnswerSyntax) -> Reply:
    """Read one turn's text by these syntaxes, everything else as it is by default."""
    return Reading(call_syntax=calls, answer_syntax=answer).read(text)
