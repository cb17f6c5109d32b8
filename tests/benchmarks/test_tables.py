"""Tables with embedded images: whatever dress the images come in, they are unpacked once, by content, and nothing stays in memory."""

from __future__ import annotations

import base64
import json
import os
import re
import textwrap
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import noise
from tables import packed, png, write_parquet, write_tsv

from cof_eval.benchmarks.image_cells import image_bytes
from cof_eval.benchmarks.pope import load as load_pope
from cof_eval.benchmarks.tables import find_tables, image_file, load_table
from cof_eval.core.errors import DataError, ImageError
from cof_eval.core.images import ImageSource, encode_png, header_size, source_hash

COLUMNS = ("index", "question")
BASE64 = {"index": pa.int64(), "image": pa.string()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"


PNG = png()
TEXT = base64.b64encode(PNG).decode()
DRESSES: dict[str, Any] = {
    "bytes": PNG,
    "struct": {"bytes": PNG, "path": "a.png"},
    "base64": TEXT,
    "base64 in lines": "\n".join(textwrap.wrap(TEXT, 76)) + "\n",
    "base64 with blanks": "  " + " \t".join(textwrap.wrap(TEXT, 20)),
    "base64 without its padding": TEXT.rstrip("="),
    "a data URI": f"data:image/png;base64,{TEXT}",
}


@pytest.mark.parametrize("value", DRESSES.values(), ids=DRESSES.keys())
def test_an_image_is_the_same_in_every_dress(value: Any) -> None:
    assert image_bytes(value) == PNG


@pytest.mark.parametrize(
    "value",
    [None, "", "no image", TEXT[:-3] + "*", TEXT[:5], {"bytes": None, "path": "gone.png"}, {}, b"", 7, "é" * 9],
)
def test_what_is_no_image_is_found_out_when_it_is_looked_at(value: Any) -> None:
    with pytest.raises(ImageError):
        header_size(image_bytes(value))


class TestUnpacking:
    def test_rows_keep_their_other_columns_and_equal_images_are_one_file(self, tmp_path: Path, cache: Path) -> None:
        rows = [{"index": 0, "image": packed(1)}, {"index": 1, "image": packed(2)}, {"index": 2, "image": packed(1) + "\n"}]
        found = load_table(write_parquet(tmp_path / "a.parquet", rows, BASE64), "image", COLUMNS)
        assert [row.fields for row in found] == [{"index": 0}, {"index": 1}, {"index": 2}]
        assert [row.image for row in found] == [source_hash(png(seed)) for seed in (1, 2, 1)]
        assert image_file(found[0].image).read_bytes() == png(1)
        assert len([path for path in (cache / "images").rglob("*") if path.is_file()]) == 2

    def test_columns_that_nobody_asked_for_are_left_out(self, tmp_path: Path) -> None:
        file = write_tsv(tmp_path / "a.tsv", [{"index": "0", "ocr": "x" * 1000, "image": packed()}])
        assert [row.fields for row in load_table(file, "image", ("index",))] == [{"index": "0"}]
        assert [row.fields for row in load_table(file, "image", ("ocr", "other"))] == [{"ocr": "x" * 1000}]

    @pytest.mark.parametrize("kind", ["parquet", "tsv", "jsonl", "json"])
    def test_every_kind_of_table_gives_the_same(self, tmp_path: Path, kind: str) -> None:
        rows = [{"index": str(i), "question": 'a "b"\tc\nd, 東京', "image": packed(i)} for i in range(2)]
        file = tmp_path / f"table.{kind}"
        if kind == "parquet":
            write_parquet(file, rows, dict.fromkeys(rows[0], pa.string()))
        elif kind == "tsv":
            write_tsv(file, rows)
        else:
            lines = [json.dumps(row) for row in rows]
            file.write_text("\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]", encoding="utf-8-sig")
        found = load_table(file, "image", COLUMNS)
        assert [row.fields for row in found] == [{"index": str(i), "question": 'a "b"\tc\nd, 東京'} for i in range(2)]
        assert [row.image for row in found] == [source_hash(png(i)) for i in range(2)]

    def test_a_field_of_many_megabytes_is_read(self, tmp_path: Path) -> None:
        data = encode_png(noise(1600, 1200))
        assert len(data) > 5_000_000
        (row,) = load_table(write_tsv(tmp_path / "a.tsv", [{"image": base64.b64encode(data).decode()}]), "image", COLUMNS)
        assert header_size(image_file(row.image).read_bytes()) == (1600, 1200)

    def test_a_second_load_does_not_read_the_table(self, tmp_path: Path) -> None:
        file = write_parquet(tmp_path / "a.parquet", [{"index": 0, "image": packed(1)}], BASE64)
        first, stat = load_table(file, "image", COLUMNS), file.stat()
        file.write_bytes(b"x" * stat.st_size)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert load_table(file, "image", COLUMNS) == first

    def test_a_table_that_changed_is_read_again(self, tmp_path: Path) -> None:
        file = write_parquet(tmp_path / "a.parquet", [{"index": 0, "image": packed(1)}], BASE64)
        load_table(file, "image", COLUMNS)
        write_parquet(file, [{"index": 1, "image": packed(1)}, {"index": 2, "image": packed(3)}], BASE64)
        assert [row.fields["index"] for row in load_table(file, "image", COLUMNS)] == [1, 2]

    def test_an_image_that_was_cleaned_away_is_unpacked_again(self, tmp_path: Path) -> None:
        file = write_parquet(tmp_path / "a.parquet", [{"index": 0, "image": packed(1)}], BASE64)
        (row,) = load_table(file, "image", COLUMNS)
        image_file(row.image).unlink()
        assert load_table(file, "image", COLUMNS) == [row]
        assert image_file(row.image).read_bytes() == png(1)

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("a.parquet", b"PAR1 and no more", "a.parquet is damaged"),
            ("a.tsv", b"index\tindex\n1\t2\n", "expected every column once"),
            ("a.json", b'[{"image": "a"}, {"image"', "a.json is damaged"),
            ("a.json", b"7", "a.json is damaged (it holds 7; expected a list of rows)"),
            ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a Git LFS pointer"),
            ("a.tsv", b"<!DOCTYPE html><html>", "a web page"),
            ("a.zip", b"PK", "expected one of .parquet, .tsv, .jsonl, .json"),
        ],
    )
    def test_a_bad_table_is_one_line(self, tmp_path: Path, name: str, content: bytes, says: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            load_table(tmp_path / name, "image", COLUMNS)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "bad", "says"),
        [
            ("a.tsv", b"1", "another number of fields"),
            ("a.tsv", b"1\t2\t3", "another number of fields"),
            ("a.tsv", b"1\t\xff\xfe", "byte 0xff is no UTF-8"),
            ("a.tsv", b'1\t"never closed', "its quotes do not fit"),
            ("a.tsv", b'1\t"closed" too early', "its quotes do not fit"),
            ("a.jsonl", b'{"image"', "truncated"),
            ("a.jsonl", b"[1]", "Expected `object`, got `array` ([1])"),
            ("a.jsonl", b'{"index": 1, "index": 2}', "the field 'index' stands twice"),
            ("a.jsonl", b'{"index": "\\ud800"}', "half of a surrogate pair"),
            ("a.jsonl", b"[" * 100_000, "row 2"),
            ("a.jsonl", b'{"index": 1}', "it has no column 'image'; it has index"),
        ],
    )
    def test_a_bad_row_is_one_bad_row(self, tmp_path: Path, name: str, bad: bytes, says: str) -> None:
        good = (b"index\timage", b"0\tx", b"2\ty") if name.endswith("tsv") else (b'{"index": 9, "image": "x"}',) * 3
        lines = [good[0], bad, good[1]] if name.endswith("jsonl") else [good[0], good[1], bad, good[2]]
        (tmp_path / name).write_bytes(b"\n".join(lines) + b"\n")
        rows = load_table(tmp_path / name, "image", COLUMNS)
        assert [bool(row.problem) for row in rows] == [False, True, False]
        assert says in f"row 2: {rows[1].problem}"

    def test_a_quote_that_does_not_close_swallows_no_other_row(self, tmp_path: Path) -> None:
        lines = ["index\tquestion\timage", *(f"{i}\t{chr(34) * (i in (2, 5))}What?\tx" for i in range(8))]
        (tmp_path / "a.tsv").write_text("\n".join(lines))
        rows = load_table(tmp_path / "a.tsv", "image", COLUMNS)
        assert [row.number for row in rows if row.problem] == [3, 6]
        assert [row.fields["index"] for row in rows if not row.problem] == ["0", "1", "3", "4", "6", "7"]

    def test_a_cache_that_cannot_be_written_is_said_with_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = write_parquet(tmp_path / "a.parquet", [{"index": 0, "image": packed(1)}], BASE64)
        monkeypatch.setenv("COF_CACHE", str(file))
        with pytest.raises(DataError, match="choose another place with COF_CACHE"):
            load_table(file, "image", COLUMNS)


