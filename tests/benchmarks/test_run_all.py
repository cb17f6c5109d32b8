"""Every task of every benchmark, on rows of its true schema, through lmms-eval's evaluator and the model `cof` on a scripted server."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import filelock
import lmms_eval.evaluator as evaluator
import pytest
from fake_server import ChatRequest, FakeServer, serve
from lmms_eval.tasks import TaskManager
from tables import write_all

from cof_eval.benchmarks import BENCHMARKS
from cof_eval.core.paths import data_dir
from cof_eval.core.records import Outcome
from cof_eval.core.resolution import NATIVE, SWEEP
from cof_eval.lmms.model import Cof
from cof_eval.lmms.task import ACCURACY, METRICS, load_rows
from cof_eval.report.benchmark_metrics import metric_values
from cof_eval.runs.folder import RunData, load_run

pytestmark = pytest.mark.slow

TASKS = [f"cof_{name}_{resolution.name}" for name in BENCHMARKS for resolution in (*SWEEP, NATIVE)]

SAID = {
    "What is the color of the umbrella": "blue",
    "Where is the kiosk": "B",
    "How many cars": "E",
    "图中招牌": "東京",
    'reads "STOP"': "(F)",
    "number is on the bus": "The number 72",
    "Is there a dog": "Yes.",
    "Is there a chair": "Yes",
    "Is there a": "no",
    "What is the date": "January 8, 1993",
    "¿Quién firma": "José Nuñez",
    "How many companies": "Two",
    "describes the relation": "A: The suitcase is on the book.",
    "Which of the four": "D",
    "color is the mug": "red",
    "How many pens": "three",
    "Was steht": "Milch",
    "How many table lamps": "(C) 1",
    "small plate say": "Exit 4",
    "color are the cat's eyes": "yellow with black",
    "area of triangle": "60",
    "Which escalator": "E",
    "Which year grew": "(B)",
    "How many red cars": "4",
    "招牌上写的": "B",
    "How many organs": "C",
    "Where is the dog": "B",
    "How many cows": "1",
    "closer to the camera": "table",
    "save the file": "the point is (45, 30)",
    "open the settings": "I do not see it",
}
"""What the server answers, by a part of the question."""


def says(asked: ChatRequest) -> str:
    return f"<answer>{next((said for part, said in SAID.items() if part in asked.text), 'A')}</answer>"


@dataclass(frozen=True)
class Finished:
    results: dict[str, Any]
    run: RunData
    server: FakeServer

    def column(self, benchmark: str, name: str, resolution: str = "224") -> float:
        return float(self.results["results"][f"cof_{benchmark}_{resolution}"][f"{name},none"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """All tasks in one run."""
    folder, kind = tmp_path_factory.mktemp("all"), type(filelock.FileLock)
    locking = kind.__call__
    with pytest.MonkeyPatch.context() as patch, serve(reply=says) as server:
        for name, data in write_all(folder / "data").items():
            patch.setenv(f"COF_DATA_{name.upper()}", str(data))
        patch.setenv("COF_CACHE", str(folder / "cache"))
        patch.delenv("COF_JUDGE_URL", raising=False)
        load_rows.cache_clear()
        model = Cof(pretrained="by-name", engine="openai", base_url=server.url, run=str(folder / "run"))
        results = evaluator.simple_evaluate(
            model=model,
            tasks=TASKS,
            task_manager=TaskManager(include_path=str(data_dir("tasks")), include_defaults=False),
            bootstrap_iters=0,
            cli_args=argparse.Namespace(process_with_media=False, output_path="x"),
        )
        model.close()
        yield Finished(results, load_run(folder / "run"), server)
    kind.__call__ = locking  # type: ignore[method-assign]  # lmms-eval's evaluator makes every file lock reentrant
    evaluator._enable_reentrant_filelocks._patched = False
    load_rows.cache_clear()


def test_every_task_ran_every_row(finished: Finished) -> None:
    assert set(finished.results["results"]) >= set(TASKS)
    rows = Counter(row.task for row in finished.run.rows)
    assert rows == {task: len(finished.results["samples"][task]) for task in TASKS}
    assert all(finished.run.trajectories[row.trajectory].error is None for row in finished.run.rows)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_metrics_are_columns_of_lmms_evals_table_and_the_run_folder_gives_the_same(finished: Finished, benchmark: str) -> None:
    names = [*METRICS, *(metric.name for metric in BENCHMARKS[benchmark].metrics)]
    found = {(one.task, one.metric): one.value for one in metric_values(finished.run)}
    for resolution in ("224", "4k", "native"):
        columns = finished.results["results"][f"cof_{benchmark}_{resolution}"]
        assert {f"{name},none" for name in names} <= set(columns)
        for metric in BENCHMARKS[benchmark].metrics:
            assert found[f"cof_{benchmark}_{resolution}", metric.name] == pytest.approx(
                columns[f"{metric.name},none"], nan_ok=True
            )


@pytest.mark.parametrize(
    ("benchmark", "metric", "value"),
    [
        ("hrbench4k", "acc", 5 / 8),
        ("hrbench4k", "acc_4_of_4", 1 / 2),
        ("hrbench8k", "single", 1.0),
        ("hrbench8k", "cross", 1 / 4),
        ("mme_realworld_lite", "perception", 1.0),
        ("mme_realworld_lite", "reasoning", 1.0),
        ("treebench", "perception", 1.0),
        ("treebench", "reasoning", 0.0),
        ("visual_probe", "acc", 0.0),
        ("visual_probe", "acc_upper", 1.0),
        ("pope", "acc", 5 / 6),
        ("pope", "precision", 3 / 4),
        ("pope", "recall", 1.0),
        ("pope", "f1", 6 / 7),
        ("pope", "yes_ratio", 4 / 6),
        ("infovqa", "acc", 1.0),
        ("infovqa", "anls", 1.0),
        ("docvqa", "anls", (1 + 0.9) / 2),
        ("docvqa", "acc", 1 / 2),
        ("mmstar", "coarse_perception", 1.0),
        ("mmstar", "math", 1.0),
        ("custom", "acc", 1.0),
        ("zoombench", "choice", 1.0),
        ("zoombench", "open", 1.0),
        ("adaptmmbench", "realworld", 1.0),
        ("adaptmmbench", "math", 1.0),
        ("o3bench", "map", 1.0),
        ("o3bench", "chart", 0.0),
        ("zoomgainbench", "en", 1.0),
        ("zoomgainbench", "ocr", 0.0),
        ("cvbench", "acc", 3 / 4),
        ("cvbench", "coco", 1 / 2),
        ("cvbench", "acc_2d", 3 / 4),
        ("cvbench", "balanced", 7 / 8),
        ("screenspot_pro", "acc", 1 / 2),
        ("screenspot_pro", "icon", 1.0),
        ("screenspot_pro", "text", 0.0),
        ("screenspot_pro", "no_point", 1 / 2),
    ],
)
def test_what_the_answers_are_worth(finished: Finished, benchmark: str, metric: str, value: float) -> None:
    assert finished.column(benchmark, metric) == pytest.approx(value)


def test_categories_without_a_row_are_not_a_number(finished: Finished) -> None:
    assert math.isnan(finished.column("mmstar", "logical_reasoning"))


def test_rows_of_equal_text_and_image_share_a_trajectory_and_have_verdicts_of_their_own(finished: Finished) -> None:
    rows = [row for row in finished.run.rows if row.task == "cof_treebench_224"]
    assert len({row.trajectory for row in rows}) == 1
    verdicts = [finished.run.verdict(row) for row in rows]
    assert [verdict.verdict for verdict in verdicts if verdict] == [Outcome.CORRECT, Outcome.WRONG]


def test_rows_that_share_a_trajectory_keep_their_own_category(finished: Finished) -> None:
    rows = [row for row in finished.run.rows if row.task == "cof_pope_224"]
    assert len({row.trajectory for row in rows}) == 4 < len(rows)
    categories = Counter(question.category for row in rows if (question := finished.run.question(row)))
    assert categories == {"adversarial": 2, "popular": 2, "random": 2}


def test_a_row_without_a_standard_answer_is_run_settled_and_not_scored(finished: Finished) -> None:
    (row,) = [row for row in finished.run.rows if row.task == "cof_custom_224" and row.question_id == "3"]
    assert finished.run.trajectories[row.trajectory].answer == "Milch"
    assert finished.run.verdict(row) is None
    assert finished.run.settled(row)
    sample = finished.results["samples"]["cof_custom_224"][2]
    assert "zooms" in sample
    assert not set(ACCURACY) & set(sample)


def test_samples_name_the_trajectory_and_hold_no_image(finished: Finished) -> None:
    for task in TASKS:
        for sample in finished.results["samples"][task]:
            assert json.loads(sample["filtered_resps"][0])["trajectory"] in finished.run.trajectories
            assert "image" not in sample["doc"]


def test_every_distinct_question_was_asked_once(finished: Finished) -> None:
    assert set(finished.server.answered().values()) == {1}
