"""Boxes and frames."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.core.geometry import Box, Frame

SHOWN = Frame.shown(1120, 840)
NATIVE = Frame.native(4032, 3024)


def frames() -> st.SearchStrategy[Frame]:
    side = st.integers(1, 8000)
    shares = st.tuples(st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0.5, 1), st.floats(0.5, 1))
    crops = st.builds(lambda w, h, c: Frame("crop[0]", w, h, c), side, side, shares)
    return st.one_of(
        st.builds(Frame.shown, side, side),
        st.builds(Frame.native, side, side),
        st.just(Frame.unit()),
        st.just(Frame.milli()),
        crops,
    )


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    frame = draw(frames())
    x = sorted(draw(st.tuples(st.integers(0, 1000), st.integers(0, 1000)).filter(lambda v: v[0] != v[1])))
    y = sorted(draw(st.tuples(st.integers(0, 1000), st.integers(0, 1000)).filter(lambda v: v[0] != v[1])))
    unit = [v / 1000 for v in (x[0], y[0], x[1], y[1])]
    return Box(unit[0] * frame.width, unit[1] * frame.height, unit[2] * frame.width, unit[3] * frame.height, frame)


@given(boxes(), frames())
def test_a_box_survives_the_way_through_another_frame(box: Box, frame: Frame) -> None:
    back = box.to(frame).to(box.frame)
    scale = max(box.frame.width, box.frame.height)
    assert all(math.isclose(a, b, abs_tol=1e-6 * scale) for a, b in zip(box.corners, back.corners, strict=True))


SIDES = st.tuples(st.integers(28, 3840), st.integers(28, 3840))


@given(SIDES, SIDES, st.data())
def test_whole_pixels_survive_the_numbers_that_models_write_within_half_a_pixel(
    shown: tuple[int, int], native: tuple[int, int], data: st.DataObject
) -> None:
    x = sorted(data.draw(st.lists(st.integers(0, shown[0]), min_size=2, max_size=2, unique=True)))
    y = sorted(data.draw(st.lists(st.integers(0, shown[1]), min_size=2, max_size=2, unique=True)))
    box = Box(x[0], y[0], x[1], y[1], Frame.shown(*shown))
    for frame, digits in ((Frame.native(*native), 6), (Frame.unit(), 5), (Frame.milli(), 2)):
        said = [round(value, digits) for value in box.to(frame).corners]
        back = Box(*said, frame).to(box.frame)  # type: ignore[arg-type]
        assert all(abs(a - b) <= 0.5 for a, b in zip(box.corners, back.corners, strict=True))
        assert back.area > 0
        assert Box(*said, frame).clipped() is not None  # type: ignore[arg-type]


def test_a_frame_over_a_crop_counts_in_its_own_units() -> None:
    crop = Frame("crop[1]", 300, 200, (0.5, 0.5, 0.75, 1.0))
    assert Frame.unit().within(crop) == Frame("crop[1]", 1, 1, crop.covers)
    assert Frame.milli().within(crop) == Frame("crop[1]", 1000, 1000, crop.covers)
    assert SHOWN.within(crop) == crop


@given(boxes(), frames(), frames())
def test_the_way_over_a_third_frame_ends_at_the_same_place(box: Box, middle: Frame, end: Frame) -> None:
    direct, detour = box.to(end), box.to(middle).to(end)
    scale = max(end.width, end.height)
    assert all(math.isclose(a, b, abs_tol=1e-5 * scale) for a, b in zip(direct.corners, detour.corners, strict=True))


@given(boxes(), boxes())
def test_coverage_and_iou_stay_between_none_and_all(a: Box, b: Box) -> None:
    assert 0 <= a.coverage(b) <= 1
    assert 0 <= a.iou(b) <= 1
    assert math.isclose(a.iou(b), b.iou(a), rel_tol=1e-6, abs_tol=1e-9)
    assert math.isclose(a.iou(a), 1)
    assert math.isclose(a.coverage(a), 1)


@given(boxes(), st.floats(1, 4))
def test_a_widened_box_clipped_to_its_frame_is_never_outside_nor_empty(box: Box, factor: float) -> None:
    wide = box.widened(factor).clipped()
    assert wide is not None
    assert wide.clipped() == wide
    assert wide.area >= box.area * (1 - 1e-9)


def test_a_shown_box_in_native_pixels() -> None:
    assert Box(112, 84, 224, 168, SHOWN).to(NATIVE).corners == pytest.approx((403.2, 302.4, 806.4, 604.8))


def test_a_box_of_a_crop_in_native_pixels() -> None:
    crop = Frame("crop[0]", 100, 100, (0.5, 0.5, 0.75, 1.0))
    assert Box(0, 0, 100, 50, crop).to(NATIVE).corners == pytest.approx((2016, 1512, 3024, 2268))


def test_units_and_thousandths_of_the_same_place() -> None:
    assert Box(0.1, 0.2, 0.3, 0.4, Frame.unit()).to(Frame.milli()).corners == pytest.approx((100, 200, 300, 400))


def test_widening_keeps_the_centre() -> None:
    assert Box(100, 100, 200, 140, SHOWN).widened(1.5).corners == (75, 90, 225, 150)


def test_a_box_outside_its_frame_has_nothing_inside() -> None:
    assert Box(2000, 0, 2100, 10, SHOWN).clipped() is None


def test_coverage_is_the_share_of_the_target_inside() -> None:
    target = Box(100, 100, 200, 200, SHOWN)
    assert Box(150, 100, 400, 400, SHOWN).coverage(target) == pytest.approx(0.5)
    assert Box(150, 100, 250, 200, SHOWN).iou(target) == pytest.approx(1 / 3)


@pytest.mark.parametrize("corners", [(0, 0, 0, 1), (2, 0, 1, 1), (0, 1, 1, 0), (math.nan, 0, 1, 1), (0, 0, math.inf, 1)])
def test_an_impossible_box_is_refused(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="box"):
        Box(*corners, SHOWN)


@pytest.mark.parametrize(("size", "covers"), [((0, 5), (0, 0, 1, 1)), ((5, 5), (0.5, 0, 0.5, 1))])
def test_an_impossible_frame_is_refused(size: tuple[int, int], covers: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="frame"):
        Frame("x", *size, covers)
