"""150 data sets with spoilt rows: no traceback, and no wrong image, letter or n."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from malformed import ROWS, DataSet, make, picture

from cof_eval.benchmarks import BENCHMARKS, Item
from cof_eval.core.errors import DataError, ImageError
from cof_eval.core.images import load_native
from cof_eval.core.records import question_key

SETS = 150


def row_of(item: Item) -> int:
    found = re.search(r"thing (\d)", item.question.text)
    assert found, item.question.text
    return int(found[1])


def check(data: DataSet) -> None:
    rows = BENCHMARKS[data.benchmark].load(data.data)
    loaded = {row_of(item): item for item in rows}
    assert len(loaded) == len(rows), "a row stands twice"
    assert len(rows) + len(rows.bad) == ROWS, "a row is lost, or counted twice"
    assert set(range(ROWS)) - set(data.spoilt) <= set(loaded), f"a sound row is refused: {rows.bad}"
    assert len({item.question.id for item in rows}) == len({question_key(item.question) for item in rows}) == len(rows)
    for row, item in loaded.items():
        if item.question.options or row not in data.spoilt:  # without options, another answer is another text
            assert item.question.answer_text in (f"right {row}", *([""] if row in data.spoilt else []))
        try:
            image = item.image.read()
            load_native(image)
        except ImageError as error:
            assert row in data.spoilt
            assert "\n" not in str(error)
        else:
            assert image == picture(row) or (row in data.spoilt and image == (data.folder / f"odd{row}.png").read_bytes())
    for bad in rows.bad:
        assert str(bad).startswith(str(data.folder)) and "\n" not in str(bad)


@pytest.mark.parametrize("part", range(10))
def test_malformed_data_sets_show_no_wrong_image_letter_or_n(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))
    for seed in range(part, SETS, 10):
        data = make(seed, tmp_path / str(seed))
        try:
            check(data)
        except DataError as error:
            pytest.fail(f"seed {seed}: {error}")
        except Exception as error:
            raise AssertionError(f"seed {seed}, {data.benchmark} in {data.data.name}, spoilt {data.spoilt}") from error
