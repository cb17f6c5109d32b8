"""Reading a reply costs time in proportion to its length, whatever it repeats and whichever protocol reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from cof_eval.agent.protocols import PROTOCOLS, parse_protocol
from cof_eval.agent.reply import SYNTAXES, AnswerSyntax, CallSyntax, Dialect, Reading
from cof_eval.agent.reply.dialects import read_whole
from cof_eval.agent.reply.loose_json import read_object
from cof_eval.judging.prompt import parse_label

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples" / "protocols"
PATTERNS = (
    "<zoom>{box}</zoom>",
    "<zoom>{arguments}</zoom>",
    "<zoom>{call}</zoom>",
    "<zoom>{label}: {box}</zoom>",
    "<zoom>{tool}({x1}, {y1}, {x2}, {y2})</zoom>",
    "zoom({x1}, {y1}, {x2}, {y2})",
)
TAGS = ("think", "tool_call", "answer", "grounding", "zoom", "function=a", "parameter=a", "arg_key", "arg_value")
MARKS = (
    "{",
    "}",
    "[",
    '"',
    '\\"',
    "'",
    "\\'",
    "\\boxed{",
    "\\boxed{}",
    "/*",
    "//",
    ",",
    " ",
    "\n",
    "{}",
    "a$",
    "a ",
    "I'll ",
    "zoom(",
)
UNITS = (
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag.partition('=')[0]}>" for tag in TAGS),
    *(f"<{tag}>{inside}" for tag in ("tool_call", "grounding", "zoom") for inside in ("{", "[", "{}", '{"\\"', "x")),
    "<answer>a</answer>",
    "<think>a</think>",
    *MARKS,
)
OPENINGS = ("", '<tool_call>{"a": ', "<zoom>", "\\boxed{")
LONG = 16_000
"""Characters of the longer of two texts; the other has a quarter."""
NOTICED_S = 0.01
"""CPU seconds below which no growth can be told."""
MOST = 8.0
"""Linear is 4, quadratic is 16."""


def readings() -> dict[str, Reading]:
    """Every way of reading that a known protocol, an example, a pattern or a syntax has, each once."""
    named: dict[str, Reading] = {
        **PROTOCOLS,
        **{file.name: parse_protocol(str(file)) for file in sorted(EXAMPLES.glob("*.yaml"))},
    }
    named |= {pattern: Reading(call_syntax=CallSyntax.PATTERN, call_pattern=pattern) for pattern in PATTERNS}
    for syntax in SYNTAXES:
        if syntax is not CallSyntax.PATTERN:
            named |= {f"{syntax}, {dialect}": Reading(call_syntax=syntax, call_dialect=dialect) for dialect in Dialect}
    named |= {str(form): Reading(call_syntax=CallSyntax.NONE, answer_syntax=form) for form in AnswerSyntax}
    settings = {name: tuple(getattr(reading, f.name) for f in fields(Reading)) for name, reading in named.items()}
    first = {each: name for name, each in reversed(settings.items())}
    return {name: named[name] for name in named if first[settings[name]] == name}


READINGS = readings()


def texts(length: int) -> Iterator[tuple[str, str]]:
    """(what it repeats, text of this length)."""
    for opening in OPENINGS:
        for unit in UNITS:
            yield f"{opening!r} + {unit!r}", opening + unit * (length // len(unit))


def cpu_s(read: object, text: str, times: int = 1) -> float:
    """CPU seconds of this thread, the least of so many."""

    def once() -> float:
        started = time.thread_time()
        read(text)  # type: ignore[operator]
        return time.thread_time() - started

    return min(once() for _ in range(times))


def grows(read: object, long: str, short: str) -> bool:
    """Whether four times the text costs much more than four times the time."""
    if cpu_s(read, long) < NOTICED_S:
        return False
    return cpu_s(read, long, 3) > MOST * cpu_s(read, short, 3)


@pytest.mark.parametrize("name", READINGS)
def test_four_times_a_repeated_tag_costs_about_four_times_the_time(name: str) -> None:
    read = READINGS[name].read
    pairs = zip(texts(LONG), texts(LONG // 4), strict=True)
    assert [what for (what, long), (_, short) in pairs if grows(read, long, short)] == []


def test_a_judges_label_is_read_as_fast() -> None:
    def read(text: str) -> object:
        return parse_label(text, ("0", "1"))

    pairs = zip(texts(LONG), texts(LONG // 4), strict=True)
    assert [what for (what, long), (_, short) in pairs if grows(read, long, short)] == []


def test_a_reader_that_looks_again_from_every_tag_is_found() -> None:
    def read(text: str) -> object:
        return [text.count("</b>", start) for start in range(0, len(text), 10)]

    assert grows(read, "<tool_call>" * (LONG // 4), "<tool_call>" * (LONG // 16))


@pytest.mark.parametrize("dialect", Dialect)
def test_one_call_is_read_in_one_pass(dialect: Dialect) -> None:
    def read(text: str) -> object:
        return [read_object(text, 0) if dialect is Dialect.LOOSE else read_whole(text, dialect) for _ in range(5)]

    units = [unit for unit in UNITS if len(unit) < 16]
    made = [(unit, "{" + unit * (4000 // len(unit)), "{" + unit * (1000 // len(unit))) for unit in units]
    made += [(f"{unit} closed", f"{long}}}", f"{short}}}") for unit, long, short in made]
    assert [what for what, long, short in made if grows(read, long, short)] == []


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_quote_that_nothing_closes_is_a_character_like_any_other(quote: str) -> None:
    text = "{" + f"{quote}\\" * 3 + "}"
    assert read_object(text, 0)[2] == f"the call is not valid JSON: {json.dumps(text)}"
