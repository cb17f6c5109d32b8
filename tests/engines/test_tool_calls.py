"""Native tool calls over HTTP: what travels, what servers make of it, and what a hosted model's run costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import ChatRequest, FakeServer, serve
from fakes import subject
from hypothesis import given
from hypothesis import strategies as st
from real import Served, cof_eval

from cof_eval.agent.protocols import PROTOCOLS, Protocol
from cof_eval.agent.rollout import rollout
from cof_eval.core.errors import EngineError, EngineUnusableError, UsageError
from cof_eval.core.journal import read_journal
from cof_eval.core.records import Stop, Trajectory
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.engines.native_calls import call_json, read_calls
from cof_eval.report import report_runs
from cof_eval.runs.finding import Finding, Level
from cof_eval.runs.folder import load_run
from cof_eval.runs.native_probe import check_native_call
from cof_eval.runs.spending import FILE, Paid
from cof_eval.servers import ReplyMessage

pytestmark = pytest.mark.slow

TOOLS = PROTOCOLS["tools"]
BOX = '{"bbox_2d": [100, 100, 600, 600]}'
Message = dict[str, Any]


def calls(*given: Any, content: object = None, **more: Any) -> Message:
    return {"content": content, "tool_calls": list(given), "finish_reason": "tool_calls", **more}


def made(arguments: object = BOX, name: object = "zoom_in", **more: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def then(first: Message | str, answer: str = "<answer>B</answer>") -> Callable[[ChatRequest], str | Message]:
    """Says this first, and answers from then on."""
    return lambda asked: answer if asked.turn else first


def roll(server: FakeServer, protocol: Protocol = TOOLS) -> Trajectory:
    async def run() -> Trajectory:
        settings = EngineSettings(
            pretrained="by-name", base_url=server.url, engine_args={"retries": 0, "backoff_s": 0.001, "patience_s": 0.3}
        )
        engine = await open_engine("openai", settings, protocol)
        try:
            return await rollout(subject(native=(1000, 700)), engine, protocol)
        finally:
            await engine.close()

    return asyncio.run(run())


def test_tool_calls_and_answers_travel_as_the_interface_has_them() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "abc"}}}
    with serve(reply=then(calls(made(**signed), made("{}", id="c2"), content="Closer."))) as server:
        result = roll(server)
    assert (result.stop, result.answer, result.zooms, result.tool_errors) == (Stop.ANSWERED, "B", 1, 1)
    first, second = (asked.body for asked in server.log)
    assert first["tools"] == second["tools"] == [TOOLS.tools[0].schema()]
    said, *told, shown = second["messages"][2:]
    assert (said["role"], said["content"]) == ("assistant", "Closer.")
    assert said["tool_calls"] == [made(**signed), made("{}", id="c2")]
    assert [(m["role"], m["tool_call_id"], type(m["content"])) for m in told] == [("tool", "c1", str), ("tool", "c2", str)]
    assert (shown["role"], [part["type"] for part in shown["content"]]) == ("user", ["text", "image_url"])


@pytest.mark.parametrize(
    "message",
    [
        calls(made(json.loads(BOX))),
        calls(made(), finish_reason="stop"),
        calls(made(id=None)),
        calls(made(), content=""),
        calls(made(), content=[{"type": "text", "text": "Closer."}]),
        calls({"function": {"name": "zoom_in", "arguments": BOX}}),
        {"content": None, "function_call": {"name": "zoom_in", "arguments": BOX}, "finish_reason": "function_call"},
        {"content": None, "tool_calls": [], "function_call": {"name": "zoom_in", "arguments": BOX}, "finish_reason": "stop"},
        {"content": [{"type": "tool_use", "id": "t", "name": "zoom_in", "input": json.loads(BOX)}], "finish_reason": "tool_use"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("owner", ["vllm", "openai"])
def test_a_call_in_any_shape_that_servers_give_is_executed(message: Message, owner: str) -> None:
    with serve(reply=then(message), owner=owner) as server:
        result = roll(server)
    assert (result.stop, result.zooms, result.error) == (Stop.ANSWERED, 1, None)


@pytest.mark.parametrize(
    "bad", [made("{not json"), made("[]"), made(None), made(name=None), made(name="browse"), made(BOX, name=7)]
)
def test_a_call_that_cannot_be_executed_goes_back_as_servers_can_read_it(bad: dict[str, Any]) -> None:
    with serve(reply=then(calls(bad))) as server:
        result = roll(server)
    assert (result.stop, result.tool_errors) == (Stop.ANSWERED, 1)
    (sent,) = server.log[1].body["messages"][2]["tool_calls"]
    assert isinstance(json.loads(sent["function"]["arguments"]), dict)
    assert sent["function"]["name"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (calls(content=None), "but gave no call"),
        (calls(content="I zoom."), "but gave no call"),
        (calls("zoom_in"), "without a function"),
        (calls({"type": "function"}), "without a function"),
        ({"content": None, "tool_calls": "zoom_in", "finish_reason": "tool_calls"}, "no list"),
    ],
)
def test_what_is_no_call_is_an_error_of_the_server(message: Message, says: str) -> None:
    with serve(reply=then(message)) as server:
        result = roll(server)
    assert result.stop is Stop.ERROR
    assert says in str(result.error)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=6), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "function", "name", "arguments", "type", "x"]), inner, max_size=4), max_leaves=8)  # fmt: skip


@given(tool_calls=JSON, function_call=JSON, content=JSON)
def test_no_shape_of_calls_ends_in_anything_but_calls_or_an_engine_error(
    tool_calls: object, function_call: object, content: object
) -> None:
    with contextlib.suppress(EngineError):
        read = read_calls(ReplyMessage(content=content, tool_calls=tool_calls, function_call=function_call))
        assert all(isinstance(each.id + each.name + each.arguments, str) for each in read)
        json.dumps([call_json(each) for each in read])


def test_an_empty_list_of_calls_is_a_turn_without_calls() -> None:
    with serve(reply=lambda asked: {"content": "It is B.", "tool_calls": []}) as server:
        assert roll(server).answer == "It is B."


def test_a_server_that_takes_no_tools_ends_the_run_with_its_flag() -> None:
    says = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    with (
        serve(fault=lambda asked: (400, says)) as server,
        pytest.raises(EngineUnusableError, match=r"takes no tools: .*--tool-call-parser NAME"),
    ):
        roll(server)


@pytest.mark.parametrize(
    ("said", "level", "says"),
    [
        (calls(made()), Level.OK, "the model called zoom_in"),
        (calls(made("{not")), Level.WARNING, "cannot be executed"),
        (f"<tool_call>{BOX}</tool_call>", Level.FAILED, "left the model's call in the text"),
        ("I see blue.", Level.WARNING, "the model replied \"I see blue.\""),
        (calls(content=None), Level.FAILED, "gave no call"),
    ],
)  # fmt: skip
def test_the_doctor_tells_whether_a_call_arrives_as_one(said: Message | str, level: Level, says: str) -> None:
    async def probe(server: FakeServer) -> list[Finding]:
        engine = await open_engine("openai", EngineSettings(pretrained="by-name", base_url=server.url), TOOLS)
        try:
            return [*await check_native_call(engine, TOOLS), *await check_native_call(engine, PROTOCOLS["cof"])]
        finally:
            await engine.close()

    with serve(reply=lambda asked: said) as server:
        (found,) = asyncio.run(probe(server))
    assert (found.level, says in found.says) == (level, True), found.says


def gpt(body: dict[str, Any]) -> str:
    """The words of a reasoning model of OpenAI's for a request that it does not take."""
    if "max_tokens" in body:
        return "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    for name in set(body) - {
        "model",
        "messages",
        "tools",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
    }:
        return f"Unrecognized request argument supplied: {name}"
    for name in {"top_p", "presence_penalty", "frequency_penalty"} & set(body):
        return f"Unsupported parameter: '{name}' is not supported with this model."
    if body.get("temperature", 1) != 1:
        return "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported."
    return ""


