"""The tasks that come along, as lmms-eval loads them, and how a row becomes a question, an image and metrics."""

from __future__ import annotations

import argparse
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from fake_server import Fault, serve
from fakes import noise
from lmms_eval.api.instance import TokenCounts
from lmms_eval.evaluator_utils import get_task_list
from lmms_eval.tasks import TaskManager, get_task_dict
from tables import write_all

from cof_eval.benchmarks import BENCHMARKS, SHIPPED, Benchmark, Rows
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.errors import DataError, UsageError
from cof_eval.core.images import encode_png, load_native
from cof_eval.core.paths import data_dir
from cof_eval.core.records import Outcome, Stop, digest, question_values, to_json
from cof_eval.core.resolution import NATIVE, SWEEP
from cof_eval.lmms.task import METRICS, CofTask, data_digest, load_rows, reference_answer, row_question, row_source
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

TASKS = data_dir("tasks")

UNSCORED = dict.fromkeys(METRICS, 0.0) | {"acc_upper": 1.0}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data") / "vstar", count=4, seed=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> dict[str, Path]:
    """Every benchmark's data."""
    return write_all(tmp_path_factory.mktemp("all")) | {"vstar": scenes}


@pytest.fixture(autouse=True)
def environment(data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, folder in data.items():
        monkeypatch.setenv(f"COF_DATA_{name.upper()}", str(folder))
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("COF_RUN", raising=False)
    monkeypatch.delenv("COF_JUDGE_URL", raising=False)
    load_rows.cache_clear()
    yield
    load_rows.cache_clear()


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_path=str(TASKS), include_defaults=False)


def loaded(manager: TaskManager, name: str) -> list[CofTask]:
    return [output.task for output in get_task_list(get_task_dict([name], manager, "chat"))]


def task(resolution: str = "448") -> CofTask:
    return CofTask({"benchmark": "vstar", "resolution": resolution, "task": f"cof_vstar_{resolution}", "class": CofTask})


