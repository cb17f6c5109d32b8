"""Data sets with sound rows and spoilt ones, drawn from a seed: what each row means is known, whatever was done to others.

Row i asks about "thing i", has an image of its own, and "right i" as its right answer. A spoilt row may be refused or unreadable;
it must never show another row's image or make another option right.
"""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tables import png

Fields = dict[str, Any]
ROWS = 6
STEMS = ("scene", "scene.5", "photo[1]", "photo1", "p*", "p.mask")
"""Names of images and the JSON files next to them."""
SIDE = 28


def picture(row: int) -> bytes:
    return png(1000 + row, SIDE, SIDE)


@dataclass
class DataSet:
    """One data set as it is written, and which of its rows were spoilt."""

    benchmark: str
    folder: Path
    rows: list[Any]
    """Fields, or a text or bytes in their place."""
    names: dict[str, str]
    """What the benchmark calls `image`, `options`, `answer` and `id`."""
    embedded: bool
    write: Callable[[DataSet, random.Random], Path]
    spoilt: dict[int, str] = field(default_factory=dict)
    data: Path = Path()


def options(row: int, chance: random.Random) -> tuple[list[str], str]:
    texts = [f"right {row}", *(f"wrong {row} {i}" for i in range(3))]
    chance.shuffle(texts)
    return texts, "ABCD"[texts.index(f"right {row}")]


def custom(folder: Path, chance: random.Random) -> DataSet:
    rows = []
    for i in range(ROWS):
        texts, right = options(i, chance)
        (folder / f"scene{i}.png").write_bytes(picture(i))
        rows.append(
            {"image": f"scene{i}.png", "question": f"What is thing {i}?", "options": texts, "answer": right, "id": f"q{i}"}
        )
    return DataSet("custom", folder, rows, {}, False, write_lines)


def beside(folder: Path, chance: random.Random) -> DataSet:
    """A JSON file next to each image, with names that would fit others if they were patterns or cut at the first point."""
    made = custom(folder, chance)
    for i, (row, stem) in enumerate(zip(made.rows, STEMS, strict=True)):
        (folder / f"scene{i}.png").unlink()
        (folder / f"{stem}.{chance.choice(('png', 'PNG', 'webp'))}").write_bytes(picture(i))
        del row["image"]
        row["id"] = stem
    made.write = write_files
    return made


def vstar(folder: Path, chance: random.Random) -> DataSet:
    made = custom(folder, chance)
    for i, row in enumerate(made.rows):
        lines = [f"({letter}) {text}" for letter, text in zip("ABCD", row.pop("options"), strict=True)]
        row["text"] = "\n".join([row.pop("question"), *lines, "Answer with the option's letter."])
        row |= {"label": row.pop("answer"), "question_id": i % 3, "category": "direct_attributes"}
        del row["id"]
    made.benchmark, made.names = "vstar", {"answer": "label", "id": "question_id", "options": "text"}
    made.write = lambda data, chance: write_lines(data, chance, "test_questions.jsonl").parent
    return made


def treebench(folder: Path, chance: random.Random) -> DataSet:
    rows = []
    for i in range(ROWS):
        texts, right = options(i, chance)
        lettered = [f"({letter}) {text}" for letter, text in zip("ABCD", texts, strict=True)]
        rows.append({"index": i, "image": base64.b64encode(picture(i)).decode(), "question": f"What is thing {i}?",
                     "multi-choice options": lettered, "answer": right, "category": "Perception/OCR"})  # fmt: skip
    names = {"id": "index", "options": "multi-choice options"}
    return DataSet("treebench", folder, rows, names, True, write_table)


def hrbench(folder: Path, chance: random.Random) -> DataSet:
    made = treebench(folder, chance)
    for row in made.rows:
        row |= dict(zip("ABCD", (text[4:] for text in row.pop("multi-choice options")), strict=True)) | {"category": "single"}
    made.benchmark, made.names = "hrbench4k", {"id": "index", "options": "B"}
    return made


