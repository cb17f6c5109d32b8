"""Protocols: prompts to the letter, limits, and names."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import jinja2
import msgspec
import pytest
from fakes import LIMITS, noise, question

from cof_eval.agent import protocols
from cof_eval.agent.protocols import (
    COF,
    COF_FORCED,
    COF_RELEASED,
    DIRECT,
    DIRECT_FORCED,
    PROTOCOLS,
    BoxFrame,
    Protocol,
    fill,
    parse_protocol,
)
from cof_eval.agent.protocols.qwen3_vl import TOOL
from cof_eval.agent.reply import SYNTAXES, CallSyntax, parse_reply
from cof_eval.agent.zoom import CropSource, View
from cof_eval.core.errors import UsageError
from cof_eval.core.resolution import RESOLUTIONS
from cof_eval.runs.finding import Level
from cof_eval.runs.selftest import selftest


def test_the_cof_prompts_are_those_that_the_checkpoints_were_trained_with(contracts: Path) -> None:
    contract = json.loads(contracts.read_text())["cof"]
    assert (COF.system, COF.question, COF.format) == (contract["system"], contract["question"], contract["format"])


def test_the_deepeyes_prompts_are_those_that_the_checkpoints_were_trained_with(contracts: Path) -> None:
    contract = json.loads(contracts.read_text())["deepeyes"]
    protocol = PROTOCOLS["deepeyes"]
    assert (protocol.system, protocol.format) == (contract["system"], contract["format"])
    parts = "".join(contract["tool_turn"])
    assert protocol.crop_turn == parts
    options = "\n" + "".join(f"{letter}. {text}\n" for letter, text in zip("ABCD", question().options, strict=True))
    expected = contract["question"].format(question="What is the color of the mug?", options=options, format=contract["format"])
    assert protocol.prompt(question().text, question().options) == expected


def test_the_mini_o3_prompts_are_those_that_the_checkpoints_were_trained_with(contracts: Path) -> None:
    contract = json.loads(contracts.read_text())["mini_o3"]
    protocol = PROTOCOLS["mini_o3"]
    (turn,) = contract["tool_turn"]
    filled = fill(protocol.crop_turn, action="{action_turn}", observation="{observation_turn}")
    assert (protocol.system, filled) == (
        contract["system"],
        turn.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>"),
    )
    assert protocol.error_turn.endswith(contract["error_turn"])


def test_the_pixel_reasoner_prompts_are_those_that_the_checkpoints_were_trained_with(contracts: Path) -> None:
    contract = json.loads(contracts.read_text())["pixel_reasoner"]
    protocol = PROTOCOLS["pixel_reasoner"]
    first = re.findall(r"<tools>\n(.*)\n.*\n</tools>", protocol.system)[0]
    assert json.loads(first) == {"type": "function", "function": contract["tool"]}
    assert protocol.prompt("Why?") == "Why?" + contract["guidelines"]
    assert (protocol.tool, protocol.pad, protocol.min_side) == (
        contract["tool"]["name"],
        contract["crop"]["padding"],
        contract["crop"]["min_side_px"] + 1,
    )


def test_the_qwen3_vl_prompts_are_what_its_own_template_makes_of_a_tool_and_its_responses() -> None:
    """TRL ships the template of Qwen3-VL's checkpoints to the letter."""
    location = importlib.util.find_spec("trl")
    if location is None or not location.submodule_search_locations:
        pytest.skip("TRL, which ships Qwen3-VL's chat template, is not installed")
    source = (Path(location.submodule_search_locations[0]) / "chat_templates" / "qwen3_vl.jinja").read_text()
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)  # as transformers does
    template = environment.from_string(source)
    image, protocol = {"type": "image"}, PROTOCOLS["qwen3_vl"]
    user = {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}
    said = {"role": "assistant", "content": protocol.call_text((1, 2, 3, 4)) * 2}
    tools = [{"role": "tool", "content": [image]}, {"role": "tool", "content": "too small"}]
    theirs = template.render(
        messages=[user, said, *tools], tools=[{"type": "function", "function": TOOL}], add_generation_prompt=True
    )
    before, after = protocol.crop_turn.split("<image>")
    texts = [before, image, after, protocol.between, fill(protocol.error_turn, error="too small")]
    results = {"role": "user", "content": [t if isinstance(t, dict) else {"type": "text", "text": t} for t in texts]}
    system = {"role": "system", "content": protocol.system}
    assert template.render(messages=[system, user, said, results], add_generation_prompt=True) == theirs