class TestFinding:
    def test_the_first_fitting_pattern_wins_and_shards_are_in_order(self, tmp_path: Path) -> None:
        for name in ("b.tsv", "data/2.parquet", "data/1.parquet"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        assert find_tables(tmp_path, ("data/*.parquet", "*.tsv")) == [tmp_path / "data/1.parquet", tmp_path / "data/2.parquet"]
        assert find_tables(tmp_path, ("*.parquet", "*.tsv")) == [tmp_path / "b.tsv"]
        assert find_tables(tmp_path / "b.tsv", ("*.parquet",)) == [tmp_path / "b.tsv"]

    @pytest.mark.parametrize(("place", "says"), [("empty", "holds no table"), ("nowhere", "does not exist")])
    def test_nothing_to_find_says_what_is_expected(self, tmp_path: Path, place: str, says: str) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=rf"{says}; expected a file, or a folder with data/\*\.parquet or \*\.tsv"):
            find_tables(tmp_path / place, ("data/*.parquet", "*.tsv"))


class TestItems:
    def rows(self, *changes: dict[str, Any]) -> list[dict[str, Any]]:
        sound = {"question_id": "1", "question": "Is there a dog?", "answer": "yes", "category": "random", "image": packed()}
        return [sound | change for change in changes]

    def test_a_bad_row_is_named_with_its_file(self, tmp_path: Path) -> None:
        file = write_tsv(tmp_path / "pope.tsv", self.rows({}, {"answer": "maybe"}))
        rows = load_pope(file)
        assert len(rows) == 1
        assert re.search(r"pope\.tsv, row 2: the answer is 'maybe'; expected yes or no; correct this row", str(rows.bad[0]))
        assert rows.note.startswith("1 of 2 rows cannot be asked and do not count; the first: ")

    def test_a_missing_column_is_named(self, tmp_path: Path) -> None:
        rows = [{"question_id": "1", "question": "Is there a dog?", "category": "random", "image": packed()}]
        with pytest.raises(DataError, match=r"row 1: .*missing required field `answer`"):
            load_pope(write_tsv(tmp_path / "pope.tsv", rows))

    def test_ids_that_occur_again_are_told_apart(self, tmp_path: Path) -> None:
        items = load_pope(write_tsv(tmp_path / "pope.tsv", self.rows({}, {}, {"question_id": "2"})))
        assert [item.question.id for item in items] == ["random/1", "random/1#2", "random/2"]

    def test_a_damaged_image_is_no_error_until_it_is_read(self, tmp_path: Path) -> None:
        good, bad = load_pope(write_tsv(tmp_path / "pope.tsv", self.rows({}, {"image": "damaged!"})))
        assert header_size(good.image.read()) == (120, 90)
        with pytest.raises(ImageError, match="no image"):
            header_size(bad.image.read())

    def test_an_empty_table_is_refused(self, tmp_path: Path) -> None:
        file = write_parquet(tmp_path / "pope.parquet", [], {"question_id": pa.string(), "image": pa.string()})
        with pytest.raises(DataError, match="holds no row"):
            load_pope(file)


