"""What a reply costs to read: hostile ones of 300 kB under every protocol, and how long the event loop is held by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

from bench.figures import Figure, below
from bench.scripted import Scripted
from cof_eval.agent.protocols import COF, PROTOCOLS
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.core.records import ImageRef, Question
from cof_eval.judging.prompt import parse_label

LONG = 300_000
"""Characters of a reply; the longest sensible one is a tenth."""
UNITS = (
    "<think>", "</think>", "<tool_call>", "<tool_call>{", "<tool_call>{}", '<tool_call>{"\\"', "</tool_call>", "<answer>", "</answer>",
    "<answer>a</answer>", "<grounding>", "<grounding>{", "<function=a>", "<parameter=a>", "<arg_key>", "\\boxed{", "\\boxed{}", "{", "{}", '"', '\\"', "'",
    "\\'", "[", "/*", "a ",
)  # fmt: skip
_OPENINGS = ("", '<tool_call>{"a": ', "\\boxed{")
_BEATS = 5


def replies() -> list[Figure]:
    """CPU seconds of the slowest reply to read, and the longest time for which the event loop was held while one was read."""
    slowest = max((_cpu_s(read, text), f"{name}: {what}") for name, read in _readers() for what, text in _texts())
    held = max((min(_held_ms(text) for _ in range(_BEATS)), what) for what, text in _texts())
    count = len(PROTOCOLS) * len(UNITS) * len(_OPENINGS)
    return [
        below("a reply of 300 kB: slowest", slowest[0], 0.5, "s CPU", f"{count:,} replies and protocols; {slowest[1]}"),
        below(
            "event loop held by a reply",
            held[0],
            50,
            "ms",
            f"{len(UNITS) * len(_OPENINGS)} replies, best of {_BEATS} each; {held[1]}",
        ),
    ]


def _texts() -> Iterator[tuple[str, str]]:
    for opening in _OPENINGS:
        for unit in UNITS:
            yield f"{opening}{unit} …", opening + unit * (LONG // len(unit))


def _readers() -> Iterator[tuple[str, object]]:
    yield from ((name, protocol.read) for name, protocol in PROTOCOLS.items())
    yield "a judge's label", lambda text: parse_label(text, ("0", "1"))


def _cpu_s(read: object, text: str) -> float:
    started = time.thread_time()
    read(text)  # type: ignore[operator]
    return time.thread_time() - started


def _held_ms(text: str) -> float:
    """The longest time between two turns of the event loop while a rollout reads this reply."""
    return asyncio.run(_beating(text))


async def _beating(text: str) -> float:
    question = Question("1", "bench", "", "1", "What is it?", (), "a")
    subject = Subject(question=question, image=ImageRef("none", (0, 0)), view=None, shown_hash="", key="bench")
    engine = Scripted(text, turns=2)
    rolling = asyncio.ensure_future(rollout(subject, engine, replace(COF, max_turns=1)))
    longest, last = 0.0, time.perf_counter()
    while not rolling.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await rolling
    return 1000 * longest
