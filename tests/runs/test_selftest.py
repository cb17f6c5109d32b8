"""The coordinate self-test: passes for every protocol and resolution, and fails where coordinates are wrong."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from cof_eval.agent.protocols import PROTOCOLS, Crops, Protocol
from cof_eval.agent.zoom import CropSource, View, ZoomRules
from cof_eval.core.geometry import Frame
from cof_eval.core.resolution import RESOLUTIONS, PixelLimits
from cof_eval.runs.preflight import Finding, Level
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
    return kind(**{key: getattr(PROTOCOLS[name], key) for key in msgspec.to_builtins(PROTOCOLS[name])})


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