def test_what_a_reasoning_model_refuses_is_found_out_once_and_recorded() -> None:
    async def run(server: FakeServer) -> tuple[list[Trajectory], dict[str, Any]]:
        engine = await open_engine("openai", EngineSettings(pretrained="gpt-5", base_url=server.url), TOOLS)
        try:
            ended = await asyncio.gather(
                *(rollout(replace(subject(native=(1000, 700)), key=str(k)), engine, TOOLS) for k in range(6))
            )
            return ended, engine.facts  # type: ignore[attr-defined]
        finally:
            await engine.close()

    def fault(asked: ChatRequest) -> tuple[int, str] | None:
        return (400, says) if (says := gpt(asked.body)) else None

    with serve(reply=then(calls(made())), owner="openai", context=None, fault=fault) as server:
        ended, facts = asyncio.run(run(server))
        taken = [asked.body for asked in server.log if asked.fault is None]
    assert [(each.stop, each.zooms) for each in ended] == [(Stop.ANSWERED, 1)] * 6
    assert len(taken) == 12
    assert len(server.log) - len(taken) <= 10
    assert all(body["max_completion_tokens"] == TOOLS.max_new_tokens and "temperature" not in body for body in taken)
    (told,) = facts["asked"].values()
    assert "temperature" in told["left_out"]


