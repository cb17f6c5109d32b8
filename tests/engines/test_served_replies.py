"""A reply is read wherever its server put it, and scored as the in-process engine would score the same words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fake_server import ChatRequest, FakeServer, image_pad, serve, tiny_checkpoint
from fakes import subject

from cof_eval.agent.protocols import COF, DIRECT, PROTOCOLS, Protocol
from cof_eval.agent.rollout import rollout
from cof_eval.core.errors import EngineUnusableError
from cof_eval.core.records import Stop, Trajectory
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.engines.openai import OpenAIEngine
from cof_eval.runs.served_notes import served_notes

pytestmark = pytest.mark.slow

T = TypeVar("T")
QWEN35 = PROTOCOLS["qwen3_5"]
BOX = {"bbox_2d": [28, 28, 84, 84]}
CALL = {"name": "image_zoom_in_tool", "arguments": json.dumps(BOX)}
ANSWER = "<answer>B</answer>"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory)


def with_engine(server: FakeServer, use: Callable[[OpenAIEngine], Awaitable[T]], protocol: Protocol, **settings: Any) -> T:
    async def run() -> T:
        hasty = {"retries": 0, "backoff_s": 0.001, "patience_s": 0.3}
        given = {"pretrained": "by-name", "base_url": server.url, "engine_args": hasty} | settings
        engine = await open_engine("openai", EngineSettings(**given), protocol)
        assert isinstance(engine, OpenAIEngine)
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


def ended(server: FakeServer, protocol: Protocol = COF, **settings: Any) -> tuple[Trajectory, list[str]]:
    """One rollout, and the notes that the run would show."""

    async def use(engine: OpenAIEngine) -> tuple[Trajectory, list[str]]:
        trajectory = await rollout(subject(), engine, protocol)
        return trajectory, [str(note) for note in served_notes(engine.facts)]

    return with_engine(server, use, protocol, **settings)


def says(*messages: str | dict[str, Any]) -> Callable[[ChatRequest], str | dict[str, Any]]:
    """These messages, one a turn; the last one repeats."""
    return lambda asked: messages[min(asked.turn, len(messages) - 1)]


ANSWERS: list[tuple[str, Protocol, dict[str, Any], str]] = [
    ("plain text", COF, {"content": f"<think>seen</think> {ANSWER}"}, f"<think>seen</think> {ANSWER}"),
    ("vLLM, no end of thoughts", COF, {"content": None, "reasoning": ANSWER}, ANSWER),
    ("older vLLM, the same", COF, {"content": None, "reasoning_content": ANSWER}, ANSWER),
    ("SGLang, the same with an empty text", COF, {"content": "", "reasoning_content": ANSWER}, ANSWER),
    (
        "a checkpoint that opens its thoughts",
        COF,
        {"reasoning": "seen", "content": f" {ANSWER}"},
        f"<think>seen</think> {ANSWER}",
    ),
    ("stripped", COF, {"reasoning_content": "seen", "content": ANSWER}, f"<think>seen</think>{ANSWER}"),
    ("a template that opens them", QWEN35, {"reasoning": "seen", "content": "B"}, "seen\n</think>\n\nB"),
    ("with its white space", QWEN35, {"reasoning": "seen\n", "content": "\n\nB"}, "seen\n</think>\n\nB"),
    ("Ollama", COF, {"thinking": "seen", "content": ANSWER}, f"<think>seen</think>{ANSWER}"),
    ("parts", COF, {"content": [{"type": "text", "text": "<answer>"}, {"type": "text", "text": "B</answer>"}]}, ANSWER),
    ("Responses", COF, {"content": [{"type": "output_text", "text": ANSWER, "annotations": []}]}, ANSWER),
    ("bare strings", COF, {"content": [ANSWER]}, ANSWER),
    (
        "Mistral",
        COF,
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "seen"}]}, {"type": "text", "text": ANSWER}]},
        f"<think>seen</think>{ANSWER}",
    ),
    (
        "OpenRouter",
        COF,
        {"content": ANSWER, "reasoning": "seen", "reasoning_details": [{"type": "reasoning.text", "text": "seen"}]},
        f"<think>seen</think>{ANSWER}",
    ),
    (
        "LiteLLM",
        COF,
        {"content": ANSWER, "reasoning_content": "seen", "thinking_blocks": [{"type": "thinking", "thinking": "seen"}]},
        f"<think>seen</think>{ANSWER}",
    ),
    (
        "Gemini",
        COF,
        {"content": {"parts": [{"text": "seen", "thought": True}, {"text": ANSWER}]}},
        f"<think>seen</think>{ANSWER}",
    ),
]


@pytest.mark.parametrize(("name", "protocol", "message", "text"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_an_answer_is_read_wherever_it_lies(name: str, protocol: Protocol, message: dict[str, Any], text: str) -> None:
    with serve(reply=says(message), context=1_000_000) as server:
        trajectory, notes = ended(server, protocol)
    assert (trajectory.stop, trajectory.answer) == (Stop.ANSWERED, "B"), trajectory.error
    assert trajectory.turns[0].text == text
    assert bool(notes) == (name not in ("plain text", "parts", "Responses", "bare strings"))


CALLS: list[tuple[str, dict[str, Any]]] = [
    (
        "OpenAI",
        {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": CALL}], "finish_reason": "tool_calls"},
    ),
    ("an object", {"content": "", "tool_calls": [{"function": {**CALL, "arguments": BOX}}]}),
    ("older", {"content": None, "function_call": CALL, "finish_reason": "function_call"}),
    ("flat", {"content": None, "tool_calls": [CALL], "finish_reason": "tool_calls"}),
    (
        "Anthropic",
        {"content": [{"type": "tool_use", "id": "1", "name": CALL["name"], "input": BOX}], "finish_reason": "tool_use"},
    ),
]


@pytest.mark.parametrize("message", [row[1] for row in CALLS], ids=[row[0] for row in CALLS])
def test_a_call_that_a_tool_parser_took_is_written_back_and_executed(message: dict[str, Any]) -> None:
    with serve(reply=says(message, ANSWER)) as server:
        trajectory, notes = ended(server)
    written = f'<tool_call>\n{{"name": "image_zoom_in_tool", "arguments": {json.dumps(BOX)}}}\n</tool_call>'
    assert (trajectory.stop, trajectory.zooms, trajectory.turns[0].text) == (Stop.ANSWERED, 1, written)
    assert server.log[1].body["messages"][2] == {"role": "assistant", "content": [{"type": "text", "text": written}]}
    assert any("written back as the protocol writes them" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("mini_o3", [0.1, 0.1, 0.6, 0.6]),
        ("qwen3_vl", [100, 100, 600, 600]),
        ("qwen3_5", [100, 100, 600, 600]),
        ("deepeyes", [28, 28, 168, 168]),
    ],
)
def test_a_call_is_written_back_in_each_protocols_own_syntax(name: str, box: list[float]) -> None:
    protocol = PROTOCOLS[name]
    image = {protocol.image_argument: protocol.image_naming.name_of(0)} if protocol.image_argument else {}
    further = dict.fromkeys(protocol.text_arguments, "object")
    call = {"name": protocol.tool, "arguments": json.dumps({protocol.box_argument: box} | image | further)}
    message = {"content": "seen", "tool_calls": [{"function": call}]}
    with serve(reply=says(message, ANSWER), context=1_000_000) as server:
        trajectory, _ = ended(server, protocol)
    assert trajectory.error is None
    assert trajectory.zooms == 1, trajectory.turns[0]
    assert trajectory.turns[0].text.startswith("seen\n")


ERRORS: list[tuple[str, Protocol, dict[str, Any], str]] = [
    ("a call without a tool", DIRECT, {"content": None, "tool_calls": [{"function": CALL}]}, "--enable-auto-tool-choice"),
    (
        "arguments that are none",
        COF,
        {"content": None, "tool_calls": [{"function": {"name": "z", "arguments": "{"}}]},
        "--tool-call-parser",
    ),
    ("a call that says nothing", COF, {"content": None, "tool_calls": [{"type": "function"}]}, "tool_calls"),
    ("calls announced, none given", COF, {"content": None, "finish_reason": "tool_calls"}, "gave no call"),
    ("audio", COF, {"content": None, "audio": {"transcript": ANSWER}}, "message.audio"),
    ("another field", COF, {"content": "", "output": ANSWER}, "message.output"),
    ("an image", COF, {"content": [{"type": "image_url", "image_url": {"url": "data:"}}]}, "content.image_url"),
    ("a number", COF, {"content": 3}, "content.int"),
    ("thoughts kept back", COF, {"content": "", "tokens": 300}, "--reasoning-parser"),
    ("a strange end", COF, {"content": ANSWER, "finish_reason": "content_filter"}, "content_filter"),
]


@pytest.mark.parametrize(("protocol", "message", "names"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_what_cannot_be_read_is_an_error_that_names_the_field_or_the_flag(
    protocol: Protocol, message: dict[str, Any], names: str
) -> None:
    with serve(reply=says(message)) as server:
        trajectory, _ = ended(server, protocol)
    assert trajectory.stop is Stop.ERROR
    assert names in str(trajectory.error)


def test_a_refusal_is_the_models_text() -> None:
    with serve(reply=says({"content": None, "refusal": "I cannot."})) as server:
        trajectory, notes = ended(server, DIRECT)
    assert (trajectory.stop, trajectory.answer) == (Stop.ANSWERED, "I cannot.")
    assert notes == ["refusals, read as the model's text (1 reply)"]


def test_hidden_thoughts_that_used_up_the_limit_are_a_cut_reply_not_an_error() -> None:
    with serve(reply=says({"content": "", "tokens": 300, "finish_reason": "length"})) as server:
        assert ended(server)[0].stop is Stop.LENGTH


def test_where_the_server_returns_token_ids_the_text_is_the_models_to_the_letter(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(tiny))
    wrote = f"<think>seen {ANSWER}</think>"  # the parser leaves the same as of a text without any tag
    message = {"content": None, "reasoning": f"seen {ANSWER}"}
    with serve(
        reply=says(message), token_ids=lambda: tokenizer.encode(wrote, add_special_tokens=False), image_pad=image_pad(tiny)
    ) as server:
        trajectory, notes = ended(server, pretrained=str(tiny))
    assert trajectory.turns[0].text == wrote
    assert any("decoded from token ids" in note for note in notes)


DROPPED = f'<think>seen</think> <tool_call>\n{{"name": "image_zoom_in_tool", "arguments": {json.dumps(BOX)}}}\n</tool_call>'
"""Under vLLM's parser `qwen3` the call is gone: it is JSON, and the parser expects XML."""


