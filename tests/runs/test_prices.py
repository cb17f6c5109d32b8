"""What a hosted model costs: a file of prices, and the price of what was used."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import trajectory
from guides import blocks

from cof_eval.core.errors import UsageError
from cof_eval.core.records import Call, Crop, Finish, ShownImage, Turn
from cof_eval.runs.estimate import Prices, Sample, Span, Work, estimate
from cof_eval.runs.prices import ModelPrices, Use, load_prices, turn_uses, use_of

GPT = ModelPrices(input=1.25, cached=0.125, output=10.0)


def write(folder: Path, values: object) -> Path:
    path = folder / "prices.yaml"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def test_prices_are_found_by_served_name_by_checkpoint_and_by_the_last_part_of_either(tmp_path: Path) -> None:
    prices = load_prices(
        write(
            tmp_path,
            "currency: USD\nmodels:\n  gpt-5: {input: 1.25, output: 10, cached: 0.125}\n  own/m: {input: 0, output: 0}\n",
        )
    )
    assert prices.require("gpt-5") == GPT
    assert prices.require(None, "openai/gpt-5") == GPT
    assert prices.find("m") is None
    with pytest.raises(UsageError, match="no prices of 'x' or 'y'; it has: gpt-5, own/m"):
        prices.require("x", None, "y")


_LEVELS = ", ".join(f"&{k} [{', '.join(['*' + chr(ord(k) - 1)] * 8)}]" for k in "bcdefghijk")
BOMB = f"models: {{m: [&a [x, x, x, x, x, x, x, x], {_LEVELS}]}}"
"""A few hundred bytes that are a thousand million words when written out."""


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("models: {m: {input: 1, output: 2, request: 3}}", "unknown request; known: input, output, cached, image, per_image"),
        ("models: {m: {input: 1}}", "output missing"),
        ("models: {m: {input: -1, output: 2}}", "input=-1 is no price"),
        ("models: {m: {input: .nan, output: 2}}", "is no price"),
        ("models: {m: {input: .inf, output: 2}}", "is no price"),
        ("models: {m: {input: true, output: 2}}", "is no price"),
        ("models: {m: {input: '1', output: 2}}", "is no price"),
        ("models: {m: {input: null, output: 2}}", "is no price"),
        ("models: {m: free}", "holds no prices"),
        ("models: {}", "are none"),
        ("[1, 2]", "are none"),
        ("", "are none"),
        ("model: {m: {input: 1, output: 2}}", "are none"),
        ("currency: EUR\nmodels: {m: {input: 1, output: 2}}", "expected USD"),
        ("prices: 3\nmodels: {m: {input: 1, output: 2}}", "unknown prices; known: models, currency"),
        ("models: [", "cannot be read"),
        (BOMB, "holds no prices"),
        ("models: {m: {input: [1], output: 2}}", "is no price"),
        ("{1: " * 4000, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(values: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load_prices(write(tmp_path, values))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_file_of_the_guide_can_be_used(tmp_path: Path) -> None:
    (text,) = blocks("cost.md", "yaml")
    prices = load_prices(write(tmp_path, text))
    assert (prices.require("gpt-5"), prices.require("my-judge").output) == (GPT, 0)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_prices(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("changes", "use", "expected"),
    [
        ({}, {"prompt_tokens": 1_000_000}, 1.25),
        ({}, {"output_tokens": 1_000_000}, 10.0),
        ({}, {"prompt_tokens": 1_000_000, "cached_tokens": 400_000}, 0.6 * 1.25 + 0.4 * 0.125),
        ({"cached": None}, {"prompt_tokens": 1_000_000, "cached_tokens": 400_000}, 1.25),
        ({"image": 5.0}, {"prompt_tokens": 1_000_000, "visual_tokens": 500_000}, 0.5 * 1.25 + 0.5 * 5),
        ({"image": 5.0}, {"prompt_tokens": 100, "visual_tokens": 500}, 100 * 5 / 1e6),
        ({"per_image": 0.002}, {"images": 3}, 0.006),
        ({}, {"cached_tokens": 1_000_000}, 0.0),
    ],
)
def test_what_was_used_has_its_price(changes: dict[str, Any], use: dict[str, int], expected: float) -> None:
    assert replace(GPT, **changes).dollars(Use(**use)) == pytest.approx(expected)


def test_a_cached_price_never_makes_image_tokens_too_cheap() -> None:
    prices = ModelPrices(input=2.0, cached=0.2, image=1.0, output=0.0)
    every = Use(prompt_tokens=1_000_000, visual_tokens=1_000_000, cached_tokens=1_000_000)
    assert prices.dollars(every) >= 0.2


def turn(**changes: Any) -> Turn:
    values = {
        "text": "",
        "finish": Finish.STOP,
        "prompt_tokens": 100,
        "cached_tokens": 10,
        "output_tokens": 5,
        "visual_tokens": None,
        "engine_s": 0.0,
    }
    return Turn(**{**values, **changes})


def test_every_turn_is_billed_for_the_whole_conversation_images_included() -> None:
    zoom = Call("", crop=Crop("c", (56, 56), (0, 0, 1, 1), 4))
    asked = trajectory(shown=ShownImage((28, 28), 9, "s"), turns=(turn(calls=(zoom, zoom)), turn(visual_tokens=20), turn()))
    assert [(use.visual_tokens, use.images) for use in turn_uses(asked)] == [(9, 1), (20, 3), (17, 3)]
    assert use_of(asked) == Use(prompt_tokens=300, cached_tokens=30, output_tokens=15, visual_tokens=46, images=7)


def test_uses_add_up_field_by_field() -> None:
    one = Use(**{each.name: k for k, each in enumerate(fields(Use), 1)})
    assert one + one == Use(**{each.name: 2 * k for k, each in enumerate(fields(Use), 1)})


class TestEstimate:
    WORK = Work(benchmark="vstar", resolution="224", rollouts=100, shown_tokens=900, prompt=Span(2e6, None, 9e6), output=Span(100, None, 1e6), visual=Span(900, None, 9000), images=Span(100, None, 2100))  # fmt: skip

    def test_without_a_pilot_it_is_bounds(self) -> None:
        prices = ModelPrices(input=1.0, cached=0.1, output=10.0, image=3.0, per_image=0.01)
        found = estimate([self.WORK], {}, None, concurrency=1, prices=prices).total
        assert found.dollars is not None
        assert found.dollars.likely is None
        assert found.dollars.low == pytest.approx(2 * 0.1 + 100 * 10 / 1e6 + 100 * 0.01)
        assert found.dollars.high == pytest.approx(9 * 3.0 + 1 * 10 + 2100 * 0.01)
        assert Prices(model=prices).dollars(found, None) == found.dollars

    def test_with_a_pilot_it_is_what_the_rollouts_cost(self) -> None:
        use = Use(prompt_tokens=1000, cached_tokens=500, output_tokens=100)
        samples = [
            Sample(cluster=str(k), wall_s=1.0, prompt_tokens=1000, output_tokens=100, crop_tokens=0, use=use) for k in range(4)
        ]
        found = estimate([self.WORK], {("vstar", "224"): samples}, None, concurrency=1, prices=GPT).total.dollars
        assert found is not None
        assert found.likely == pytest.approx(100 * GPT.dollars(use))

    def test_without_prices_there_are_no_dollars(self) -> None:
        assert estimate([self.WORK], {}, None, concurrency=1).total.dollars is None
