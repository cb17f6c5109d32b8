"""Four benchmarks at eight resolutions: n, accuracy and own metrics as a script counts them that reads the source files only."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fakes import ScriptedEngine, answer, planner, session
from programs import recount
from tables import HR_SCHEMA, STAR_SCHEMA, packed, png, rotated, write_parquet

from cof_eval.agent.engine import Request
from cof_eval.benchmarks import BENCHMARKS
from cof_eval.benchmarks.views import view_items
from cof_eval.core.image_view import ImageView
from cof_eval.core.option_order import OptionOrder
from cof_eval.core.resolution import SWEEP
from cof_eval.report.report_run import report_runs
from cof_eval.runs.folder import load_run
from cof_eval.runs.work import jobs

pytestmark = pytest.mark.slow

SIZE = {"width": recount.WIDTH, "height": recount.HEIGHT}
FOUR = [("red", "blue", "green", "white"), ("left", "right", "above", "below")]


def write_vstar(folder: Path) -> None:
    """Ids restart in each category, as in one layout of the data."""
    rows = []
    for category in ("direct_attributes", "relative_position"):
        (folder / category).mkdir(parents=True)
        for i in range(5):
            (folder / category / f"{i}.png").write_bytes(png(i, **SIZE))
            lines = [f"({letter}) {text}" for letter, text in zip("ABCD", FOUR[i % 2], strict=True)]
            text = "\n".join([f"What of thing {i} in {category}?", *lines, "Answer with the option's letter."])
            row = {"image": f"{category}/{i}.png", "text": text, "label": "ABCD"[i % 4], "category": category, "question_id": i}
            rows.append(row)
    (folder / "test_questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_pope(folder: Path) -> None:
    (folder / "val2014").mkdir(parents=True)
    for i in range(2):
        (folder / "val2014" / f"COCO_val2014_{i}.png").write_bytes(png(i, **SIZE))
    for category in ("random", "popular", "adversarial"):
        rows = [
            {"question_id": i, "image": f"COCO_val2014_{i % 2}.png", "text": f"Is there a {name} in the image?", "label": label}
            for i, (name, label) in enumerate(
                [("dog", "yes"), ("cat", "yes"), (f"{category} fork", "no"), (f"{category} cup", "no")]
            )
        ]
        (folder / f"coco_pope_{category}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_hrbench(folder: Path) -> None:
    rows = [
        {"question": f"What of kiosk {i}?", "category": "single" if i % 2 else "cross", "image": packed(i, **SIZE),
         **rotated(4 * i + turn, list(FOUR[i % 2]), FOUR[i % 2][i % 4], turn)}
        for i in range(3) for turn in range(4)
    ]  # fmt: skip
    write_parquet(folder / "hr_bench_4k.parquet", rows, HR_SCHEMA)


def write_mmstar(folder: Path) -> None:
    kinds = [
        ("math", "geometry"),
        ("math", "statistical reasoning"),
        ("coarse perception", "image emotion"),
        ("math", "geometry"),
    ]
    rows = [
        {"index": i, "question": f"Which of group {i}?\nOptions: A: red, B: blue, C: green, D: white", "image": {"bytes": png(i, **SIZE)},
         "answer": "ABCD"[i % 4], "category": kinds[i % 4][0], "l2_category": kinds[i % 4][1]}
        for i in range(9)
    ]  # fmt: skip
    schema = {name: kind for name, kind in STAR_SCHEMA.items() if name in rows[0]} | {"index": pa.int64()}
    write_parquet(folder / "mmstar.parquet", rows, schema)


WRITERS = {"vstar": write_vstar, "pope": write_pope, "hrbench4k": write_hrbench, "mmstar": write_mmstar}


def says(stems: list[tuple[str, str, str]]) -> Any:
    """A model that follows `recount.answer`: by (words in the text, what the rule hashes, choices)."""

    def script(request: Request, turn: int) -> str:
        (asked,) = [part.text for m in request.messages if m.role == "user" for part in m.parts if hasattr(part, "text")]
        question, choices = next((hashed, choices) for words, hashed, choices in stems if words in asked)
        whole = request.images[0].image.size == (recount.WIDTH, recount.HEIGHT)
        return answer(recount.answer(question, whole, choices))

    return script


def stems(folder: Path) -> list[tuple[str, str, str]]:
    """From what the run asks: HR-Bench's rotations differ in their first option."""
    found = []
    for name in WRITERS:
        for item in BENCHMARKS[name].load(folder / name):
            lines = item.question.text.split("\n")
            first = lines[1].removeprefix("(A) ") if name == "hrbench4k" else ""
            words = "\n".join(lines[:2]) if name == "hrbench4k" else lines[0]
            found.append((words, lines[0] + first, "ABCD"[: len(item.question.options)]))
    return found


def test_n_accuracy_and_own_metrics_are_those_of_an_independent_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))
    for name, write in WRITERS.items():
        write(tmp_path / name)
    plan, plans = planner(), []
    for name in WRITERS:
        items = view_items(BENCHMARKS[name].load(tmp_path / name), ImageView.FULL)
        plans += [plan.plan(job) for job in jobs(name, items, SWEEP, order=OptionOrder())]
    asyncio.run(session(tmp_path / "run", plans, ScriptedEngine(says(stems(tmp_path))), concurrency=16))

    (made,) = report_runs([load_run(tmp_path / "run")])
    sweep = made.sweep[made.sweep["category"] == "overall"].set_index(["benchmark", "resolution"])
    own = made.own_metrics.set_index(["benchmark", "resolution", "metric"])["value"]
    program = Path(recount.__file__)
    counted = json.loads(subprocess.run([sys.executable, program, tmp_path], capture_output=True, check=True).stdout)
    assert {name: set(by) for name, by in counted.items()} == {name: {r.name for r in SWEEP} for name in WRITERS}
    for name, by_resolution in counted.items():
        for resolution, expected in by_resolution.items():
            line = sweep.loc[name, resolution]
            assert (line["n"], line["planned"], line["acc"]) == (expected["n"], expected["n"], pytest.approx(expected["acc"]))
            for metric in set(expected) - {"n", "acc"}:
                assert own[name, resolution, metric] == pytest.approx(expected[metric]), (name, resolution, metric)
    assert len({json.dumps(by) for by in counted["pope"].values()}) == 2, "resolutions must not all count alike"