@pytest.mark.parametrize("message", [{"content": None, "reasoning": "seen"}, {"content": "seen"}, {"content": None}])
def test_what_a_parser_dropped_is_had_from_the_server_itself(message: dict[str, Any]) -> None:
    with serve(
        reply=says({**message, "tokens": 60}, ANSWER),
        token_ids=lambda: [1] * 60,
        detokenize=lambda ids: f"{DROPPED}<|im_end|>" if len(server.log) == 1 else ANSWER,
    ) as server:
        trajectory, notes = ended(server)
    assert (trajectory.stop, trajectory.zooms, trajectory.turns[0].text) == (Stop.ANSWERED, 1, DROPPED)
    assert any("decoded from token ids" in note for note in notes)


@pytest.mark.parametrize("message", [{"content": None, "reasoning": "seen"}, {"content": "seen"}])
def test_without_token_ids_a_text_too_short_for_its_tokens_is_an_error(message: dict[str, Any]) -> None:
    with serve(owner="sglang", reply=says({**message, "tokens": 60})) as server:
        trajectory, _ = ended(server)
    assert trajectory.stop is Stop.ERROR
    assert "60 tokens were generated: a parser of the server dropped" in str(trajectory.error)


def test_fields_that_are_not_read_are_named_and_counted() -> None:
    beside = {"timings": {"predicted_ms": 3}, "provider": "X", "citations": []}
    with serve(reply=says({"content": ANSWER, "annotations": [{"url": "x"}]}), beside=beside) as server:
        _, notes = ended(server)
    assert notes == ["fields of replies that were not read: timings (1), provider (1), message.annotations (1)"]