def test_a_question_without_options_is_asked_without_any() -> None:
    prompt = PROTOCOLS["deepeyes"].prompt("What does the sign say?")
    assert prompt.startswith("Question: What does the sign say?\n\nThink first")
    assert "Options" not in prompt


@pytest.mark.parametrize("protocol", [p for p in PROTOCOLS.values() if p.zooms], ids=lambda p: p.name)
def test_a_call_is_written_as_it_is_read(protocol: Protocol) -> None:
    (found,) = protocol.read(protocol.call_text((0.1, 0.2, 0.3, 0.4), 1)).calls
    assert (found.name, found.error) == (protocol.tool, None)
    assert found.arguments is not None
    assert found.arguments["bbox_2d"] == [0.1, 0.2, 0.3, 0.4]
    assert set(found.arguments) == {"bbox_2d", *filter(None, [protocol.image_argument]), *protocol.text_arguments}


NEW = """
from dataclasses import replace
from cof_eval.agent.protocols.cof import COF
MINE = replace(COF, name="mine", widen=1.0)
"""


def test_a_new_protocol_is_one_new_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(NEW)
    protocols.__path__.append(str(tmp_path))
    try:
        found = protocols._found()
    finally:
        protocols.__path__.remove(str(tmp_path))
        sys.modules.pop("cof_eval.agent.protocols.mine", None)
    assert set(found) - set(PROTOCOLS) == {"mine"}
    (finding,) = selftest(found["mine"], LIMITS, [RESOLUTIONS["224"]])
    assert finding.level is Level.OK


def test_a_new_call_syntax_is_one_more_file() -> None:
    package = Path(protocols.__file__).parent.parent
    elsewhere = [path for path in package.rglob("*.py") if path.parent.name != "protocols" and path.name != "calls.py"]
    for syntax in set(CallSyntax) - {
        CallSyntax.NONE,
        CallSyntax.TOOL_CALL,
        CallSyntax.PATTERN,
    }:  # the default, and the one without code
        assert not [path for path in elsewhere if f"CallSyntax.{syntax.name}" in path.read_text()]
    assert set(SYNTAXES) == set(CallSyntax)