LEFT = f'<tool_call>{{"name": "zoom_in", "arguments": {BOX}}}</tool_call>'
PRICES = "models: {by-name: {input: 1000, cached: 100, output: 1000, per_image: 0.01}}"


def hosted(server: FakeServer, scenes: Path, folder: Path, *more: str) -> tuple[int, str]:
    """One session of `cof-eval run` against a hosted model with prices: its exit status, and what it said."""
    (folder / "prices.yaml").write_text(PRICES)
    done = cof_eval(
        "run", "--model", "by-name", "--protocol", "tools", "--engine", "openai", "--base-url", server.url, "--data", f"vstar={scenes}",
        "--resolutions", "224", "--limit", "4", "--out", folder / "run", "--prices", folder / "prices.yaml", *more,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_budget_ends_a_run_cleanly_and_a_higher_one_resumes_it(scenes: Path, tmp_path: Path) -> None:
    firsts = iter([calls(made()), LEFT, *[calls(made())] * 9])
    with serve(models=["by-name"], owner="openai", context=None) as server:
        server.reply = lambda asked: "<answer>A</answer>" if asked.turn else next(firsts)
        status, told = hosted(server, scenes, tmp_path, "--budget", "18.5", "--concurrency", "1")
        assert status == 3, told
        assert "the budget of $18.50 is reached" in told
        assert "with a higher --budget" in told
        assert "Traceback" not in told
        begun = len(server.log)
        status, told = hosted(server, scenes, tmp_path, "--budget", "1000")
        assert status == 0, told
    run, paid = load_run(tmp_path / "run"), list(read_journal(tmp_path / "run" / FILE, Paid))
    assert (len(run.trajectories), len(paid)) == (4, len(server.log))
    assert 0 < begun < len(server.log)
    report = (tmp_path / "run" / "report" / "report.md").read_text()
    assert "per correct answer; spent $" in report
    assert "the server left calls in the text (1 calls" in report
    assert "usd_per_correct" in (tmp_path / "run" / "report" / "sweep.csv").read_text()
    assert (run.settings["prices"]["model"]["input"], run.settings["sessions"][-1]["budget"]) == (1000, 1000)


def test_the_estimate_says_dollars_and_refuses_a_model_without_a_price(scenes: Path, tmp_path: Path) -> None:
    from cof_eval.cli.estimate import estimate_run
    from cof_eval.runs.estimate_text import NO_PRICES

    (tmp_path / "prices.yaml").write_text(PRICES)
    arguments = {"engine": "openai", "protocol": "tools", "run": str(tmp_path / "run"), "prices": str(tmp_path / "prices.yaml")}

    def lines(model: str) -> str:
        with serve(models=[model], owner="openai") as server:
            told = estimate_run(
                {**arguments, "pretrained": model, "base_url": server.url}, benchmarks="vstar", resolutions="224", data=[f"vstar={scenes}"],
                limit=2, repeats=1, order="dataset", rates_from=None, prices=NO_PRICES, gpus=None,
            )  # fmt: skip
            return "\n".join(asyncio.run(told))

    assert re.search(r"visual tokens +\$\n", lines("by-name"))
    with pytest.raises(UsageError, match="no prices of 'other'; it has: by-name"):
        lines("other")


@pytest.mark.engine
def test_a_real_server_with_a_tool_parser_zooms_natively_and_the_run_has_its_price(
    served: Served, scenes: Path, tmp_path: Path
) -> None:
    (tmp_path / "prices.yaml").write_text("models: {tiny: {input: 1, cached: 0.5, output: 2}}")
    done = cof_eval(
        "run", "--model", served.checkpoint, "--protocol", "tools_forced", "--engine", "openai", "--base-url", served.url, "--served-name", "tiny",
        "--data", f"vstar={scenes}", "--resolutions", "224", "--limit", "2", "--out", tmp_path / "run", "--prices", tmp_path / "prices.yaml",
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    run = load_run(tmp_path / "run")
    for each in run.trajectories.values():
        assert (each.stop, each.zooms, each.tool_errors, each.verified) == (Stop.ANSWERED, 2, 0, True)
        assert [len(turn.tool_calls) for turn in each.turns] == [1, 1, 0]
        assert "<|" not in each.answer
    (report,) = report_runs([run])
    row = report.rows.iloc[0]
    assert row["usd"] == pytest.approx((row["prompt_tokens"] - 0.5 * row["cached_tokens"] + 2 * row["output_tokens"]) / 1e6)
