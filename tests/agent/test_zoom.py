"""The tool: crops and error texts."""

from __future__ import annotations

import pytest
from fakes import LIMITS, noise
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from cof_eval.agent.reply import RawCall
from cof_eval.agent.view import Seen
from cof_eval.agent.zoom import (
    TOOL_NAME,
    BadCall,
    CropSource,
    ImageNaming,
    Refusal,
    SmallBox,
    View,
    ZoomResult,
    ZoomRules,
    crop_region,
    zoom,
)
from cof_eval.core.geometry import Box, Frame

RULES = ZoomRules(CropSource.SHOWN, 1.5, 2.0, LIMITS.within(min_pixels=112 * 112))
VIEW = View(noise(560, 392), (1120, 784), noise(1120, 784, seed=1))


def ask(box: object, *, view: View = VIEW, rules: ZoomRules = RULES, name: str = TOOL_NAME) -> ZoomResult:
    return zoom(RawCall("raw", name, {"bbox_2d": box}), view, view.shown_frame, rules)


def test_the_crop_is_widened_cut_and_enlarged_as_prescribed() -> None:
    result = ask([100, 80, 200, 180])
    expected = VIEW.shown.crop((75, 55, 225, 205)).resize((308, 308), Image.Resampling.LANCZOS)
    assert result.image is not None
    assert result.image.tobytes() == expected.tobytes()
    assert result.error is None
    assert result.native_box is not None
    assert result.native_box.corners == (150, 110, 450, 410)


def test_a_box_at_the_edge_is_clipped_after_widening() -> None:
    result = ask([0, 0, 100, 100])
    expected = VIEW.shown.crop((0, 0, 125, 125)).resize((252, 252), Image.Resampling.LANCZOS)
    assert result.image is not None
    assert result.image.tobytes() == expected.tobytes()


def test_the_whole_image_is_a_box_too() -> None:
    result = ask([0, 0, 560, 392])
    assert result.image is not None
    assert result.image.size == (1120, 784)


@pytest.mark.parametrize("box", [["100", "80.0", " 200 ", "180"], [100.0, 80.0, 200.0, 180.0]])
def test_numerals_in_quotes_and_floats_are_numbers(box: list[object]) -> None:
    result, plain = ask(box), ask([100, 80, 200, 180])
    assert result.image is not None
    assert plain.image is not None
    assert result.image.tobytes() == plain.image.tobytes()


def test_crops_of_the_native_image_show_the_same_place_sharper() -> None:
    rules = ZoomRules(CropSource.NATIVE, 1.5, 1.0, RULES.limits)
    result = ask([100, 80, 200, 180], rules=rules)
    expected = VIEW.native.crop((150, 110, 450, 410)).resize((308, 308), Image.Resampling.LANCZOS)  # type: ignore[union-attr]
    assert result.image is not None
    assert result.image.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ([100, 80, 600, 180], "reaches outside the image; expected 0 <= x1 < x2 <= 560 and 0 <= y1 < y2 <= 392"),
        ([-1, 80, 200, 180], "reaches outside"),
        ([100, 80, 200, 393], "reaches outside"),
        ([200, 80, 100, 180], "empty or inverted"),
        ([100, 80, 100, 180], "empty or inverted"),
        ([100.1, 80.1, 100.2, 80.2], "less than one pixel"),
        ([100, 80, 200], "expected 4 numbers [x1, y1, x2, y2], got 3 values"),
        ([100, 80, 200, 180, 1], "got 5 values"),
        ([[100, 80, 200, 180]], "got 1 values"),
        ([], "got 0 values"),
        ("100, 80, 200, 180", 'got "100, 80, 200, 180"'),
        ({"x1": 1}, "expected 4 numbers"),
        (None, "expected 4 numbers"),
        (["a", 80, 200, 180], "are not all numbers"),
        ([None, 80, 200, 180], "are not all numbers"),
        ([True, 80, 200, 180], "are not all numbers"),
        (["1e3", 80, 200, 180], "are not all numbers"),
        (["NaN", 80, 200, 180], "are not all numbers"),
        ([float("nan"), 80, 200, 180], "are not all finite"),
        ([100, 80, float("inf"), 180], "are not all finite"),
        ([10**400, 80, 200, 180], "are not all finite"),
    ],
)
def test_a_bad_box_is_answered_with_what_was_wrong(box: object, says: str) -> None:
    result = ask(box)
    assert result.image is None
    assert str(result.error).startswith("Invalid bounding box: ")
    assert says in str(result.error)