class TestYaml:
    def write(self, tmp_path: Path, text: str) -> str:
        (tmp_path / "mine.yaml").write_text(text)
        return str(tmp_path / "mine.yaml")

    def test_a_file_says_where_it_starts_from_and_what_it_changes(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "base: mini_o3\nmax_turns: 3\ncrop_source: shown\n")
        assert parse_protocol(path) == replace(PROTOCOLS["mini_o3"], name="mine", max_turns=3, crop_source=CropSource.SHOWN)

    def test_settings_of_a_file_change_like_any_others(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "name: shy\nsystem: ''\nquestion: '{question}'\n")
        assert parse_protocol(path, {"max_turns": 2}).name == "shy+max_turns=2"
        assert parse_protocol(path).system == ""

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("base: cof\nmax_turn: 3\nwide: 2", "unknown max_turn, wide; known: system, question, "),
            ("base: coff", "unknown base 'coff'; known: cof, "),
            ("base: cof\nmax_turns: many", r"max_turns"),
            ("base: cof\ncrops: torn", r"crops"),
            ("base: cof\nname: direct", "the name 'direct' cannot be used"),
            ("base: cof\nname: ../x", "cannot be used"),
            ("base: cof\nmax_turns: 0", "must be positive"),
            ("base: cof\ncrop_turn: none", "must hold <image> once"),
            ("base: cof\nimage_naming: from_one", "go together"),
            ("base: cof\noutside: ignore", "unknown outside 'ignore'; known: refuse, clip, clip_last_pixel, pad"),
            ("base: cof\nstop: [1]", "stop"),
            ("base: cof\nstop: ['']", "would end every turn"),
            ("base: cof\ntop_p: 2", "between 0 and 1"),
            ("base: cof\nimage_default: 0", "image_default=0 must be the index"),
            ("base: cof\ncall_syntax: pattern", "go together"),
            ("base: cof\ncall_syntax: pattern\ncall_pattern: '{box}'", "must begin with the text that opens a call"),
            ("base: cof\nshown_fits: [{by: scale, sclae: 2}]", "unknown sclae; known: by, min_pixels"),
            ("base: cof\nshown_fits: [{by: half}]", "unknown by 'half'; known: patches, area, short_side, scale"),
            ("base: cof\nshown_fits: [{by: short_side}]", "cannot be done"),
            ("base: cof\nshown_fits: 3", "shown_fits"),
            ("base: cof\nmin_pixels: 10\nmax_pixels: 5", "0 < min_pixels"),
            ("base: cof\nchat_template_kwargs: [1]", "chat_template_kwargs"),
            ("max_turns: 3", "neither base nor system"),
            ("- 1", "holds no settings"),
            ("", "holds no settings"),
            ("a: [", "cannot be read"),
            ("!!python/object/apply:os.system ['true']", "cannot be read"),
        ],
    )
    def test_what_cannot_be_used_is_said_in_one_line(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(UsageError, match=says) as caught:
            parse_protocol(self.write(tmp_path, text))
        assert "\n" not in str(caught.value)

    def test_a_file_that_is_not_there_is_named(self) -> None:
        with pytest.raises(UsageError, match=r"protocol file nowhere.yaml cannot be read: No such file"):
            parse_protocol("nowhere.yaml")


def test_a_question_enters_the_prompt_verbatim() -> None:
    text = "What is {this}? {format} {question} 100% \\n"
    assert COF.prompt(text).startswith(f"Question: {text}\nThink in the mind first")
    assert DIRECT.prompt(text) == text


def test_the_tool_in_the_prompt_is_the_tool_that_is_executed() -> None:
    from cof_eval.agent.zoom import TOOL_NAME

    (schema,) = re.findall(r"<tools>\n(.*)\n</tools>", COF.system)
    assert json.loads(schema)["function"]["name"] == TOOL_NAME


def test_the_released_protocol_differs_from_cof_only_in_its_quirks() -> None:
    changed = {f for f in msgspec.to_builtins(COF) if msgspec.to_builtins(COF)[f] != msgspec.to_builtins(COF_RELEASED)[f]}
    reading = {"call_dialect", "call_unclosed", "exact_tags", "answer_tag", "answer_form", "answer_place", "first_box"}
    resizing = {"shown_fits", "crop_fits", "shown_filter", "crop_filter"}
    assert changed == {"name", "precedence", "calls_per_turn", "bad_call", "any_tool", *reading, *resizing}


def test_the_baseline_sees_the_same_pixels() -> None:
    assert COF.limits(LIMITS) == DIRECT.limits(LIMITS)


def test_a_forced_reply_is_one_the_parser_reads() -> None:
    text = '<think>look at this</think> <tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [10, 20, 110, 120]}}</tool_call>'
    assert re.fullmatch(COF_FORCED.turn_pattern(0) or "", text)
    assert parse_reply(text, COF.call_syntax, COF.answer_syntax).calls[0].arguments == {"bbox_2d": [10, 20, 110, 120]}
    done = "<think>look at this</think> <answer>B</answer>"
    for pattern in (COF_FORCED.turn_pattern(2), COF_FORCED.turn_pattern(9), DIRECT_FORCED.turn_pattern(0)):
        assert re.fullmatch(pattern or "", done)
    assert COF.turn_pattern(0) is None


@pytest.mark.parametrize("frame", list(BoxFrame))
def test_every_frame_spans_the_whole_image(frame: BoxFrame) -> None:
    view = View(noise(56, 28), (112, 56))
    box_frame = replace(COF, frame=frame).box_frame(view)
    assert box_frame.name == ("unit" if frame.value.endswith("_or_pixels") else frame.value)
    assert box_frame.covers == (0, 0, 1, 1)


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"known: cof, cof_released, cof_forced, .*deepeyes, .*, or the path of a .yaml file"):
        parse_protocol("deepeye")
    assert parse_protocol("cof") is COF


def test_one_setting_changes_and_the_name_says_so() -> None:
    changed = parse_protocol("cof", {"bad_call": "whole_image"})
    assert changed == replace(COF, bad_call=COF_RELEASED.bad_call, name="cof+bad_call=whole_image")
    assert parse_protocol("cof", {}) is COF


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"max_turn": 3}, "unknown max_turn; known: system, "), ({"max_turns": "many"}, "max_turns"), ({"bad_call": "x"}, "bad_call"),
     ({"name": "mine"}, "unknown name"), ({"max_turns": 0}, "must be positive")],
)  # fmt: skip
def test_changes_that_cannot_be_made_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_protocol("cof", changes)


@pytest.mark.parametrize("change", [{"max_turns": 0}, {"max_new_tokens": -1}, {"widen": 0}, {"temperature": -0.1}])
def test_impossible_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        replace(COF, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.name)
def test_a_protocol_survives_the_way_through_json(protocol: Protocol) -> None:
    assert msgspec.json.decode(msgspec.json.encode(protocol), type=Protocol) == protocol
    assert protocol.call_syntax in CallSyntax
