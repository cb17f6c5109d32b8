"""The colours: every text has at least the contrast of WCAG AA (4.5:1) on every ground that it stands on, in both themes."""

from __future__ import annotations

import re

import pytest

from cof_eval.report.viewer import STATIC

THEME = (STATIC / "theme.css").read_text()
TEXTS = ("ink", "muted", "accent", "correct", "wrong", "unscored", "pending", "think")
GROUNDS = ("ground", "surface", "sunken", "accent-soft")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


LIGHT, DARK, DARK_BY_SYSTEM = (colours(block) for block in re.findall(r"^ *:root[^{]*\{([^}]*)\}", THEME, re.MULTILINE))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_defined() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", [LIGHT, {**LIGHT, **DARK}], ids=["light", "dark"])
def test_every_text_is_readable_on_every_ground(theme: dict[str, str]) -> None:
    pairs = {(text, ground): contrast(theme[text], theme[ground]) for text in TEXTS for ground in GROUNDS}
    assert {pair: round(value, 2) for pair, value in pairs.items() if value < 4.5} == {}
    assert contrast(theme["on-box"], theme["box"]) >= 4.5


def test_dark_by_choice_and_dark_by_system_are_the_same() -> None:
    assert DARK == DARK_BY_SYSTEM


def test_no_style_names_a_colour_of_its_own_for_text() -> None:
    for file in STATIC.glob("*.css"):
        assert not re.findall(r"(?<![a-z-])color: (?!var\(|inherit)[^;]+;", file.read_text()), file.name


def test_no_script_parses_text_as_markup_or_code() -> None:
    for file in STATIC.glob("*.js"):
        assert not re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(\s*[\"'`]",
            file.read_text(),
        ), file.name
