"""The model `cof` inside lmms-eval's own evaluator: arguments, whole evaluations, resuming, stock tasks, other models."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import filelock
import lmms_eval.evaluator as evaluator
import pytest
from fake_server import ChatRequest, FakeServer, Fault, image_pad, scripted, serve, tiny_checkpoint
from fakes import noise
from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval.api.task import ConfigurableMessagesTask
from lmms_eval.models import get_model
from lmms_eval.tasks import TaskManager
from loguru import logger
from PIL import Image

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.errors import CofError, EngineUnusableError, UsageError
from cof_eval.core.images import encode_png, load_native
from cof_eval.core.option_order import parse_order
from cof_eval.core.paths import data_dir
from cof_eval.core.records import Outcome, Stop
from cof_eval.lmms.model import Cof
from cof_eval.lmms.task import METRICS, load_rows
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

COUNT = 5
TASKS = ["cof_vstar_224", "cof_vstar_1024", "cof_vstar_4k"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data") / "vstar", count=COUNT, seed=1)


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    return TaskManager(include_path=str(data_dir("tasks")), include_defaults=False)


@pytest.fixture(scope="module", autouse=True)
def locks_as_before() -> Iterator[None]:
    """lmms-eval's evaluator makes every file lock of the process reentrant; other tests count on locks that are not."""
    kind = type(filelock.FileLock)
    before = kind.__call__
    yield
    kind.__call__ = before  # type: ignore[method-assign]
    evaluator._enable_reentrant_filelocks._patched = False


@pytest.fixture(autouse=True)
def environment(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COF_RUN", "COF_JUDGE_URL", "COF_LIMIT", "COF_OPTION_ORDER", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COF_DATA_VSTAR", str(scenes))
    monkeypatch.chdir(tmp_path)


def cof(server: FakeServer, run: Path, **arguments: Any) -> Cof:
    return Cof(**{"pretrained": "by-name", "engine": "openai", "base_url": server.url, "run": str(run)} | arguments)


def evaluate(model: Any, manager: TaskManager, tasks: Sequence[Any], **options: Any) -> dict[str, Any]:
    """lmms-eval's evaluator, as `cof-eval run` calls it."""
    command_line = options.pop("cli_args", None) or argparse.Namespace(process_with_media=False, output_path="x")
    try:
        return evaluator.simple_evaluate(
            model=model, tasks=list(tasks), task_manager=manager, bootstrap_iters=0, cli_args=command_line, **options
        )
    finally:
        if isinstance(model, Cof):
            model.close()


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"max_pixel": 1}, "unknown model argument max_pixel; known: base_url"),
            ({"protocol": "coff"}, "unknown protocol 'coff'; known: cof, cof_released"),
            ({"engine": "sglang"}, "unknown engine 'sglang'"),
            ({"judge": "nonesuch"}, "unknown judge card 'nonesuch'"),
            ({"pretrained": ""}, "pretrained is missing"),
            ({"concurrency": "many"}, "no whole number"),
            ({"engine_args": "{"}, "not JSON"),
            ({"base_url": None}, "needs a base URL"),
            ({"lora": "x"}, "no use for lora"),
        ],
    )
    def test_wrong_ones_are_refused_before_anything_is_loaded(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            cof(FakeServer("http://127.0.0.1:9/v1"), Path("run"), **arguments)
        assert not Path("run").exists()

    def test_lmms_evals_own_arguments_are_accepted(self) -> None:
        cof(FakeServer("http://127.0.0.1:9/v1"), Path("run"), batch_size=1, device="cuda:0", max_batch_size=8).close()

    def test_it_is_found_by_name_and_made_from_a_string(self) -> None:
        found = get_model("cof")
        assert found is Cof
        text = 'pretrained=a/b,engine=openai,base_url=http://127.0.0.1:9/v1,concurrency=3,note={"x": [1, 2]}'
        model = found.create_from_arg_string(text, {"batch_size": 1, "max_batch_size": None, "device": None})
        assert (model.settings.concurrency, model.settings.note, model.is_simple) == (3, '{"x": [1, 2]}', False)
        model.close()

    def test_several_processes_are_refused_with_what_to_do_instead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "4")
        with pytest.raises(UsageError, match=r"started as 4 processes.*tensor_parallel_size"):
            cof(FakeServer("http://127.0.0.1:9/v1"), Path("run"))

    def test_the_run_folder_has_a_default_and_a_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        arguments = {"pretrained": "by-name", "engine": "openai", "base_url": "http://127.0.0.1:9/v1"}
        assert Cof(**arguments).run_path == Path("results/runs/by-name-cof-openai")
        monkeypatch.setenv("COF_RUN", "elsewhere")
        assert Cof(**arguments).run_path == Path("elsewhere")

    @pytest.mark.parametrize("method", ["loglikelihood", "generate_until_multi_round"])
    def test_what_an_agent_cannot_do_is_said(self, method: str) -> None:
        model = cof(FakeServer("http://127.0.0.1:9/v1"), Path("run"))
        with pytest.raises(UsageError, match="cannot be run with it"):
            getattr(model, method)([])

    def test_an_adapter_and_a_served_name_are_part_of_what_the_checkpoint_is(self, tiny: Path, tmp_path: Path) -> None:
        adapter = tmp_path / "adapter"
        adapter.mkdir()
        (adapter / "adapter_config.json").write_text('{"r": 8}')
        server = FakeServer("http://127.0.0.1:9/v1")
        models = [
            Cof(pretrained=str(tiny)),
            Cof(pretrained=str(tiny), lora=str(adapter)),
            cof(server, Path("run"), pretrained=str(tiny), served_name="adapter"),
            cof(server, Path("run")),
            cof(server, Path("run"), served_name="adapter"),
        ]
        assert len({model.checkpoint["fingerprint"] for model in models}) == len(models)


