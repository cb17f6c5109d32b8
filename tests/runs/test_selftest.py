"""The coordinate self-test: passes for every protocol and resolution, and fails where coordinates are wrong."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import ClassVar

import pytest

from cof_eval.agent.protocols import PROTOCOLS, Crops, Protocol, complete
from cof_eval.agent.protocols.asking import Numbering
from cof_eval.agent.protocols.calling import AtLimit, Calls
from cof_eval.agent.region import Edges, FlatBox, Outside
from cof_eval.agent.reply import AnswerForm, AnswerPlace, AnswerTag, CallPlace, CallSyntax, Dialect, Unclosed
from cof_eval.agent.view import ImageNaming, View
from cof_eval.agent.zoom import CropOfCrop, CropSize, CropSource, ToolKind, ZoomRules
from cof_eval.core.geometry import Frame
from cof_eval.core.resolution import RESOLUTIONS, Filter, Fit, FitBy, PixelLimits
from cof_eval.runs.finding import Finding, Level
from cof_eval.runs.selftest import selftest

DISTINCT = [name for name in PROTOCOLS if not name.endswith("_forced")]


def examined(protocol: Protocol, *resolutions: str) -> Finding:
    factor = protocol.factor or 28
    limits = PixelLimits(factor, 4 * factor**2, 16_384 * factor**2)
    (finding,) = selftest(protocol, limits, [RESOLUTIONS[name] for name in resolutions or RESOLUTIONS])
    return finding


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTINCT)
def test_zooms_show_what_they_point_at_under_every_protocol_at_every_resolution(name: str) -> None:
    finding = examined(PROTOCOLS[name])
    assert finding.level is Level.OK, finding.says


@pytest.mark.parametrize("source", list(CropSource))
@pytest.mark.parametrize("crops", [Crops.WITHHELD, Crops.RANDOM, Crops.ORACLE])
def test_switches_of_a_protocol_are_examined_too(source: CropSource, crops: Crops) -> None:
    assert examined(replace(PROTOCOLS["cof"], crop_source=source, crops=crops), "448").level is Level.OK


def altered(kind: type[Protocol], name: str) -> Protocol:
    return kind(**{f.name: getattr(PROTOCOLS[name], f.name) for f in fields(Protocol)})


class Swapped(Protocol):
    """Takes width for height."""

    def box_frame(self, view: View) -> Frame:
        return Frame.shown(view.shown.height, view.shown.width)


class OfNative(Protocol):
    """Cuts the native image with boxes of the shown one: off by an eighth where that is an eighth smaller."""

    def box_frame(self, view: View) -> Frame:
        return Frame.shown(round(view.shown.width * 1.12), round(view.shown.height * 1.12))


class Widening(Protocol):
    """Widens twice as much as it says."""

    def zoom_rules(self, limits: PixelLimits) -> ZoomRules:
        rules = Protocol.zoom_rules(self, limits)
        return replace(rules, widen=2 * rules.widen)


@pytest.mark.parametrize("kind", [Swapped, OfNative, Widening])
@pytest.mark.parametrize("name", ["cof", "deepeyes"])
def test_wrong_coordinates_are_found(kind: type[Protocol], name: str) -> None:
    finding = examined(altered(kind, name), "448")
    assert finding.level is Level.FAILED
    assert "other pixels than were asked for" in finding.says


def test_a_protocol_whose_own_calls_are_refused_is_found() -> None:
    finding = examined(replace(PROTOCOLS["cof"], tool="look_closer", min_side=5000), "224")
    assert finding.level is Level.FAILED
    assert "at least 5000 x 5000 are needed" in finding.says


MORE: dict[str, dict[str, object]] = {
    "numbering": {"numbering": Numbering.TURNS},
    "chat_template_kwargs": {"chat_template_kwargs": {"enable_thinking": True}},
    "call_syntax": {"call_syntax": CallSyntax.FUNCTION},
    "call_pattern": {
        "call_syntax": CallSyntax.PATTERN,
        "call_pattern": "<z>{tool}({x1}, {y1}, {x2}, {y2})</z>",
        "tool": "crop",
    },
    "call_dialect": {"call_dialect": Dialect.JSON5},
    "call_unclosed": {"call_unclosed": Unclosed.REFUSE},
    "call_place": {"call_place": CallPlace.END},
    "exact_tags": {"exact_tags": True},
    "answer_tag": {"answer_tag": AnswerTag.FIRST},
    "answer_form": {"answer_form": AnswerForm.LINE},
    "answer_place": {"answer_place": AnswerPlace.OUTSIDE},
    "first_box": {"first_box": True},
    "calls": {"calls": Calls.NATIVE},
    "tool_schema": {"calls": Calls.NATIVE, "tool_schema": {"description": "Look closer."}},
    "tool_turn": {"calls": Calls.NATIVE, "tool_turn": "The crop is {width} x {height}."},
    "native_crops": {"calls": Calls.NATIVE, "image_naming": ImageNaming.FROM_ONE, "image_argument": "image"},
    "image_default": {"image_naming": ImageNaming.FROM_ZERO, "image_argument": "img_idx", "image_default": 0},
    "image_from_end": {"image_naming": ImageNaming.FROM_ZERO, "image_argument": "img_idx", "image_from_end": True},
    "tool_kind": {"tool_kind": ToolKind.WHOLE},
    "any_tool": {"any_tool": True},
    "box_argument": {"box_argument": "box"},
    "text_arguments": {"text_arguments": ("label",)},
    "at_limit": {"at_limit": AtLimit.TEXT},
    "answer_turns_all": {"answer_turns_all": True},
    "outside": {"outside": Outside.PAD},
    "clip": {"outside": Outside.CLIP},
    "clip_last_pixel": {"outside": Outside.CLIP_LAST_PIXEL},
    "flat_box": {"flat_box": FlatBox.PAD, "pad": 0.1},
    "edges": {"edges": Edges.ROUND},
    "max_aspect": {"max_aspect": 50.0},
    "crop_of_crop": {"crop_of_crop": CropOfCrop.ENLARGED, "image_naming": ImageNaming.FROM_ONE, "image_argument": "image"},
    "crop_size_from": {"crop_size_from": CropSize.BOX},
    "size_floor": {"size_floor": True},
    "shown_size_floor": {"shown_size_floor": True},
    "late_aspect": {"late_aspect": True, "size_floor": True},
    "shown_filter": {"shown_filter": Filter.NEAREST},
    "crop_filter": {"crop_filter": Filter.BICUBIC},
    "shown_fits": {"shown_fits": (Fit(by=FitBy.AREA, min_pixels=40_000, max_pixels=2_000_000),)},
    "crop_fits": {"crop_fits": (Fit(by=FitBy.SHORT_SIDE, side=500), Fit(by=FitBy.SCALE, scale=0.9))},
    "top_k": {"top_k": 20},
    "min_p": {"min_p": 0.1},
    "presence_penalty": {"presence_penalty": 1.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "stop": {"stop": ("</tool_call>",)},
    "stop_kept": {"stop": ("</tool_call>",), "stop_kept": False},
    "zoom_tokens": {"zoom_tokens": 1},
}
"""A protocol with each setting at another value than its default, those aside that every test above has at work."""


def test_every_setting_is_at_work_in_a_self_test() -> None:
    assert set(complete({})) <= {name for change in MORE.values() for name in change}


@pytest.mark.parametrize("change", MORE.values(), ids=MORE)
@pytest.mark.parametrize("source", list(CropSource))
@pytest.mark.parametrize("resolution", ["448", pytest.param("native", marks=pytest.mark.slow)])
def test_zooms_show_what_they_point_at_with_every_setting(
    change: dict[str, object], source: CropSource, resolution: str
) -> None:
    protocol = replace(PROTOCOLS["cof"], crop_source=source, **change)  # type: ignore[arg-type]
    finding = examined(protocol, resolution)
    assert finding.level is Level.OK, finding.says


class Lying(Protocol):
    """Does something else than one of its settings says."""

    lie: ClassVar[dict[str, object]] = {}

    def zoom_rules(self, limits: PixelLimits) -> ZoomRules:
        return replace(super().zoom_rules(limits), **self.lie)


@pytest.mark.parametrize(
    ("says", "does"),
    [
        ({"outside": Outside.PAD}, {"outside": Outside.CLIP}),
        ({"outside": Outside.CLIP}, {"outside": Outside.PAD}),
        ({"pad": 0.2}, {"pad": 0.0}),
        ({"box_argument": "box"}, {"box_argument": "bbox"}),
        ({"text_arguments": ()}, {"text_arguments": ("label",)}),
        ({"tool_kind": ToolKind.WHOLE}, {"kind": ToolKind.CROP}),
        ({"image_naming": ImageNaming.FROM_ONE, "image_argument": "image"}, {"naming": ImageNaming.FROM_ZERO}),
    ],
)
def test_a_setting_that_does_something_else_fails(says: dict[str, object], does: dict[str, object]) -> None:
    values = {f.name: getattr(replace(PROTOCOLS["cof"], **says), f.name) for f in fields(Protocol)}  # type: ignore[arg-type]
    protocol = type("Liar", (Lying,), {"lie": does})(**values)
    assert examined(protocol, "448", "native").level is Level.FAILED