def test_a_missing_box_is_named() -> None:
    result = zoom(RawCall("raw", TOOL_NAME, {"bbox": [1, 2, 3, 4]}), VIEW, VIEW.shown_frame, RULES)
    assert 'the argument "bbox_2d" is missing' in str(result.error)


def test_an_unknown_tool_is_named_in_plain_ascii() -> None:
    result = ask([1, 2, 3, 4], name="rm\ud800 <script>")
    assert result.error == 'Unknown tool "rm\\ud800 <script>": the only tool is image_zoom_in_tool.'


def test_a_call_that_could_not_be_read_gives_the_reason() -> None:
    result = zoom(RawCall("{", error="the call's JSON is not complete"), VIEW, VIEW.shown_frame, RULES)
    assert result.error == "Invalid tool call: the call's JSON is not complete."


def test_a_region_too_thin_for_the_processor_is_answered() -> None:
    result = ask([0, 10, 560, 11.4])
    assert "too thin" in str(result.error)


@pytest.mark.parametrize(("frame", "box"), [(Frame.unit(), [0.2, 0.25, 0.4, 0.5]), (Frame.milli(), [200, 250, 400, 500])])
def test_boxes_in_other_frames_show_the_same_place(frame: Frame, box: list[float]) -> None:
    result = zoom(RawCall("raw", TOOL_NAME, {"bbox_2d": box}), VIEW, frame, RULES)
    plain = ask([112, 98, 224, 196])
    assert result.image is not None
    assert plain.image is not None
    assert result.image.tobytes() == plain.image.tobytes()


@pytest.mark.parametrize(
    ("call", "size"),
    [
        (RawCall("x", TOOL_NAME, {"bbox_2d": [9, 9, 9999, 9999]}), (1120, 784)),  # bad box: the whole image, twice as large
        (RawCall("x", error="no JSON"), (1120, 784)),
        (RawCall("x", TOOL_NAME, {}), (560, 392)),  # missing key: the whole image as it is
        (RawCall("x", TOOL_NAME, {"bbox_2d": [1, 2, 3]}), (560, 392)),
    ],
)
def test_the_released_quirk_shows_the_whole_image_but_records_the_error(call: RawCall, size: tuple[int, int]) -> None:
    rules = ZoomRules(CropSource.SHOWN, 1.5, 2.0, RULES.limits, BadCall.WHOLE_IMAGE)
    result = zoom(call, VIEW, VIEW.shown_frame, rules)
    assert result.image is not None
    assert result.image.size == size
    assert result.error is not None