def docvqa(folder: Path, chance: random.Random) -> DataSet:
    rows = []
    for i in range(ROWS):
        (folder / "documents").mkdir(exist_ok=True)
        (folder / "documents" / f"page{i}.png").write_bytes(picture(i))
        rows.append(
            {"questionId": i, "question": f"What is thing {i}?", "image": f"documents/page{i}.png", "answers": [f"right {i}"]}
        )
    return DataSet("docvqa", folder, rows, {"answer": "answers", "id": "questionId"}, False, write_challenge)


MAKERS = (custom, beside, vstar, treebench, hrbench, docvqa)


def encode(text: str, chance: random.Random) -> bytes:
    """As some editor saves it."""
    text = text.replace("\n", "\r\n") if chance.random() < 0.3 else text
    encoding = chance.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
    return text.encode(encoding, "surrogatepass")


def line(row: Any) -> str:
    return row if isinstance(row, str) else json.dumps(row)


def write_lines(data: DataSet, chance: random.Random, name: str = "questions.jsonl") -> Path:
    lines = [line(row) for row in data.rows]
    for _ in range(chance.choice((0, 0, 2))):
        lines.insert(chance.randrange(len(lines) + 1), "  ")
    as_list = not any(isinstance(row, str) for row in data.rows) and chance.random() < 0.3
    text = f"[{','.join(map(line, data.rows))}]" if as_list else "\n".join(lines)
    (data.folder / name).write_bytes(encode(text, chance))
    return data.folder / name


def write_files(data: DataSet, chance: random.Random) -> Path:
    for row, stem in zip(data.rows, STEMS, strict=True):
        (data.folder / f"{stem}.json").write_bytes(encode(line(row), chance))
    return data.folder


def write_table(data: DataSet, chance: random.Random) -> Path:
    stem, rows = data.folder / ("hr_bench_4k" if data.benchmark == "hrbench4k" else "TreeBench"), data.rows
    kinds = ["jsonl", "json"] + ([] if any(isinstance(row, str) for row in rows) else ["tsv", "parquet"])
    kind = chance.choice(kinds)
    file = stem.with_suffix(f".{kind}")
    if kind in ("jsonl", "json"):
        return write_lines(data, chance, file.name)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    if kind == "tsv":
        lines = ["\t".join(columns), *("\t".join(_quoted(cell) for cell in row) for row in cells)]
        file.write_bytes(encode("\n".join(lines) + "\n", chance))
    else:
        pq.write_table(
            pa.table({name: pa.array([row[i] for row in cells], pa.string()) for i, name in enumerate(columns)}), file
        )
    return file


def _cell(value: Any) -> str | None:
    return None if value is None or value != value else value if isinstance(value, str) else str(value)


def _quoted(cell: str | None) -> str:
    text = cell or ""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in '\t\n\r"') else text


def write_challenge(data: DataSet, chance: random.Random) -> Path:
    file = data.folder / "val_v1.0.json"
    if any(isinstance(row, str) for row in data.rows):
        return write_lines(data, chance, file.name)
    file.write_bytes(encode(json.dumps({"dataset_split": "val", "data": data.rows}, indent=chance.choice([None, 1])), chance))
    return file