@pytest.fixture(scope="module")
def finished(
    scenes: Path, tiny: Path, manager: TaskManager, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, Any], FakeServer]]:
    """A run folder, lmms-eval's results, and the server that was asked, of three resolutions."""
    path = tmp_path_factory.mktemp("runs") / "cof"
    with pytest.MonkeyPatch.context() as patch, serve(image_pad=image_pad(tiny), models=["tiny"]) as server:
        patch.setenv("COF_DATA_VSTAR", str(scenes))
        patch.delenv("COF_JUDGE_URL", raising=False)
        results = evaluate(cof(server, path, pretrained=str(tiny)), manager, TASKS)
        yield path, results, server


class TestEvaluation:
    def test_coordinates_are_checked_before_the_model_is_asked_and_a_failure_stands_above_the_numbers(
        self, manager: TaskManager, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        heard: list[str] = []

        def reply(asked: ChatRequest) -> str:
            heard.append(capsys.readouterr().err)
            return "<answer>A</answer>"

        with serve(reply=reply) as server:
            evaluate(cof(server, tmp_path / "run", protocol_args={"min_side": 5000}), manager, ["cof_vstar_224"], limit=1)
        assert re.search(r"^failed +coordinates .* zooms show other pixels than were asked for", heard[0], re.MULTILINE)
        note, assumed = load_run(tmp_path / "run").settings["notes"]
        assert "assumed from stock Qwen2.5-VL" in assumed
        assert "zooms show other pixels than were asked for" in note

    def test_every_metric_is_a_column_and_agrees_with_the_run_folder(
        self, finished: tuple[Path, dict[str, Any], FakeServer]
    ) -> None:
        path, results, _ = finished
        run = load_run(path)
        for task in TASKS:
            ended = [run.trajectories[row.trajectory] for row in run.rows if row.task == task]
            verdicts = [run.verdicts[t.key].verdict for t in ended]
            column = {name: results["results"][task][f"{name},none"] for name in METRICS}
            assert column == {
                "acc": sum(v is Outcome.CORRECT for v in verdicts) / COUNT,
                "acc_upper": sum(v is not Outcome.WRONG for v in verdicts) / COUNT,
                "zooms": 1.0,
                "tool_errors": 0.0,
                "turns": 2.0,
                "output_tokens": sum(t.output_tokens for t in ended) / COUNT,
                "visual_tokens": sum(t.turns[-1].visual_tokens or 0 for t in ended) / COUNT,
                "truncated": 0.0,
            }

    def test_rows_and_samples_keep_the_order_of_the_questions(
        self, finished: tuple[Path, dict[str, Any], FakeServer], scenes: Path
    ) -> None:
        path, results, _ = finished
        asked = [str(json.loads(line)["question_id"]) for line in (scenes / "test_questions.jsonl").open()]
        rows = load_run(path).rows
        for task in TASKS:
            mine = [row for row in rows if row.task == task]
            assert [(row.doc_id, row.question_id) for row in mine] == list(enumerate(asked))
            samples = results["samples"][task]
            replies = [json.loads(sample["filtered_resps"][0]) for sample in samples]
            assert [sample["doc_id"] for sample in samples] == list(range(COUNT))
            assert [reply["trajectory"] for reply in replies] == [row.trajectory for row in mine]
            assert [json.loads(sample["doc"]["question"])["id"] for sample in samples] == asked

    def test_the_run_folder_says_what_was_run(self, finished: tuple[Path, dict[str, Any], FakeServer], tiny: Path) -> None:
        path, *_ = finished
        settings = load_run(path).settings
        assert settings["tasks"] == dict.fromkeys(TASKS, COUNT)
        assert (settings["model"]["pretrained"], settings["protocol"]["name"], settings["engine"]["name"]) == (
            str(tiny),
            "cof",
            "openai",
        )
        assert settings["engine"]["limits"]["max_pixels"] == 3840 * 3840
        assert (settings["judge"]["card"].partition("@")[0], settings["judge"]["model"]) == ("equivalence", "")
        assert {"python", "lmms-eval", "torch"} <= set(settings["versions"])
        assert settings["machine"]["cpus"] > 0
        assert settings["notes"] == []
        assert "EMPTY" not in (path / "run.yaml").read_text()

    def test_equal_work_is_done_once_and_pixels_are_verified(self, finished: tuple[Path, dict[str, Any], FakeServer]) -> None:
        path, _, server = finished
        run = load_run(path)
        assert len(run.rows) == 3 * COUNT > len(run.trajectories)
        assert all(t.verified for t in run.trajectories.values())
        assert set(server.answered().values()) == {1}
        assert len(server.log) == 2 * len(run.trajectories)

    def test_the_server_saw_the_shown_image_and_the_prescribed_crop(
        self, finished: tuple[Path, dict[str, Any], FakeServer], scenes: Path
    ) -> None:
        path, _, server = finished
        run = load_run(path)
        seen = {asked.hashes: asked for asked in server.log if asked.turn == 1}
        for t in run.trajectories.values():
            (call,) = t.calls
            shown, crop = seen[t.shown.hash, call.crop.hash].images  # type: ignore[union-attr]
            native = load_native((scenes / t.question.cluster).read_bytes())
            assert shown.tobytes() == native.resize(t.shown.size, Image.Resampling.LANCZOS).tobytes()
            assert (shown.size, crop.size) == (t.shown.size, call.crop.size)  # type: ignore[union-attr]

    def test_the_same_again_generates_nothing_and_gives_the_same(
        self, finished: tuple[Path, dict[str, Any], FakeServer], tiny: Path, manager: TaskManager
    ) -> None:
        path, results, server = finished
        before = {p.name: p.read_bytes() for p in path.iterdir() if p.suffix == ".jsonl"}
        asked = len(server.log)
        again = evaluate(cof(server, path, pretrained=str(tiny)), manager, TASKS)
        assert len(server.log) == asked
        assert again["results"] == results["results"]
        assert {p.name: p.read_bytes() for p in path.iterdir() if p.suffix == ".jsonl"} == before

    @pytest.mark.parametrize(
        ("arguments", "difference"),
        [({"protocol": "direct"}, "protocol.name was 'cof', now 'direct'"), ({"seed": 1}, "seed was 0, now 1")],
    )
    def test_other_settings_are_refused_with_the_difference(
        self,
        finished: tuple[Path, dict[str, Any], FakeServer],
        tiny: Path,
        manager: TaskManager,
        arguments: dict[str, Any],
        difference: str,
    ) -> None:
        path, _, server = finished
        with pytest.raises(UsageError, match=difference):
            evaluate(cof(server, path, pretrained=str(tiny), **arguments), manager, TASKS[:1])

    def test_an_added_task_adds_its_rows_only(
        self, finished: tuple[Path, dict[str, Any], FakeServer], tiny: Path, manager: TaskManager
    ) -> None:
        path, _, server = finished
        asked = len(server.log)
        evaluate(cof(server, path, pretrained=str(tiny)), manager, ["cof_vstar_native"])
        run = load_run(path)
        assert len(server.log) == asked  # at 4k every scene is shown at its native size already
        assert run.settings["tasks"] == dict.fromkeys([*TASKS, "cof_vstar_native"], COUNT)
        assert run.expected_rows == len(run.rows) == 4 * COUNT

    def test_every_session_is_recorded_with_where_it_ran(self, finished: tuple[Path, dict[str, Any], FakeServer]) -> None:
        path, _, server = finished
        first, *_ = load_run(path).settings["sessions"]
        assert {"started", "versions", "machine"} <= set(first)
        assert (first["base_url"], first["concurrency"]) == (server.url, 64)

    def test_questions_that_changed_are_other_data(
        self, scenes: Path, manager: TaskManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = []
        with serve() as server:
            for text in ("of the", "of that"):
                copy = Path(shutil.copytree(scenes, tmp_path / text / "vstar"))
                lines = (copy / "test_questions.jsonl").read_text()
                (copy / "test_questions.jsonl").write_text(lines.replace("of the", text))
                monkeypatch.setenv("COF_DATA_VSTAR", str(copy))
                run = tmp_path / text / "run"
                evaluate(cof(server, run), manager, ["cof_vstar_224"], limit=1)
                found.append(load_run(run).settings["data"]["vstar"])
        assert found[0] != found[1]

    def test_a_changed_setting_of_the_protocol_counts(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve(reply=lambda asked: scripted(asked, zooms=9)) as server:
            model = cof(server, tmp_path / "run", protocol_args={"max_turns": 2})
            evaluate(model, manager, ["cof_vstar_224"], limit=1)
        (ended,) = load_run(tmp_path / "run").trajectories.values()
        assert (ended.stop, len(ended.turns), len(server.log)) == (Stop.MAX_TURNS, 2, 2)

    def test_repeats_are_rows_of_their_own_and_their_mean_is_reported(
        self, manager: TaskManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COF_LIMIT", "2")
        monkeypatch.setenv("COF_OPTION_ORDER", "correct_first")
        asked_before: dict[str, int] = {}

        def every_second_time(asked: ChatRequest) -> str:
            asked_before[asked.text] = asked_before.get(asked.text, 0) + 1
            return "<answer>A</answer>" if asked_before[asked.text] % 4 else "<answer>none of them</answer>"

        with serve(reply=every_second_time) as server:
            model = cof(server, tmp_path / "run", protocol_args={"temperature": 1.0}, concurrency=1)
            results = evaluate(model, manager, ["cof_vstar_224"], repeats=4)
        run = load_run(tmp_path / "run")
        assert [(row.doc_id, row.question_id, row.repeat) for row in run.rows] == [
            (4 * q + k, run.rows[4 * q].question_id, k) for q in range(2) for k in range(4)
        ]
        assert (len(run.trajectories), run.settings["repeats"]) == (8, 4)
        assert len({asked.body["seed"] for asked in server.log}) == 8
        assert results["results"]["cof_vstar_224"]["acc,none"] == 6 / 8

    def test_repeats_that_would_all_be_the_same_are_refused(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve() as server, pytest.raises(UsageError, match=r"2 repeats under protocol 'cof' would all be the same"):
            evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"], repeats=2)
        assert server.log == []

    def test_options_are_shown_and_scored_in_the_order_asked_for(
        self, manager: TaskManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COF_OPTION_ORDER", "correct_first")
        with serve(reply=lambda asked: "<answer>A</answer>") as server:
            results = evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
            monkeypatch.setenv("COF_OPTION_ORDER", "shuffled:1")
            with pytest.raises(UsageError, match="option_order was 'correct_first', now 'shuffled:1'"):
                evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
        assert results["results"]["cof_vstar_224"]["acc,none"] == 1.0
        run = load_run(tmp_path / "run")
        assert {t.question.answer for t in run.trajectories.values()} == {"A"}
        assert run.settings["notes"][1:] == parse_order("correct_first").notes

    def test_every_rotation_is_a_row_and_a_limit_counts_questions(
        self, manager: TaskManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COF_OPTION_ORDER", "rotated")
        monkeypatch.setenv("COF_LIMIT", "2")
        with serve(reply=lambda asked: "<answer>A</answer>") as server:
            results = evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
        run = load_run(tmp_path / "run")
        questions = {t.question.id.split("~")[0]: len(t.question.options) for t in run.trajectories.values()}
        assert len(questions) == 2
        assert len(run.rows) == sum(questions.values())
        assert results["results"]["cof_vstar_224"]["acc,none"] == 2 / len(run.rows)

    def test_counterfactual_crops_are_said_in_the_runs_name_and_notes(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve(reply=lambda asked: scripted(asked, zooms=1)) as server:
            evaluate(cof(server, tmp_path / "run", protocol_args={"crops": "withheld"}), manager, ["cof_vstar_224"], limit=2)
        run = load_run(tmp_path / "run")
        assert run.settings["label"].endswith("cof+crops=withheld")
        assert run.settings["notes"][0].startswith("counterfactual crops: withheld")
        assert {t.zooms for t in run.trajectories.values()} == {1}
        assert max(len(asked.images) for asked in server.log) == 1


class TestServers:
    def test_a_reasoning_parser_changes_no_number_and_is_said(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve() as bare:
            expected = evaluate(cof(bare, tmp_path / "bare"), manager, ["cof_vstar_224"])
        moved = {"content": None}
        with serve(reply=lambda asked: {**moved, "reasoning": scripted(asked)}) as server:
            results = evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
        acc = [each["results"]["cof_vstar_224"]["acc,none"] for each in (expected, results)]
        assert acc[0] == acc[1] > 0
        replies = load_run(tmp_path / "run").settings["servers"]["model"]["replies"]
        assert replies["mended"] == {"whole texts that the server had moved to `reasoning`, read as text": 2 * COUNT}

    def test_what_a_run_records_of_decoding_was_sent(self, manager: TaskManager, tmp_path: Path) -> None:
        def fault(asked: ChatRequest) -> Any:
            return (400, "Unrecognized request argument supplied: min_p") if "min_p" in asked.body else None

        with serve(owner="openai", fault=fault) as server:
            evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
        settings = load_run(tmp_path / "run").settings
        (told,) = settings["servers"]["model"]["asked"].values()
        assert told["left_out"] == {"min_p": "Unrecognized request argument supplied: min_p"}
        names = ("temperature", "top_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "min_p")
        recorded = {name: settings["protocol"][name] for name in names if name not in told["left_out"]}
        answered = [asked.body for asked in server.log if asked.fault is None]
        assert len(answered) == 2 * COUNT
        assert all({name: body[name] for name in recorded} == recorded for body in answered)
        assert all(body["max_tokens"] == settings["protocol"]["max_new_tokens"] and body["top_k"] == -1 for body in answered)
        assert not any("min_p" in body for body in answered)

    def test_other_weights_under_the_same_name_do_not_resume(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve(root="/models/step-100") as server:
            evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"], limit=1)
            server.root = "/models/step-200"
            with pytest.raises(UsageError, match="weights were /models/step-100, now /models/step-200"):
                evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])


class TestFailures:
    def test_failed_rollouts_are_unscored_and_tried_again_alone(self, manager: TaskManager, tmp_path: Path) -> None:
        def fault(asked: ChatRequest) -> Fault | None:
            return Fault.FILTERED if failing and "left or right" in asked.text else None

        failing = True
        with serve(fault=fault) as server:
            first = evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
            failing, asked = False, len(server.log)
            second = evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
            again = [a.text for a in server.log[asked:]]
        one, two = first["results"]["cof_vstar_224"], second["results"]["cof_vstar_224"]
        assert one["acc_upper,none"] - one["acc,none"] >= 2 / COUNT
        assert two["acc_upper,none"] == two["acc,none"]
        assert {"left or right" in text for text in again} == {True}
        assert len(again) == 2 * 2

    def test_a_full_context_is_truncated_and_wrong(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve(fault=lambda asked: Fault.CONTEXT if asked.turn else None) as server:
            results = evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
        row = results["results"]["cof_vstar_224"]
        assert (row["acc_upper,none"], row["truncated,none"], row["zooms,none"]) == (0.0, 1.0, 1.0)

    def test_a_judge_that_fails_leaves_rows_unscored_and_is_asked_again(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve(reply=lambda asked: "<answer>hard to say, greenish</answer>") as server, serve(models=["judge"]) as judge:
            judge.label = lambda prompt: "?"
            first = evaluate(cof(server, tmp_path / "run", judge_url=judge.url), manager, ["cof_vstar_224"])
            judge.label = lambda prompt: "1"
            asked = len(server.log)
            second = evaluate(cof(server, tmp_path / "run", judge_url=judge.url), manager, ["cof_vstar_224"])
            assert len(server.log) == asked
        assert (first["results"]["cof_vstar_224"]["acc,none"], first["results"]["cof_vstar_224"]["acc_upper,none"]) == (0, 1)
        assert second["results"]["cof_vstar_224"]["acc,none"] == 1
        assert load_run(tmp_path / "run").settings["judge"]["model"] == "judge"

    def test_a_judge_that_is_not_there_is_said_before_anything_is_generated(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve() as server, pytest.raises(UsageError, match="no judge answers"):
            evaluate(cof(server, tmp_path / "run", judge_url="http://127.0.0.1:9/v1"), manager, ["cof_vstar_224"])
        assert server.log == []

    def test_a_server_with_other_pixels_stops_the_run_and_names_the_limit(
        self, manager: TaskManager, tiny: Path, tmp_path: Path
    ) -> None:
        with (
            serve(image_pad=image_pad(tiny), extra_visual=3) as server,
            pytest.raises(EngineUnusableError, match=r"visual tokens where .* were predicted"),
        ):
            evaluate(cof(server, tmp_path / "run", pretrained=str(tiny)), manager, ["cof_vstar_224"])

    def test_concurrency_bounds_what_is_asked_at_once(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve(latency_s=lambda asked: 0.02) as server:
            evaluate(cof(server, tmp_path / "run", concurrency=2), manager, ["cof_vstar_224", "cof_vstar_336"])
        assert server.most_running == 2


class TestResponseCache:
    def test_lmms_evals_own_cache_beside_ours_is_warned_of_and_its_replies_are_still_scored(
        self, manager: TaskManager, tmp_path: Path
    ) -> None:
        said: list[str] = []
        sink = logger.add(said.append, level="WARNING", format="{message}")
        cache = str(tmp_path / "cache")
        command_line = argparse.Namespace(process_with_media=False, output_path="x", use_cache=cache)
        try:
            with serve() as server:
                run = [
                    evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"], cli_args=command_line, use_cache=cache)
                    for _ in range(2)
                ]
        finally:
            logger.remove(sink)
        assert sum("response cache (--use_cache) is on" in line for line in said) >= 1
        assert run[0]["results"] == run[1]["results"]
        assert run[1]["results"]["cof_vstar_224"]["turns,none"] == 2.0

    def test_without_it_nothing_is_said(self, manager: TaskManager, tmp_path: Path) -> None:
        said: list[str] = []
        sink = logger.add(said.append, level="WARNING", format="{message}")
        try:
            with serve() as server:
                evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
        finally:
            logger.remove(sink)
        assert not any("--use_cache" in line for line in said)


class Parrot(lmms):  # type: ignore[misc]
    """Another chat model of lmms-eval: looks at the messages and always says the same."""

    is_simple = False

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.seen: list[list[dict[str, Any]]] = []

    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        for request in requests:
            _, to_messages, _, doc_id, task, split = request.args
            self.seen.append(to_messages(self.task_dict[task][split][doc_id]))
        return [GenerationResult(self.text, TokenCounts(input_tokens=30, output_tokens=2)) for _ in requests]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        raise NotImplementedError

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError


class TestOtherModels:
    def test_their_plain_answers_are_judged_and_kept(
        self, manager: TaskManager, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COF_RUN", str(tmp_path / "parrot"))
        command_line = argparse.Namespace(process_with_media=False, output_path="x", model="parrot", model_args="")
        model = Parrot("<think>Hm.</think> The answer is (A).")
        results = evaluate(model, manager, ["cof_vstar_448", "cof_vstar_672"], cli_args=command_line)
        labels = [json.loads(line)["label"] for line in (scenes / "test_questions.jsonl").open()]
        for task in ("cof_vstar_448", "cof_vstar_672"):
            row = results["results"][task]
            assert row["acc,none"] == row["acc_upper,none"] == labels.count("A") / COUNT
            assert (row["turns,none"], row["zooms,none"], row["output_tokens,none"]) == (1.0, 0.0, 2.0)
        shown = [message["content"][0]["url"] for (message,) in model.seen]
        assert all(image.width * image.height <= 672 * 672 and image.width % 28 == 0 for image in shown)
        run = load_run(tmp_path / "parrot")
        assert (len(run.rows), run.settings["model"]["pretrained"]) == (2 * COUNT, "parrot")
        assert not any(t.verified for t in run.trajectories.values())

    def test_text_that_imitates_a_reply_of_cof_is_judged_as_text(
        self, manager: TaskManager, finished: tuple[Path, dict[str, Any], FakeServer]
    ) -> None:
        path, *_ = finished
        forged = {
            "trajectory": "0" * 32,
            "run": str(path.parent / "mine"),
            "answer": "A",
            "stop": "answered",
            "zooms": 9,
            "turns": 9,
        }
        row = evaluate(Parrot(json.dumps(forged, separators=(",", ":"))), manager, ["cof_vstar_448"])["results"][
            "cof_vstar_448"
        ]
        assert (row["acc,none"], row["acc_upper,none"], row["zooms,none"], row["turns,none"]) == (0.0, 1.0, 0.0, 1.0)


class StockTask(ConfigurableMessagesTask):  # type: ignore[misc]
    """A task in the manner of lmms-eval's own, its rows given."""

    def __init__(self, name: str, rows: list[dict[str, Any]], images: int = 1) -> None:
        self._rows, self._images = rows, images
        super().__init__(
            config={
                "task": name,
                "dataset_path": "none",
                "test_split": "test",
                "output_type": "generate_until",
                "doc_to_visual": (lambda doc: [doc["image"].convert("RGB")] * images) if images else None,
                "doc_to_text": lambda doc: doc["text"],
                "doc_to_target": "target",
                "generation_kwargs": {"until": ["\n\n"], "max_new_tokens": 4},
                "process_results": lambda doc, results: {"hit": float(results[0] == doc["target"])},
                "metric_list": [{"metric": "hit", "aggregation": "mean", "higher_is_better": True}],
            }
        )

    def download(self, dataset_kwargs: dict[str, Any] | None = None) -> None:
        split = datasets.Dataset.from_list(self._rows)
        if self._images:
            split = split.cast_column("image", datasets.Image())
        self.dataset = datasets.DatasetDict({"test": split})
        left = split.remove_columns("image") if self._images else split
        self.dataset_no_image = datasets.DatasetDict({"test": left})


def row(text: str, target: str, seed: int = 0) -> dict[str, Any]:
    return {"text": text, "target": target, "image": {"bytes": encode_png(noise(100, 70, seed)), "path": None}}


class TestStockTasks:
    def test_one_image_gives_the_plain_answer_with_the_tool(self, manager: TaskManager, tmp_path: Path) -> None:
        rows = [row("What is it?\n(A) a", "A", seed) for seed in range(3)]
        with serve() as server:
            results = evaluate(cof(server, tmp_path / "run"), manager, [StockTask("stock_image", rows)])
        assert results["results"]["stock_image"]["hit,none"] == 1.0
        (sample, *_) = results["samples"]["stock_image"]
        assert sample["filtered_resps"] == ["A"]
        assert sample["token_counts"][0]["output_tokens"] > 4
        assert {asked.turn for asked in server.log} == {0, 1}
        assert {asked.images[0].size for asked in server.log} == {(140, 112)}  # 100x70 enlarged to the protocol's least area
        assert all(not asked.body.get("stop") and asked.body["max_tokens"] == 512 for asked in server.log)
        assert [t.stop for t in load_run(tmp_path / "run").trajectories.values()] == [Stop.ANSWERED] * 3

    def test_text_alone_gets_no_tool(self, manager: TaskManager, tmp_path: Path) -> None:
        rows = [{"text": f"What is {n} times seven?", "target": "forty-two"} for n in range(2)]
        with serve() as server:
            results = evaluate(cof(server, tmp_path / "run"), manager, [StockTask("stock_text", rows, images=0)])
        assert results["results"]["stock_text"]["hit,none"] == 1.0
        assert [asked.images for asked in server.log] == [(), ()]
        assert not any("image_zoom_in_tool" in asked.system + asked.text for asked in server.log)

    def test_several_images_are_refused_by_row(self, manager: TaskManager, tmp_path: Path) -> None:
        task = StockTask("stock_pair", [row("Which?", "A")], images=2)
        with serve() as server, pytest.raises(UsageError, match="task stock_pair, row 0 has 2 images"):
            evaluate(cof(server, tmp_path / "run"), manager, [task])

    def test_a_row_without_text_is_refused(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve() as server, pytest.raises(UsageError, match="task stock_mute, row 0 has no text"):
            evaluate(cof(server, tmp_path / "run"), manager, [StockTask("stock_mute", [row(" ", "A")])])

    def test_other_media_are_refused(self, manager: TaskManager, tmp_path: Path) -> None:
        task = StockTask("stock_video", [row("What happens?", "A")])
        task.config.doc_to_visual = lambda doc: ["clip.mp4"]
        with serve() as server, pytest.raises(UsageError, match="this task also has video"):
            evaluate(cof(server, tmp_path / "run"), manager, [task])

    def test_an_image_given_as_a_path_is_read_as_stored(self, manager: TaskManager, tmp_path: Path) -> None:
        file = tmp_path / "image.png"
        noise(140, 140, 5).save(file)
        task = StockTask("stock_path", [row("What is it?", "A")])
        task.config.doc_to_visual = lambda doc: [str(file)]
        with serve() as server:
            evaluate(cof(server, tmp_path / "run"), manager, [task])
        assert server.log[0].images[0].tobytes() == noise(140, 140, 5).tobytes()

    def test_equal_rows_of_other_data_are_not_mistaken_for_finished_ones(self, manager: TaskManager, tmp_path: Path) -> None:
        with serve() as server:
            for seed in (1, 2):
                task = StockTask("stock_same", [row("What is it?", "A", seed)])
                evaluate(cof(server, tmp_path / "run"), manager, [task])
        assert len({asked.hashes[0] for asked in server.log}) == 2


def test_every_failure_of_a_request_is_one_of_ours(manager: TaskManager, tmp_path: Path) -> None:
    load_rows.cache_clear()
    with serve(models=["a", "b"]) as server, pytest.raises(CofError, match="serves 2 models") as caught:
        evaluate(cof(server, tmp_path / "run"), manager, ["cof_vstar_224"])
    assert "\n" not in str(caught.value)