class TestEarlierCrops:
    """A call may name the crop that its box lies on."""

    FIRST = Frame("crop[1]", 280, 196, (0.25, 0.25, 0.75, 0.75))
    VIEW = View(VIEW.shown, VIEW.native_size, VIEW.native, seen=(Seen(FIRST, Box(280, 196, 840, 588, VIEW.native_frame)),))

    def ask(self, box: object, image: object, naming: ImageNaming, frame: Frame = Frame.unit(), **rules: object) -> ZoomResult:  # noqa: B008
        how = ZoomRules(CropSource.NATIVE, 1.0, 1.0, LIMITS, naming=naming, image_argument="image", **rules)  # type: ignore[arg-type]
        return zoom(RawCall("raw", TOOL_NAME, {"bbox_2d": box, "image": image}), self.VIEW, frame, how)

    @pytest.mark.parametrize(
        ("naming", "shown", "crop"),
        [
            (ImageNaming.OBSERVATION, "original_image", "observation_1"),
            (ImageNaming.FROM_ZERO, 0, 1.0),
            (ImageNaming.FROM_ONE, "1", 2),
        ],
    )
    def test_a_box_lies_on_the_image_that_the_call_names(self, naming: ImageNaming, shown: object, crop: object) -> None:
        whole, part = self.ask([0.5, 0.5, 1, 1], shown, naming), self.ask([0.5, 0.5, 1, 1], crop, naming)
        assert whole.native_box is not None
        assert part.native_box is not None
        assert whole.native_box.corners == (560, 392, 1120, 784)
        assert part.native_box.corners == (560, 392, 840, 588)
        assert part.box is not None
        assert part.box.frame == Frame("crop[1]", 1, 1, (0.25, 0.25, 0.75, 0.75))

    def test_pixels_of_a_crop_are_its_own(self) -> None:
        result = self.ask([140, 98, 280, 196], 1, ImageNaming.FROM_ZERO, VIEW.shown_frame)
        assert result.native_box is not None
        assert result.native_box.corners == (560, 392, 840, 588)

    def test_thousandths_of_a_crop_are_its_own(self) -> None:
        result = self.ask([500, 500, 1000, 1000], 1, ImageNaming.FROM_ZERO, Frame.milli())
        assert result.native_box is not None
        assert result.native_box.corners == (560, 392, 840, 588)

    def test_a_box_on_a_crop_stays_within_it_however_it_is_padded(self) -> None:
        result = self.ask([0.5, 0.5, 1, 1], 1, ImageNaming.FROM_ZERO, pad=0.1)
        assert result.native_box is not None
        assert result.native_box.corners == pytest.approx((504, 352, 840, 588), abs=1)

    @pytest.mark.parametrize(
        ("naming", "name"),
        [
            (ImageNaming.OBSERVATION, "observation_2"),
            (ImageNaming.OBSERVATION, "observation_-1"),
            (ImageNaming.OBSERVATION, "observation_99999"),
            (ImageNaming.OBSERVATION, "the crop"),
            (ImageNaming.OBSERVATION, 0),
            (ImageNaming.FROM_ZERO, 2),
            (ImageNaming.FROM_ZERO, -1),
            (ImageNaming.FROM_ZERO, 0.5),
            (ImageNaming.FROM_ZERO, True),
            (ImageNaming.FROM_ZERO, None),
            (ImageNaming.FROM_ZERO, float("nan")),
            (ImageNaming.FROM_ZERO, float("inf")),
            (ImageNaming.FROM_ONE, 0),
            (ImageNaming.FROM_ONE, 3),
            (ImageNaming.FROM_ONE, [1]),
        ],
    )
    def test_an_image_that_is_not_there_is_answered_with_those_that_are(self, naming: ImageNaming, name: object) -> None:
        result = self.ask([0, 0, 1, 1], name, naming)
        known = {"observation": "original_image, observation_1", "from_zero": "0, 1", "from_one": "1, 2"}[naming]
        assert result.image is None
        assert str(result.error).endswith(f"there are only {known}.")

    def test_a_call_that_names_no_image_is_answered(self) -> None:
        rules = ZoomRules(CropSource.NATIVE, 1.0, 1.0, LIMITS, naming=ImageNaming.FROM_ONE, image_argument="target_image")
        result = zoom(RawCall("raw", TOOL_NAME, {"bbox_2d": [0, 0, 1, 1]}), self.VIEW, Frame.unit(), rules)
        assert 'the argument "target_image" is missing' in str(result.error)

    def test_a_crop_of_a_crop_of_a_crop_is_found_again_on_the_native_image(self) -> None:
        view = VIEW
        for _ in range(3):
            rules = ZoomRules(CropSource.NATIVE, 1.0, 1.0, LIMITS, naming=ImageNaming.FROM_ZERO, image_argument="image")
            call = RawCall("raw", TOOL_NAME, {"bbox_2d": [0.5, 0, 1, 0.5], "image": len(view.crops)})
            result = zoom(call, view, Frame.unit(), rules)
            assert result.image is not None
            assert result.native_box is not None
            view = view.with_crop(result.image.size, result.native_box)
        assert result.native_box.corners == (980, 0, 1120, 98)


