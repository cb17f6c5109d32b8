"""Resolutions, target sizes and visual tokens."""

import pytest
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st

from cof_eval.core.errors import ImageError, UsageError
from cof_eval.core.resolution import (
    MAX_ASPECT,
    NATIVE,
    SWEEP,
    PixelLimits,
    Resolution,
    effective_cap,
    in_sweep_order,
    parse_resolution,
    shown_size,
    smart_resize,
    visual_tokens,
)

STOCK = PixelLimits(28, 3136, 12_845_056)
COF = STOCK.within(min_pixels=112 * 112, max_pixels=3840 * 3840)


def test_the_sweep_has_the_eight_names_in_order() -> None:
    assert [r.name for r in SWEEP] == ["224", "336", "448", "672", "1024", "1920", "2560", "4k"]
    assert SWEEP[-1].max_pixels == 14_745_600
    assert NATIVE.max_pixels is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("224", "224"),
        (448, "448"),
        ("4K", "4k"),
        ("3840", "4k"),
        (" native ", "native"),
        ("512", "512"),
        ("0225", "225"),
        (28, "28"),
    ],
)
def test_resolutions_are_known_by_name(name: str | int, expected: str) -> None:
    assert parse_resolution(name).name == expected


@pytest.mark.parametrize("name", ["", "27", "16385", "8k", "-1", "224px", "２２４", "1e3", "9" * 5000])
def test_an_unknown_resolution_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="224, 336, 448, 672, 1024, 1920, 2560, 4k, native"):
        parse_resolution(name)


def test_resolutions_of_any_side_stand_in_order_of_size_and_native_last() -> None:
    names = ["native", "4k", "512", "mmmu_val", "3900", "224", "512", "100"]
    assert in_sweep_order(names) == ["100", "224", "512", "4k", "3900", "native", "mmmu_val"]
    assert parse_resolution("512").max_pixels == 512 * 512


@pytest.mark.slow
@given(
    st.integers(1, 9000),
    st.integers(1, 9000),
    st.sampled_from([28, 32]),
    st.integers(1, 100_000),
    st.integers(100_000, 20_000_000),
)
@example(1, 1, 28, 12_544, 50_176)
@example(50, 10_000, 28, 3136, 50_176)
def test_sizes_equal_those_of_transformers(width: int, height: int, factor: int, least: int, most: int) -> None:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as theirs

    assume(max(width, height) / min(width, height) <= 200)
    expected = theirs(height, width, factor=factor, min_pixels=least, max_pixels=most)
    assert smart_resize(width, height, PixelLimits(factor, least, most)) == expected[::-1]


def test_an_image_that_rounding_makes_too_thin_is_refused_before_the_processor_does() -> None:
    assert 5615 / 29 < MAX_ASPECT < 5628 / 28
    with pytest.raises(ImageError, match="28x5628 px is more than 200 times"):
        shown_size((29, 5615), parse_resolution("448"), COF)


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([*SWEEP, NATIVE]))
def test_a_shown_size_is_left_alone_by_the_processor_behind_it(width: int, height: int, resolution: object) -> None:
    try:
        size = shown_size((width, height), resolution, COF)  # type: ignore[arg-type]
    except ImageError:
        reject()
    assert smart_resize(*size, STOCK) == size
    assert size[0] % 28 == size[1] % 28 == 0


@given(st.integers(112, 9000), st.integers(112, 9000), st.sampled_from(SWEEP))
def test_nothing_is_upsampled_beyond_rounding_to_the_factor(width: int, height: int, resolution: object) -> None:
    size = shown_size((width, height), resolution, COF)  # type: ignore[arg-type]
    assume(width * height >= 4 * COF.min_pixels)
    assert size[0] <= width + 14
    assert size[1] <= height + 14


@pytest.mark.parametrize(
    ("native", "name", "expected"),
    [
        ((1500, 1000), "448", (532, 364)),  # the two sizes measured from the paper's figures
        ((1500, 1000), "1024", (1232, 812)),
        ((1119, 840), "4k", (1120, 840)),
        ((1, 1), "224", (112, 112)),
    ],
)
def test_known_sizes(native: tuple[int, int], name: str, expected: tuple[int, int]) -> None:
    assert shown_size(native, parse_resolution(name), COF) == expected


def test_the_smallest_cap_wins() -> None:
    assert COF.max_pixels == 12_845_056
    assert COF.within(max_pixels=224 * 224) == PixelLimits(28, 12_544, 50_176)
    assert COF.within(max_pixels=100 * 100) == PixelLimits(28, 10_000, 10_000)


@pytest.mark.parametrize("size", [(20_000, 50), (50, 20_000), (201, 1)])
def test_an_image_too_long_for_qwen_is_an_image_error(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="more than 200 times"):
        smart_resize(*size, STOCK)


def test_an_image_without_content_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="no content"):
        smart_resize(0, 10, STOCK)


@pytest.mark.parametrize("name", ["224", "336", "448"])
def test_a_minimum_wins_over_the_resolutions_cap(name: str) -> None:
    wanted = PixelLimits(28, 401_408, 4_014_080)  # pixel_reasoner's
    size = shown_size((4000, 2700), parse_resolution(name), wanted)
    assert 401_408 <= size[0] * size[1] < 450_000
    assert smart_resize(*size, wanted) == size
    assert effective_cap(parse_resolution(name), wanted) == 401_408


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from(SWEEP), st.integers(1000, 600_000))
def test_every_shown_size_is_one_that_the_processor_keeps(width: int, height: int, resolution: Resolution, least: int) -> None:
    assume(max(width, height) / min(width, height) <= 20)
    limits = PixelLimits(28, least, 4_014_080)
    size = shown_size((width, height), resolution, limits)
    assert smart_resize(*size, limits) == size


def test_limits_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be met"):
        PixelLimits(28, 100, 50)


def test_visual_tokens_of_a_4k_image() -> None:
    assert visual_tokens((3836, 2156), 28) == 137 * 77