def spoil(data: DataSet, row: int, how: str, chance: random.Random) -> None:
    """Do something to a row that can be done to rows of its kind."""
    fields, name = data.rows[row], lambda key: data.names.get(key, key)
    if not isinstance(fields, dict):
        return
    if how in ("cut", "list", "null", "twice", "deep", "surrogate"):
        text = json.dumps(fields)
        data.rows[row] = {"cut": text[: len(text) // 2], "list": "[1]", "null": "null", "deep": "[" * 3000,
                          "twice": text[:-1] + f", {json.dumps(name('answer'))}: null}}",
                          "surrogate": text[:-1] + ', "note": "\\ud800"}'}[how]  # fmt: skip
    elif how == "no answer":
        fields[name("answer")] = chance.choice([None, float("nan"), "", [], 7, {"a": 1}])
    elif how == "beyond":
        fields[name("answer")] = chance.choice(["E", "Z", "AA", "left", "BC"])
    elif how == "null id":
        fields[name("id")] = chance.choice([None, float("nan"), [1], 10**30])
    elif how == "same id":
        fields[name("id")] = (data.rows[0] if isinstance(data.rows[0], dict) else {}).get(name("id"), 0)
    elif how == "no question":
        fields["text" if "text" in fields else "question"] = chance.choice(
            [None, "", "  "] + ([] if data.embedded else [5, ["?"]])
        )
    elif how == "options":
        _spoil_options(fields, name("options"), chance)
    elif how == "image":
        _spoil_image(data, row, fields, chance)


def _spoil_options(fields: Fields, name: str, chance: random.Random) -> None:
    known = fields.get(name)
    if isinstance(known, list):
        place = chance.randrange(len(known))
        bad: Any = chance.choice(["", "  ", None, float("nan"), {"a": 1}, True])
        fields[name] = chance.choice([[*known[:place], bad, *known[place:]], known + [f"x{i}" for i in range(26)], 7, "", [[]]])
    elif isinstance(known, str) and "\n(B)" in known:
        head, _, rest = known.partition("\n(B)")
        fields[name] = chance.choice([f"{head}\n(B) \n{rest}", f"{head}\n(D){rest}", head, f"{head}\n(A){rest}"])
    elif known is not None:
        fields[name] = chance.choice([None, "", "   ", float("nan")])


def _spoil_image(data: DataSet, row: int, fields: Fields, chance: random.Random) -> None:
    if data.embedded:
        fields["image"] = chance.choice([None, "", "!!!", "99", fields["image"][:80], "../scene0.png", "x\0y.png", 7])
        return
    outside = data.folder.parent / f"{data.folder.name}-secret.png"
    outside.write_bytes(png(7, SIDE, SIDE))
    place = data.folder / f"odd{row}.png"
    kind = chance.choice(["link", "pipe", "device", "folder", "dangling", "lfs", "heic", "html", "cut", "thin", "name"])
    if kind in ("link", "device", "dangling"):
        os.symlink({"link": outside, "device": "/dev/zero", "dangling": data.folder / "gone.png"}[kind], place)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "thin":
        place.write_bytes(png(1, 300, 1))
    elif kind != "name":
        starts = {
            "lfs": b"version https://git-lfs.github.com/spec/v1\n",
            "heic": b"\0\0\0\x18ftypheic",
            "html": b"<!DOCTYPE html>",
        }
        place.write_bytes(starts.get(kind, picture(3)[:60]))
    odd = [
        "../" + outside.name,
        str(outside),
        "/dev/zero",
        "a\0b.png",
        "",
        ".",
        "x" * 400 + ".png",
        7,
        None,
        ["a", "b"],
        "~/x.png",
    ]
    fields["image"] = chance.choice(odd) if kind == "name" else place.name


HOWS = (
    "cut",
    "list",
    "null",
    "twice",
    "deep",
    "surrogate",
    "no answer",
    "beyond",
    "null id",
    "same id",
    "no question",
    "options",
    "image",
    "image",
)
"""What is done to rows; broken lines only where every row is a line of its own."""


def make(seed: int, folder: Path) -> DataSet:
    """A data set with one to three spoilt rows of six."""
    chance = random.Random(seed)
    folder.mkdir()
    data = MAKERS[seed % len(MAKERS)](folder, chance)
    for row in chance.sample(range(ROWS), chance.choice((1, 1, 2, 3))):
        data.spoilt[row] = how = chance.choice(HOWS)
        spoil(data, row, how, chance)
    data.data = data.write(data, chance)
    return data