def test_numbers_above_one_are_pixels_where_the_protocol_says_so() -> None:
    rules = ZoomRules(CropSource.SHOWN, 1.0, 1.0, LIMITS, pixels_above=1.0)
    boxes = ([0.25, 0.25, 0.5, 1.0], [140, 98, 280, 392])
    shares, pixels = (zoom(RawCall("raw", TOOL_NAME, {"bbox_2d": box}), VIEW, Frame.unit(), rules) for box in boxes)
    assert shares.native_box == pixels.native_box
    assert (shares.box and shares.box.frame.name, pixels.box and pixels.box.frame.name) == ("unit", "shown")


def test_small_boxes_are_refused_or_grown_as_the_rules_say() -> None:
    refusing = ZoomRules(CropSource.SHOWN, 1.0, 1.0, LIMITS, min_side=29)
    assert "it covers 20 x 28 pixels, at least 29 x 29 are needed" in str(ask([100, 80, 120, 108], rules=refusing).error)
    growing = ZoomRules(CropSource.SHOWN, 1.0, 1.0, LIMITS, min_side=32, small_box=SmallBox.GROW)
    grown = ask([100, 80, 116, 100], rules=growing).native_box
    assert grown is not None
    assert grown.to(VIEW.shown_frame).corners == (92, 70, 124, 110)


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.tuples(st.integers(28, 900), st.integers(28, 900)),
    st.tuples(st.integers(28, 4000), st.integers(28, 4000)),
    st.sampled_from(["shown", "native", "unit", "milli"]),
    st.sampled_from(list(CropSource)),
    st.sampled_from([1.0, 1.5]),
)
def test_a_region_is_never_outside_the_image_nor_empty_and_within_a_pixel_of_the_box(
    place: list[float], shown: tuple[int, int], native: tuple[int, int], frame: str, source: CropSource, widen: float
) -> None:
    (x1, x2), (y1, y2) = sorted(place[:2]), sorted(place[2:])
    assume(x1 < x2 and y1 < y2)
    view = View(Image.new("RGB", shown), native)
    at = {"shown": view.shown_frame, "native": view.native_frame, "unit": Frame.unit(), "milli": Frame.milli()}[frame]
    box = Box(x1 * at.width, y1 * at.height, x2 * at.width, y2 * at.height, at)
    try:
        region = crop_region(box, view, ZoomRules(source, widen, 1.0, LIMITS))
    except Refusal:
        inside = box.to(view.shown_frame if source is CropSource.SHOWN else view.native_frame).widened(widen)
        assert min(inside.width, inside.height) < 2  # less than a whole pixel of the source is inside
        return
    assert region.clipped() == region
    assert all(value == int(value) for value in region.corners)
    assert region.area >= 1
    if widen == 1.0:
        meant = box.to(region.frame)
        assert all(abs(a - b) <= 1 for a, b in zip(region.corners, meant.corners, strict=True))


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=8,
)


@given(st.one_of(ANYTHING, st.lists(st.floats(-50, 700), min_size=4, max_size=4)))
def test_nothing_makes_the_tool_raise_or_look_outside_the_image(box: object) -> None:
    result = ask(box)
    assert (result.image is None) == (result.error is not None)
    if result.image is not None:
        assert result.native_box is not None
        assert result.native_box.clipped() == result.native_box
        assert result.image.width % 28 == result.image.height % 28 == 0
