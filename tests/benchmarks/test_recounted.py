"""Three benchmarks at eight resolutions, answered by a script: n, accuracy and own metrics against a recount from the source files alone.

The recount reads the files as `json` and `pyarrow` give them and knows what the script says. It imports nothing of the package.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from commands import forked
from fake_server import ChatRequest, serve
from tables import CV_SCHEMA, POPE_SCHEMA, embedded, png, write_parquet

pytestmark = pytest.mark.slow

EIGHT = ("224", "336", "448", "672", "1024", "1920", "2560", "4k")
SIZE = (120, 90)


def draw(text: str, count: int) -> int:
    """What the script makes of a question: a number that only its words decide."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % count


def said(kind: str, about: str) -> str:
    """The scripted answer to a question, by what it asks for."""
    if kind == "yes":
        return ("yes", "no", "no")[draw(about, 3)]
    if kind == "point":
        return ("[0.375, 0.375]", "[0.9, 0.9]", "I do not see it")[draw(about, 3)]
    return f"({'AB'[draw(about, 2)]})"


def says(asked: ChatRequest) -> str:
    found = re.search(r"(Is there|instruction is about:|Which of the two).*", asked.text)
    assert found
    kind = {"Is there": "yes", "Which of the two": "letter"}.get(found[1], "point")
    return f"<answer>{said(kind, found[0].split('?')[0].strip())}</answer>"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    pope = [
        {"id": str(i), "question_id": str(i), "question": f"Is there a thing{i} in the image?", "answer": ("yes", "no")[i % 2],
         "image_source": "x", "image": embedded(i % 4), "category": ("adversarial", "popular")[i // 8 % 2]}
        for i in range(16)
    ]  # fmt: skip
    write_parquet(folder / "pope/data/test-00000.parquet", pope, POPE_SCHEMA)
    for name, sources in (("test_2d", ("ADE20K", "COCO")), ("test_3d", ("Omni3D",))):
        rows = []
        for i in range(11):
            asked = f"Which of the two {name} {i}?"
            row = {
                "idx": i,
                "type": name[-2:].upper(),
                "task": "Count",
                "image": embedded(i % 3),
                "question": asked,
                "choices": ["cat", "dog"],
            }
            prompt = f"{asked} Select from the following choices.\n(A) cat\n(B) dog"
            rows.append(row | {"answer": ("(A)", "(B)")[i % 3 == 0], "prompt": prompt, "source": sources[i % len(sources)]})
        write_parquet(folder / f"cvbench/{name}.parquet", rows, CV_SCHEMA)
    spots = [
        {"id": f"s{i}", "img_filename": f"{i % 2}.png", "bbox": [30, 20, 60, 45], "instruction": f"press button {i}", "img_size": SIZE,
         "ui_type": ("icon", "text")[i % 3 == 0], "group": "Dev"}
        for i in range(14)
    ]  # fmt: skip
    for place in ("annotations", "images"):
        (folder / "screenspot_pro" / place).mkdir(parents=True)
    for i in range(2):
        (folder / f"screenspot_pro/images/{i}.png").write_bytes(png(i, *SIZE))
    (folder / "screenspot_pro/annotations/a.json").write_text(json.dumps(spots))
    return folder


def recount(data: Path) -> dict[str, dict[str, float]]:
    """n, accuracy and the benchmarks' own metrics, from the source files and the script alone."""
    rows = pq.read_table(data / "pope/data/test-00000.parquet", columns=["question", "answer"]).to_pylist()
    pairs = [(row["answer"], said("yes", row["question"].removesuffix("?"))) for row in rows]
    hits, claimed, there = (
        sum(pair == ("yes", "yes") for pair in pairs), sum(b == "yes" for _, b in pairs), sum(a == "yes" for a, _ in pairs)
    )  # fmt: skip
    pope = {
        "n": len(pairs), "acc": sum(a == b for a, b in pairs) / len(pairs), "precision": hits / claimed, "recall": hits / there,
        "f1": 2 * hits / (claimed + there), "yes_ratio": claimed / len(pairs),
    }  # fmt: skip
    frames = [
        pd.read_parquet(data / f"cvbench/test_{kind}.parquet", columns=["question", "answer", "source"])
        for kind in ("2d", "3d")
    ]
    table = pd.concat(frames)
    table["result"] = [
        said("letter", q.removesuffix("?")) == a for q, a in zip(table["question"], table["answer"], strict=True)
    ]
    by = table.groupby("source")["result"].mean()
    flat = (by["ADE20K"] + by["COCO"]) / 2
    cvbench = {
        "n": len(table), "acc": table["result"].mean(), "ade20k": by["ADE20K"], "coco": by["COCO"], "omni3d": by["Omni3D"],
        "acc_2d": flat, "acc_3d": by["Omni3D"], "balanced": (flat + by["Omni3D"]) / 2,
    }  # fmt: skip
    spots: list[dict[str, Any]] = json.loads((data / "screenspot_pro/annotations/a.json").read_text())
    ended = [(spot["ui_type"], said("point", f"instruction is about: {spot['instruction']}")) for spot in spots]
    right = {
        answer: answer == "[0.375, 0.375]" for _, answer in ended
    }  # (45, 33.75) of 120x90 lies in the box, (108, 81) does not
    screenspot = {"n": len(ended), "acc": sum(right[a] for _, a in ended) / len(ended)}
    for kind in ("icon", "text"):
        answers = [a for ui, a in ended if ui == kind]
        screenspot[kind] = sum(right[a] for a in answers) / len(answers)
    screenspot["no_point"] = sum("see" in a for _, a in ended) / len(ended)
    return {"pope": pope, "cvbench": cvbench, "screenspot_pro": screenspot}


def test_a_run_gives_what_a_recount_of_the_source_files_gives(data: Path, tmp_path: Path) -> None:
    expected = recount(data)
    named = [each for name in expected for each in ("--data", f"{name}={data / name}")]
    with serve(reply=says) as server:
        where = ("--engine", "openai", "--base-url", server.url, "--out", tmp_path / "run", "--benchmarks", ",".join(expected))
        done = forked("run", "--model", "by-name", *where, *named, folder=tmp_path, COF_CACHE=str(tmp_path / "cache"))
    assert done.status == 0, done.err
    sweep = pd.read_csv(tmp_path / "run/report/sweep.csv", keep_default_na=False)
    own = pd.read_csv(tmp_path / "run/report/metrics.csv")
    results = json.loads((tmp_path / "run/lmms_eval/results.json").read_text())["results"]
    for name, figures in expected.items():
        lines = sweep[(sweep["benchmark"] == name) & (sweep["category"] == "overall")].set_index("resolution")
        for resolution in EIGHT:
            assert lines.loc[resolution, "n"] == figures["n"]
            assert float(lines.loc[resolution, "acc"]) == pytest.approx(figures["acc"], abs=1e-5)
            columns = results[f"cof_{name}_{resolution}"]
            found = own[(own["benchmark"] == name) & (own["resolution"] == resolution)].set_index("metric")
            for metric, value in figures.items():
                if metric != "n":
                    assert columns[f"{metric},none"] == pytest.approx(value)
                if metric not in ("n", "acc"):
                    assert found.loc[metric, "value"] == pytest.approx(value, abs=1e-5)
                    assert found.loc[metric, "value_low"] <= found.loc[metric, "value"] <= found.loc[metric, "value_high"]
    assert 0 < expected["screenspot_pro"]["no_point"] < 1