@pytest.mark.parametrize("finish", ["stop", "eos_token", "stop_sequence", "end_turn", "STOP"])
def test_each_servers_word_for_the_end_of_a_turn_is_known(finish: str) -> None:
    with serve(reply=says(ANSWER), finish=finish) as server:
        assert ended(server)[0].stop is Stop.ANSWERED


class TestPromptTokens:
    """Servers that shrink images or cut prompts tell it by the tokens of the prompt."""

    def test_fewer_than_the_images_need_stop_the_run(self, tiny: Path) -> None:
        with (
            serve(owner="library", seen=lambda asked: 1) as server,
            pytest.raises(EngineUnusableError, match="shrinks images or cuts"),
        ):
            ended(server, DIRECT, pretrained=str(tiny))

    def test_boxes_in_pixels_need_no_files_to_be_protected(self) -> None:
        few = {"usage": {"prompt_tokens": 9, "completion_tokens": 3}}
        with serve(owner="library", beside=few) as server, pytest.raises(EngineUnusableError, match="num_ctx"):
            ended(server, COF)

    def test_of_an_unknown_family_they_are_counted_and_said(self) -> None:
        with serve(owner="openai", seen=lambda asked: 0, reply=says("B")) as server:
            trajectory, notes = ended(server, DIRECT)
        assert trajectory.stop is Stop.ANSWERED
        assert any(note.startswith("prompts with fewer tokens than the images need") for note in notes)

    def test_what_the_server_took_from_its_cache_counts(self, tiny: Path) -> None:
        usage = {"prompt_tokens": 20, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 500_000}}
        with serve(owner="library", reply=says("B"), beside={"usage": usage}) as server:
            assert ended(server, DIRECT, pretrained=str(tiny))[0].stop is Stop.ANSWERED
