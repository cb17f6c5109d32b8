"""`--view`: the annotated region alone, or no image: what is sent, what is excluded, and that no run mixes views."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import Done, forked
from fake_server import ChatRequest, FakeServer, serve
from fakes import noise
from PIL import Image

from cof_eval.core.images import encode_png, pixel_hash
from cof_eval.report.compare import paired_table
from cof_eval.report.differences import differences
from cof_eval.report.report_run import report_runs
from cof_eval.runs.folder import RunData, load_run

pytestmark = pytest.mark.slow

PHOTO = noise(280, 196)
BOXES = [[[28, 28, 84, 84]], [[10.2, 10.9, 37.5, 38.0], [60, 50, 94, 94]], None]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    (folder / "photo.png").write_bytes(encode_png(PHOTO))
    rows = [
        {
            "id": f"q{i}",
            "image": "photo.png",
            "question": f"Question {i}?",
            "options": ["red", "blue"],
            "answer": "red",
            "boxes": b,
        }
        for i, b in enumerate(BOXES)
    ]
    (folder / "questions.jsonl").write_text("\n".join(json.dumps({k: v for k, v in row.items() if v}) for row in rows))
    return folder


def says(asked: ChatRequest) -> str:
    return "<answer>red</answer>" if asked.images and asked.images[0].width < 200 else "<answer>blue</answer>"


def run(server: FakeServer, data: Path, folder: Path, view: str, *more: object) -> Done:
    where = ("--engine", "openai", "--base-url", server.url, "--data", f"custom={data}", "--benchmarks", "custom")
    return forked("run", "--model", "by-name", *where, "--resolutions", "512", "--view", view, *more, folder=folder)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, RunData], dict[str, FakeServer], Path]:
    """A run of each view, into the folder that it takes by itself."""
    here = tmp_path_factory.mktemp("runs")
    runs, servers = {}, {}
    for view in ("full", "target", "none"):
        with serve(reply=says) as servers[view]:
            done = run(servers[view], data, here, view)
        assert done.status in (0, 1), done.err
        name = "by-name-cof-openai" + ("" if view == "full" else f"-view-{view}")
        runs[view] = load_run(here / "results" / "runs" / name)
    return runs, servers, here


def first_images(server: FakeServer) -> dict[str, Image.Image | None]:
    return {
        re.findall(r"Question \d", asked.text)[0]: asked.images[0] if asked.images else None
        for asked in server.log
        if not asked.turn
    }


def test_each_view_sends_the_image_the_region_or_nothing(
    finished: tuple[dict[str, RunData], dict[str, FakeServer], Path],
) -> None:
    _, servers, _ = finished
    assert {name: image.size for name, image in first_images(servers["full"]).items() if image} == {
        f"Question {i}": (280, 196) for i in range(3)
    }
    shown = first_images(servers["target"])
    assert {name: image.size for name, image in shown.items() if image} == {"Question 0": (112, 112), "Question 1": (112, 112)}
    alone = PHOTO.crop((28, 28, 84, 84)).resize((112, 112), Image.Resampling.LANCZOS)
    assert shown["Question 0"] and pixel_hash(shown["Question 0"]) == pixel_hash(alone)
    hull = PHOTO.crop((10, 10, 94, 94)).resize((112, 112), Image.Resampling.LANCZOS)
    assert shown["Question 1"] and pixel_hash(shown["Question 1"]) == pixel_hash(hull)
    assert first_images(servers["none"]) == {f"Question {i}": None for i in range(3)}


def test_a_run_says_its_view_and_names_what_it_excludes(
    finished: tuple[dict[str, RunData], dict[str, FakeServer], Path],
) -> None:
    runs, _, _ = finished
    assert {name: each.settings["view"] for name, each in runs.items()} == {name: name for name in runs}
    assert {name: len(each.rows) for name, each in runs.items()} == {"full": 3, "target": 2, "none": 3}
    notes = {name: " ".join(each.settings["notes"]) for name, each in runs.items()}
    assert "1 of 3 questions of custom are excluded (it has no annotated box): q2" in notes["target"]
    assert "no image was shown" in notes["none"]
    assert "view" not in notes["full"]
    assert [each.label.rpartition(" · ")[2] for each in report_runs(list(runs.values()))] == ["cof", "view target", "view none"]


def test_under_another_view_nothing_is_measured_of_boxes(
    finished: tuple[dict[str, RunData], dict[str, FakeServer], Path],
) -> None:
    tables = {name: report_runs([each])[0].rows for name, each in finished[0].items()}
    assert list(tables["full"].sort_values("question_id")["targets"]) == [1, 2, 0]
    assert not tables["target"]["targets"].any()
    assert not tables["none"]["targets"].any()


def test_views_are_paired_by_question_and_named_as_a_difference(
    finished: tuple[dict[str, RunData], dict[str, FakeServer], Path],
) -> None:
    full, target = report_runs([finished[0]["full"], finished[0]["target"]])
    (line,) = paired_table(target.rows, full.rows).to_dict("records")
    assert (line["resolution"], line["n"], line["acc"], line["acc_other"]) == ("512", 2, 1.0, 0.0)
    found = {each.name: each.values for each in differences([full.run, target.run])}
    assert found["view"] == ("full", "target")


def test_a_run_never_mixes_views_and_the_model_argument_means_the_same(
    data: Path, finished: tuple[dict[str, RunData], dict[str, FakeServer], Path], tmp_path: Path
) -> None:
    runs, _, _ = finished
    with serve(reply=says) as server:
        refused = run(server, data, tmp_path, "full", "--out", runs["target"].path)
        assert (refused.status, "view was 'target', now 'full'" in refused.err) == (2, True)
        wrong = run(server, data, tmp_path, "crop")
        assert (wrong.status, wrong.err.count("\n")) == (2, 1)
        assert "view='crop' is unknown; known: full, target, none" in wrong.err
        assert not server.log


def test_a_benchmark_without_any_box_cannot_be_run_so(data: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encode_png(PHOTO))
    (tmp_path / "q.jsonl").write_text('{"id": "a", "image": "photo.png", "question": "What?"}')
    with serve(reply=says) as server:
        done = run(server, tmp_path, tmp_path / "here", "target")
    assert done.status == 2
    assert (
        "no question can be asked under view target: 1 of 1 questions of custom are excluded (it has no annotated box): a"
        in done.err
    )
