"""The synthetic scenes in the layout of V*: their answers and boxes are true."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from cof_eval.benchmarks import Item, vstar
from cof_eval.benchmarks.synthetic import scenes
from cof_eval.core.errors import UsageError
from cof_eval.core.images import header_size, load_native
from cof_eval.core.resolution import RESOLUTIONS, PixelLimits, shown_size
from cof_eval.engines import tiny_checkpoint as checkpoint

COUNT = 16
LIMITS = PixelLimits(checkpoint.FACTOR, 4 * checkpoint.FACTOR**2, checkpoint.MAX_PIXELS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestScenes:
    @pytest.fixture(scope="module")
    @staticmethod
    def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        return scenes.write_scenes(tmp_path_factory.mktemp("scenes"), count=COUNT, seed=3)

    @pytest.fixture(scope="module")
    @staticmethod
    def items(folder: Path) -> list[Item]:
        return vstar.load(folder)

    def test_they_load_as_vstar_with_boxes_and_images(self, items: list[Item]) -> None:
        assert len({item.question.id for item in items}) == COUNT
        for item in items:
            width, height = header_size(item.image.read())
            assert len(item.question.boxes) == (1 if item.question.category == "direct_attributes" else 2)
            assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in item.question.boxes)

    @pytest.mark.slow
    def test_the_seed_decides_every_byte(self, folder: Path, tmp_path: Path) -> None:
        again = contents(scenes.write_scenes(tmp_path / "again", count=COUNT, seed=3))
        other = contents(scenes.write_scenes(tmp_path / "other", count=COUNT, seed=4))
        assert again == contents(folder) != other

    def test_fewer_scenes_are_the_first_ones(self, folder: Path, tmp_path: Path) -> None:
        few = contents(scenes.write_scenes(tmp_path, count=3, seed=3))
        few.pop("test_questions.jsonl")
        assert few.items() <= contents(folder).items()

    def test_the_right_colour_is_what_the_box_shows(self, items: list[Item]) -> None:
        for item in items:
            if item.question.category != "direct_attributes":
                continue
            shares = colours_within(load_native(item.image.read()).crop(item.question.boxes[0]))
            assert max(item.question.options, key=lambda name: shares[name]) == item.question.answer_text

    def test_the_right_side_is_where_the_boxes_are(self, items: list[Item]) -> None:
        for item in items:
            if item.question.category == "relative_position":
                first, second = item.question.boxes
                assert ("on the left side" in item.question.answer_text) == (first[2] < second[0])
                assert ("on the right side" in item.question.answer_text) == (first[0] > second[2])

    def test_right_letters_are_balanced(self, items: list[Item]) -> None:
        for category, options in (("direct_attributes", 4), ("relative_position", 2)):
            letters = Counter(item.question.answer for item in items if item.question.category == category)
            assert len(letters) == options
            assert len(set(letters.values())) == 1

    def test_what_is_asked_about_is_small(self, items: list[Item]) -> None:
        for item in items:
            longest = max(header_size(item.image.read()))
            assert all(max(x2 - x1, y2 - y1) <= 0.05 * longest for x1, y1, x2, y2 in item.question.boxes)

    @pytest.mark.parametrize(("low", "high"), [("672", "1024"), ("1024", "1920"), ("1920", "2560")])
    def test_a_higher_resolution_changes_some_scenes_and_not_others(self, items: list[Item], low: str, high: str) -> None:
        natives = [header_size(item.image.read()) for item in items]
        grown = [shown_size(n, RESOLUTIONS[low], LIMITS) != shown_size(n, RESOLUTIONS[high], LIMITS) for n in natives]
        assert any(grown)
        assert not all(grown)

    def test_they_take_little_room(self, folder: Path) -> None:
        assert sum(len(data) for data in contents(folder).values()) < COUNT * 200_000

    @pytest.mark.parametrize("count", [0, -1])
    def test_no_scenes_are_refused(self, tmp_path: Path, count: int) -> None:
        with pytest.raises(UsageError, match="expected --count of at least 1"):
            scenes.write_scenes(tmp_path, count=count, seed=0)

    @pytest.mark.parametrize("corner", [(40, 30), (0, 0), (999, 999)])
    @pytest.mark.parametrize("kind", scenes.KINDS)
    def test_box_is_exactly_what_the_object_covers(self, kind: str, corner: tuple[int, int]) -> None:
        before = Image.new("RGB", (200, 150), (1, 2, 3))
        after = before.copy()
        x, y, width, height = scenes._place(after, kind, scenes.COLOURS["red"], corner, 31)
        assert ImageChops.difference(before, after).getbbox() == (x, y, x + width, y + height)


def colours_within(crop: Image.Image) -> Counter[str]:
    """How many pixels of a crop are close to each named colour."""
    found: Counter[str] = Counter()
    for x in range(crop.width):
        for y in range(crop.height):
            pixel: Any = crop.getpixel((x, y))
            for name, colour in scenes.COLOURS.items():
                found[name] += max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= 24
    return found