class TestFiles:
    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    def test_every_file_is_a_task_or_a_group_of_its_own_name(self, manager: TaskManager, benchmark: str) -> None:
        eight = {f"cof_{benchmark}_{r.name}" for r in SWEEP}
        assert {file.stem for file in (TASKS / benchmark).glob("*.yaml")} == {
            f"cof_{benchmark}",
            f"cof_{benchmark}_native",
            *eight,
        }
        tasks = [*loaded(manager, f"cof_{benchmark}"), *loaded(manager, f"cof_{benchmark}_native")]
        assert [one.config.task for one in tasks] == [f"cof_{benchmark}_{r.name}" for r in [*SWEEP, NATIVE]]
        assert all(isinstance(one, CofTask) and one.benchmark == benchmark for one in tasks)
        assert [one.resolution for one in tasks] == [*SWEEP, NATIVE]

    def test_cof_all_is_every_benchmark_of_photographs_and_pages_with_data_of_its_own(self) -> None:
        everything = yaml.safe_load((TASKS / "cof_all.yaml").read_text())["task"]
        assert everything == [f"cof_{name}" for name in BENCHMARKS if name not in ("custom", "vstar_mini")]

    @pytest.mark.parametrize("benchmark", BENCHMARKS)
    def test_files_of_a_benchmark_repeat_nothing_but_their_resolution(self, benchmark: str) -> None:
        for resolution in [*SWEEP, NATIVE]:
            name = f"cof_{benchmark}_{resolution.name}"
            lines = (TASKS / benchmark / f"{name}.yaml").read_text().splitlines()
            assert lines == ["include: _template", f"task: {name}", f"resolution: {resolution.name}"]
        assert (TASKS / benchmark / "_template").read_text() == f"include: ../_common\nbenchmark: {benchmark}\n"

    def test_a_tasks_name_says_its_resolution(self, manager: TaskManager) -> None:
        for name in ("224", "4k", "native"):
            (one,) = loaded(manager, f"cof_vstar_{name}")
            assert one.resolution.name == name
            assert {doc["resolution"] for doc in one.test_docs()} == {name}

    def test_thoughts_are_not_stripped_by_lmms_eval(self, manager: TaskManager) -> None:
        (one,) = loaded(manager, "cof_vstar_448")
        assert one.config.reasoning_tags == "none"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"benchmark": "nonesuch"}, "unknown benchmark 'nonesuch'; known: vstar"),
            ({"resolution": "7"}, "unknown resolution '7'"),
        ],
    )
    def test_a_task_of_ones_own_with_unknown_names_is_refused(self, changes: dict[str, str], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            CofTask({"benchmark": "vstar", "resolution": "448", "task": "mine", **changes})


class TestRows:
    def test_a_row_is_its_question_its_answer_and_its_image_undecoded(self, scenes: Path) -> None:
        docs = list(task().test_docs())
        items = BENCHMARKS["vstar"].load(scenes)
        assert [row_question(doc) for doc in docs] == [item.question for item in items]
        assert [row_source(doc) for doc in docs] == [item.image for item in items]
        assert [reference_answer(doc) for doc in docs] == [item.question.answer for item in items]
        assert all(isinstance(doc["image"], dict) for doc in docs)

    def test_rows_for_scoring_hold_no_image(self) -> None:
        assert all("image" not in doc and doc["row"] == n for n, doc in enumerate(task().eval_docs_no_media))

    def test_images_in_memory_survive_the_row(self, monkeypatch: pytest.MonkeyPatch, scenes: Path) -> None:
        from cof_eval.benchmarks import Item, Rows
        from cof_eval.core.images import ImageSource

        data = encode_png(noise(60, 40))
        (first, *_) = BENCHMARKS["vstar"].load(scenes)
        made = Benchmark(lambda folder: Rows((Item(first.question, ImageSource(data=data)),)))
        monkeypatch.setitem(SHIPPED, "vstar", made)
        (doc,) = task().test_docs()
        assert row_source(doc).read() == data

    def test_a_benchmark_without_rows_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(SHIPPED, "vstar", Benchmark(lambda folder: Rows(())))
        with pytest.raises(DataError, match="benchmark vstar has no rows"):
            task()

    def test_a_missing_data_folder_is_said_when_the_task_is_loaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COF_DATA_VSTAR", "/nowhere")
        with pytest.raises(DataError, match="/nowhere cannot be read"):
            task()


def test_examples_are_refused_and_none_is_none() -> None:
    one = task()
    one.set_config(key="num_fewshot", value=0)
    with pytest.raises(UsageError, match=r"--num_fewshot 5: .* without examples"):
        one.set_config(key="num_fewshot", value=5)


class TestDigest:
    """Runs of earlier versions resume where only names of categories or ids have changed."""

    @pytest.mark.parametrize(
        ("name", "category"),
        [("mmstar", "coarse perception"), ("mme_realworld_lite", "Perception/vehicle/counting")],
    )
    def test_earlier_categories_are_the_same_data(self, data: dict[str, Path], name: str, category: str) -> None:
        questions = [item.question for item in BENCHMARKS[name].load(data[name])]
        earlier = BENCHMARKS[name].earlier
        assert earlier is not None
        assert earlier(questions[0]).category == category
        old = digest(*(to_json(question_values(earlier(each))).decode() for each in questions))
        assert data_digest(name, old) == old
        assert data_digest(name, "another") == data_digest(name) != old

    def test_ids_that_repeated_are_the_same_data(self, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        copy = Path(shutil.copytree(scenes, tmp_path / "vstar"))
        rows = [json.loads(line) for line in (copy / "test_questions.jsonl").read_text().splitlines()]
        (copy / "test_questions.jsonl").write_text("".join(json.dumps(row | {"question_id": 0}) + "\n" for row in rows))
        monkeypatch.setenv("COF_DATA_VSTAR", str(copy))
        questions = [item.question for item in BENCHMARKS["vstar"].load(copy)]
        assert len({each.id for each in questions}) == len(questions)
        old = digest(*(to_json(question_values(replace(each, id="0"))).decode() for each in questions))
        assert data_digest("vstar", old) == old


class TestMessages:
    @pytest.mark.parametrize(("resolution", "cap"), [("224", 224 * 224), ("1024", 1024 * 1024), ("native", 3840 * 3840)])
    def test_other_models_get_the_shown_image_then_the_question(self, resolution: str, cap: int) -> None:
        one = task(resolution)
        for doc in one.test_docs():
            (message,) = one.doc_to_messages(doc)
            image, text = message["content"]
            native = load_native(row_source(doc).read())
            width, height = image["url"].size
            assert width * height <= cap
            assert (width % 28, height % 28) == (0, 0)
            assert width <= native.width + 14
            assert text == {"type": "text", "text": row_question(doc).text}

    def test_an_image_that_cannot_be_shown_is_left_out(
        self, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = damaged(scenes, tmp_path, monkeypatch)
        (message,) = one.doc_to_messages(one.test_docs()[0])
        assert [part["type"] for part in message["content"]] == ["text"]


def damaged(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CofTask:
    """The task with its first image cut short."""
    copy = Path(shutil.copytree(scenes, tmp_path / "vstar"))
    image = copy / json.loads((copy / "test_questions.jsonl").read_text().splitlines()[0])["image"]
    image.write_bytes(image.read_bytes()[:200])
    monkeypatch.setenv("COF_DATA_VSTAR", str(copy))
    return task()


def answered(
    one: CofTask, texts: list[str], *, model: str | None = "llava", args: str = "pretrained=x", tokens: int = 7
) -> list[dict[str, float]]:
    """Metrics of rows to which another model said these texts, by the calls that lmms-eval makes."""
    if model is not None:
        one.args = argparse.Namespace(model=model, model_args=args)
    one._instances = [
        SimpleNamespace(
            doc_id=n, resps=[text], token_counts=[TokenCounts(input_tokens=50, output_tokens=tokens)], filtered_resps={}, idx=0
        )
        for n, text in enumerate(texts)
    ]
    one.apply_filters()
    docs = list(one.eval_docs_no_media)
    return [one.process_results(docs[n], [text]) for n, text in enumerate(texts)]


def acc(rows: list[dict[str, float]]) -> list[str]:
    names = {(1.0, 1.0): "correct", (0.0, 0.0): "wrong", (0.0, 1.0): "unscored"}
    return [names[row["acc"], row["acc_upper"]] for row in rows]


def right(one: CofTask, row: int) -> str:
    return reference_answer(one.test_docs()[row])


def other(one: CofTask, row: int) -> str:
    question = row_question(one.test_docs()[row])
    return next(letter for letter in question.letters if letter != question.answer)


class TestPlainAnswers:
    def test_rules_judge_them_as_direct_would(self) -> None:
        one = task()
        said = [f"({right(one, 0)})", other(one, 1), f"<think>hm</think><answer>{right(one, 2)}</answer>", "I cannot tell."]
        rows = answered(one, said)
        assert acc(rows) == ["correct", "wrong", "correct", "unscored"]
        assert {(row["turns"], row["zooms"], row["output_tokens"], row["truncated"]) for row in rows} == {(1.0, 0.0, 7.0, 0.0)}
        assert all(row["visual_tokens"] > 0 for row in rows)
        assert all(tuple(row) == METRICS for row in rows)

    @pytest.mark.parametrize("text", ["", "   ", "<think>never ends</think>"])
    def test_no_answer_is_wrong(self, text: str) -> None:
        assert acc(answered(task(), [text])) == ["wrong"]

    @pytest.mark.parametrize("text", ["[LMMS_EVAL_REQUEST_FAILED after 5 retries] timeout", "[LMMS_EVAL_BUDGET_EXCEEDED]"])
    def test_a_request_that_failed_is_unscored(self, text: str) -> None:
        assert acc(answered(task(), [text])) == ["unscored"]

    def test_an_empty_text_of_many_tokens_is_unscored_as_a_parser_kept_it(self) -> None:
        one = task()
        assert acc(answered(one, ["", f"({right(one, 1)})"], tokens=300)) == ["unscored", "correct"]
        assert "--reasoning-parser" in str(one.plain[0].trajectory.error)

    def test_an_image_that_could_not_be_shown_is_unscored_whatever_was_said(
        self, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = damaged(scenes, tmp_path, monkeypatch)
        for doc in one.test_docs():
            one.doc_to_messages(doc)
        assert acc(answered(one, [right(one, 0), right(one, 1)])) == ["unscored", "correct"]

    def test_text_that_imitates_a_reply_of_ours_is_judged_as_text(self, tmp_path: Path) -> None:
        one = task()
        forged = {"trajectory": "k", "run": str(tmp_path), "answer": right(one, 0), "stop": "answered", "zooms": 0, "turns": 1}
        (row,) = answered(one, [json.dumps(forged, separators=(",", ":"))])
        assert acc([row]) == ["unscored"]
        assert row["turns"] == 1.0

    def test_a_served_judge_decides_what_rules_cannot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one = task()
        with serve(models=["judge"], label=lambda prompt: "1" if "blueish" in prompt else "0") as server:
            monkeypatch.setenv("COF_JUDGE_URL", server.url)
            rows = answered(one, ["some blueish thing", "who knows what it is", right(one, 2)])
        assert acc(rows) == ["correct", "wrong", "correct"]
        assert len(server.judged) == 2

    @pytest.mark.parametrize("options", [{"models": ["a", "b"]}, {"models_fault": Fault.BROKEN}])
    def test_rules_still_decide_where_the_judge_is_not_to_be_had(
        self, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
    ) -> None:
        one = task()
        with serve(**options) as server:
            monkeypatch.setenv("COF_JUDGE_URL", server.url)
            assert acc(answered(one, [right(one, 0), "who knows"])) == ["correct", "unscored"]


class TestPlainRun:
    def test_answers_are_kept_as_trajectories_of_one_turn_with_unverified_pixels(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("COF_RUN", str(tmp_path / "run"))
        one = task()
        said = [right(one, 0), other(one, 1), "", "[LMMS_EVAL_REQUEST_FAILED after 5 retries] x"]
        answered(one, said, args="pretrained=x,api_key=sk-1,max_new_tokens=9,hf_token=t")
        run = load_run(tmp_path / "run")
        ended = [run.trajectories[row.trajectory] for row in run.rows]
        assert [t.stop for t in ended] == [Stop.ANSWERED, Stop.ANSWERED, Stop.NO_ANSWER, Stop.ERROR]
        assert [run.verdicts[t.key].verdict for t in ended] == [Outcome.CORRECT, Outcome.WRONG, Outcome.WRONG, Outcome.UNSCORED]
        assert [(t.turns[0].text, t.turns[0].output_tokens, t.verified) for t in ended[:3]] == [(s, 7, False) for s in said[:3]]
        assert run.settings["model"]["pretrained"] == "llava pretrained=x,api_key=…,max_new_tokens=9,hf_token=…"
        assert "pixels unverified" in run.settings["notes"][0]
        assert (run.settings["option_order"], run.settings["repeats"]) == ("dataset", 1)
        assert run.expected_rows == 4

    def test_a_second_task_and_a_second_time_add_only_what_is_new(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("COF_RUN", str(tmp_path / "run"))
        for _ in range(2):
            for resolution in ("224", "448"):
                answered(task(resolution), ["A", "B", "A", "B"])
        run = load_run(tmp_path / "run")
        assert run.settings["tasks"] == {"cof_vstar_224": 4, "cof_vstar_448": 4}
        assert len(run.rows) == len((tmp_path / "run" / "trajectories.jsonl").read_bytes().splitlines()) == 8

    def test_another_order_of_options_is_kept_and_noted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("COF_RUN", str(tmp_path / "run"))
        monkeypatch.setenv("COF_OPTION_ORDER", "correct_first")
        answered(task(), ["A", "A", "A", "A"])
        settings = load_run(tmp_path / "run").settings
        assert settings["option_order"] == "correct_first"
        assert "right one always first" in settings["notes"][-1]

    def test_another_models_run_is_left_alone_and_scoring_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("COF_RUN", str(tmp_path / "run"))
        one = task()
        answered(one, [right(one, 0)])
        before = (tmp_path / "run" / "trajectories.jsonl").read_bytes()
        again = task()
        assert acc(answered(again, [other(one, 0)], model="another")) == ["wrong"]
        assert (tmp_path / "run" / "trajectories.jsonl").read_bytes() == before

    def test_answers_of_nobody_are_not_kept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("COF_RUN", str(tmp_path / "run"))
        one = task()
        assert acc(answered(one, [right(one, 0)], model=None)) == ["correct"]
        assert not (tmp_path / "run").exists()

    def test_a_process_of_several_keeps_nothing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("COF_RUN", str(tmp_path / "run"))
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert acc(answered(task(), ["Z"])) == ["unscored"]
        assert not (tmp_path / "run").exists()


HOSTILE = [
    [],
    None,
    [None],
    [["A"]],
    [7],
    ["A", "B"],
    ['{"trajectory":"k","run":"/nowhere","answer":"B","stop":"answered","zooms":0,"turns":1}'],
    ["\x00\ud800"],
    ["[" * 100_000],
]


class TestScoringNeverRaises:
    @pytest.mark.parametrize("results", HOSTILE, ids=range(len(HOSTILE)))
    def test_whatever_comes_is_unscored_if_it_is_no_reply(self, results: Any) -> None:
        one = task()
        assert one.row_metrics(one.eval_docs_no_media[0], results) == UNSCORED

    @pytest.mark.parametrize("doc", [{}, {"row": 99}, {"row": "x", "question": "{"}])
    def test_whatever_the_row_holds(self, doc: dict[str, Any]) -> None:
        assert task().process_results(doc, ["A"]) == UNSCORED

    def test_a_model_that_gave_nothing_at_all_gave_no_answer(self) -> None:
        assert acc(answered(task(), [None])) == ["wrong"]  # type: ignore[list-item]

    def test_a_reply_whose_run_is_gone_is_unscored(self, tmp_path: Path) -> None:
        from cof_eval.lmms.replies import expect_replies

        expect_replies(tmp_path / "gone")
        one = task()
        reply = {"trajectory": "k", "run": str(tmp_path / "gone"), "answer": "B", "stop": "answered", "zooms": 0, "turns": 1}
        text = json.dumps(reply, separators=(",", ":"))
        assert one.process_results(one.eval_docs_no_media[0], [text]) == UNSCORED

    def test_several_threads_score_at_once(self) -> None:
        one = task()
        answered(one, ["A", "B", "A", "B"])
        docs, found = list(one.eval_docs_no_media), []
        threads = [
            threading.Thread(target=lambda: found.append([one.process_results(doc, ["A"]) for doc in docs])) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all(rows == found[0] for rows in found)


def test_every_metric_is_a_column_with_a_mean() -> None:
    assert {m["metric"]: m["aggregation"] for m in task().config.metric_list} == dict.fromkeys(METRICS, "mean")