def write_large(file: Path, rows: int, size: int) -> Path:
    """A table of distinct images of `size` bytes in a single row group, written without holding them."""
    schema = pa.schema([("index", pa.int64()), ("image", pa.string())])
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        batches = [pa.record_batch([[i], [base64.b64encode(os.urandom(size)).decode()]], schema=schema) for i in range(rows)]
        writer.write_table(pa.Table.from_batches(batches), row_group_size=rows)
    return file


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Python's and Arrow's memory together, for 4 and for 24 images of 2 MB in one row group."""
    peaks = []
    for rows in (4, 24):
        file = write_large(tmp_path / f"{rows}.parquet", rows, 2_000_000)
        pool = pa.system_memory_pool()
        before, kept = pa.default_memory_pool(), pa.total_allocated_bytes()
        pa.set_memory_pool(pool)
        tracemalloc.start()
        try:
            found = load_table(file, "image", COLUMNS)
            sources = [ImageSource(path=str(image_file(row.image))) for row in found]
            sizes = [len(source.read()) for source in sources]
            peaks.append(tracemalloc.get_traced_memory()[1] + max(0, pool.max_memory() - kept))
        finally:
            tracemalloc.stop()
            pa.set_memory_pool(before)
        assert sizes == [2_000_000] * rows
    assert peaks[1] < 1.5 * peaks[0]
