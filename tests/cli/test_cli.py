"""The command line: help at once, one line for every mistake, exit statuses, and whole runs through the console script."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done, clean_environment, cof_eval, forked
from fake_server import FakeServer, Fault, serve
from fakes import noise
from filelock import FileLock
from PIL import Image

from cof_eval.benchmarks import BENCHMARKS
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.records import Outcome, Stop
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

HEAVY = ("torch", "vllm", "transformers", "lmms_eval", "datasets", "pandas", "matplotlib", "openai")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data") / "vstar", count=4, seed=2)


def served(server: FakeServer, data: Path, out: Path, *more: object) -> tuple[object, ...]:
    """Arguments of a run against this server."""
    where = ("--engine", "openai", "--base-url", server.url, "--data", f"vstar={data}", "--out", out)
    return ("run", "--model", "by-name", *where, "--resolutions", "224", *more)


def one_line(done: Done, status: int = 2) -> str:
    """What a mistake prints: one line on stderr, nothing else."""
    assert done.status == status, done.err
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("cof-eval: ")
    return done.err.strip()


class TestHelp:
    @pytest.mark.parametrize("command", ["run", "report", "doctor", "demo", "tasks"])
    def test_every_command_explains_itself(self, command: str) -> None:
        done = cof_eval(command, "--help")
        assert (done.status, done.err) == (0, "")
        assert f"cof-eval {command}" in done.out
        assert "--help" in done.out

    def test_all_commands_are_listed_and_no_argument_means_help(self) -> None:
        done = cof_eval("--help")
        assert (done.status, done.err) == (0, "")
        assert all(f"  {command} " in done.out for command in ("run", "report", "doctor", "demo", "tasks"))
        assert cof_eval() == done

    def test_every_option_of_run_says_what_it_does(self) -> None:
        text = " ".join(cof_eval("run", "--help", COLUMNS="200").out.split())
        for option in ("--model", "--protocol", "--engine", "--base-url", "--benchmarks", "--resolutions", "--data", "--judge"):
            assert option in text
        for option in ("--judge-url", "--out", "--limit", "--seed", "--concurrency", "--keep-images", "--lora", "--note"):
            assert option in text

    @pytest.mark.parametrize(
        "arguments",
        [["--help"], ["run", "--help"], ["tasks"], ["tasks", "--path"], ["bogus"], ["run"], ["run", "--model", "/nowhere"]],
        ids=" ".join,
    )
    def test_nothing_heavy_is_imported_for_a_quick_answer(self, arguments: list[str]) -> None:
        assert not heavy_imports(arguments)

    def test_nothing_heavy_is_imported_for_data_that_cannot_be_used(self, tmp_path: Path) -> None:
        server = FakeServer("http://127.0.0.1:9/v1")
        assert not heavy_imports([str(a) for a in served(server, tmp_path, tmp_path / "run")])


def heavy_imports(arguments: list[str]) -> list[str]:
    """Heavy packages that a command has imported when it ends."""
    code = (
        "import sys\nfrom cof_eval.cli import main\n"
        f"sys.argv = ['cof-eval', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('\\n' + ' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


class TestTasks:
    def test_they_are_listed_one_a_line(self) -> None:
        names = cof_eval("tasks").out.split()
        assert {"cof_all", "cof_vstar", "cof_vstar_224", "cof_vstar_4k", "cof_vstar_native"} <= set(names)
        assert len(names) == len(set(names)) == 10 * len(BENCHMARKS) + 1

    def test_their_folder_is_printed_alone(self) -> None:
        done = cof_eval("tasks", "--path")
        assert (Path(done.out.strip()) / "vstar" / "cof_vstar_448.yaml").is_file()
        assert done.out.count("\n") == 1


Arguments = Callable[[Path], list[object]]
MODEL = ["--model", "by-name", "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1"]
MISTAKES: dict[str, tuple[list[str], str]] = {
    "unknown command": (["evaluate"], "No such command 'evaluate'"),
    "unknown option": (["run", "--modle", "x"], "No such option: --modle"),
    "missing option": (["run"], "Missing option '--model'"),
    "missing value": (["run", "--model"], "requires an argument"),
    "missing argument": (["report"], "Missing argument"),
    "too much": (["tasks", "all"], "unexpected extra argument"),
    "limit of nothing": (["run", *MODEL, "--limit", "0"], "Invalid value for '--limit'"),
    "limit that is no number": (["run", *MODEL, "--limit", "few"], "Invalid value for '--limit'"),
    "no concurrency": (["run", *MODEL, "--concurrency", "0"], "Invalid value for '--concurrency'"),
    "resolution": (["run", *MODEL, "--resolutions", "224,20000"], "unknown resolution '20000'; known: 224, 336"),
    "no resolution": (["run", *MODEL, "--resolutions", ","], "no resolution in ','"),
    "benchmark": (["run", *MODEL, "--benchmarks", "vstar,hrbench"], "unknown benchmark hrbench; known: vstar, "),
    "no benchmark": (["run", *MODEL, "--benchmarks", ""], "unknown benchmark ''"),
    "protocol": (["run", *MODEL, "--protocol", "coff"], "unknown protocol 'coff'; known: cof, cof_released, cof_forced"),
    "setting of the protocol": (["run", *MODEL, "--protocol-args", '{"max_turn": 3}'], "protocol_args: unknown max_turn"),
    "protocol args no JSON": (["run", *MODEL, "--protocol-args", "max_turns=3"], "protocol_args is not JSON"),
    "engine": (["run", "--model", "x", "--engine", "sglang"], "unknown engine 'sglang'; known: vllm, openai"),
    "no base URL": (["run", "--model", "x", "--engine", "openai"], "engine=openai needs a base URL"),
    "judge card": (["run", *MODEL, "--judge", "nonesuch"], "unknown judge card 'nonesuch'"),
    "images to keep": (["run", *MODEL, "--keep-images", "some"], "keep_images='some' is unknown"),
    "engine args no JSON": (["run", "--model", "x", "--engine-args", "{dtype}"], "engine_args is not JSON"),
    "engine args no object": (["run", "--model", "x", "--engine-args", "[1]"], "is no JSON object"),
    "engine args of a server": (
        ["run", *MODEL, "--engine-args", '{"a": 1}'],
        "engine=openai has no engine argument a; known: ",
    ),
    "lora of a server": (["run", *MODEL, "--lora", "x"], "no use for lora"),
    "pixels of vLLM": (["run", "--model", "x", "--max-pixels", "100000"], "no use for max_pixels"),
    "pixels": (["run", *MODEL, "--max-pixels", "-1"], "max_pixels=-1 must be at least 1"),
    "data without a name": (["run", *MODEL, "--data", "folder"], "--data 'folder': expected NAME=PATH"),
    "data of another name": (["run", *MODEL, "--data", "vstr=."], "--data 'vstr=.': expected NAME=PATH with NAME one of vstar"),
    "missing data": (["run", *MODEL, "--data", "vstar=/nowhere"], "/nowhere does not exist"),
    "data without questions": (["run", *MODEL, "--data", "vstar=."], "test_questions.jsonl cannot be read"),
    "missing checkpoint": (["run", "--model", "/nowhere"], "no checkpoint at '/nowhere'"),
    "hub id without a network": (["run", "--model", "some/one"], "could not be fetched from the hub"),
    "no model": (["run", "--model", ""], "pretrained is missing"),
    "folder without config": (["run", "--model", "."], "has no config.json"),
    "one price of tokens": (["run", *MODEL, "--estimate", "--price-in", "1"], "--price-in and --price-out go together"),
    "two ways to pay": (
        ["run", *MODEL, "--estimate", "--price-in", "1", "--price-out", "1", "--price-per-gpu-hour", "2"],
        "are two ways to pay; name one of them",
    ),
    "negative price": (["run", *MODEL, "--estimate", "--price-per-gpu-hour", "-1"], "Invalid value for '--price-per-gpu-hour'"),
    "price without limit": (["run", *MODEL, "--estimate", "--price-per-gpu-hour", "inf"], "a price is a number of dollars"),
    "price without estimate": (["run", *MODEL, "--price-per-gpu-hour", "2"], "are for the estimate: add --estimate"),
    "estimate of nothing": (["run", *MODEL, "--estimate", "--resolutions", "7"], "unknown resolution '7'"),
    "report of nothing": (["report", "nowhere"], "nowhere is no run folder: it has no run.yaml"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert message in one_line(forked(*arguments, folder=tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"out", "err"}  # what it printed


def test_a_checkpoint_that_is_no_qwen_vl_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert "holds a 'llama' model; expected a Qwen-VL checkpoint" in one_line(
        forked("run", "--model", tmp_path, folder=tmp_path / "cwd")
    )


LABELS = {
    "a label outside the options": ({"label": "E"}, "has the label 'E'; expected one of A, B, C, D"),
    "an empty question": ({"text": "  "}, "line 1"),
    "no options": ({"text": "What is it?"}, "line 1"),
    "no image": ({"image": ""}, "the image '' is not a file below the folder"),
    "an image elsewhere": ({"image": "../x.png"}, "not a file below the folder"),
    "a number as text": ({"text": 7}, "line 1"),
}


@pytest.mark.parametrize(("changes", "message"), LABELS.values(), ids=LABELS.keys())
def test_a_row_that_cannot_be_asked_is_one_line_that_names_it(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    question = {"question_id": 0, "image": "a.png", "category": "c", "label": "A"}
    text = "What?\n(A) a\n(B) b\n(C) c\n(D) d"
    (tmp_path / "test_questions.jsonl").write_text(json.dumps({**question, "text": text, **changes}) + "\n")
    arguments = served(FakeServer("http://127.0.0.1:9/v1"), tmp_path, tmp_path / "run")
    said = one_line(forked(*arguments, folder=tmp_path / "cwd"))
    assert message in said
    assert "test_questions.jsonl, line 1" in said
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, FakeServer, Path]:
    """A whole run through the console script: how it ended, its server, its folder."""
    run = tmp_path_factory.mktemp("runs") / "cof"
    with serve() as server:
        more = ("--resolutions", "224,448", "--limit", "3", "--note", "mine")
        return cof_eval(*served(server, scenes, run, *more)), server, run


class TestRun:
    def test_it_ends_with_0_and_says_what_it_will_do_and_what_it_wrote(self, finished: tuple[Done, FakeServer, Path]) -> None:
        done, server, run = finished
        assert done.status == 0, done.err
        assert "6 rows are 6 distinct rollouts: 6 to go" in done.err
        assert "Traceback" not in done.err
        assert f"report in {run / 'report'}: open index.html in a browser, or read report.md" in done.out
        assert len(server.log) == 2 * 6
        assumed, *others = load_run(run).settings["notes"]
        assert "assumed" in assumed  # the model is known by name only
        assert others == ["mine"]

    def test_the_run_folder_is_complete(self, finished: tuple[Done, FakeServer, Path]) -> None:
        run = finished[2]
        files = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
        assert {"run.yaml", "rows.jsonl", "trajectories.jsonl", "verdicts.jsonl"} <= files
        assert {f"report/{name}" for name in ("report.md", "sweep.png", "sweep.svg", "sweep.csv", "rows.csv")} <= files
        assert {f"lmms_eval/{name}" for name in ("results.json", "samples_cof_vstar_224.jsonl")} <= files
        assert any(name.startswith("images/") for name in files)
        assert not [name for name in files if name.endswith(".tmp")]

    def test_the_report_and_lmms_evals_results_agree(self, finished: tuple[Done, FakeServer, Path]) -> None:
        run = finished[2]
        mean, *sweep = overall(run)
        assert (mean["resolution"], mean["n"]) == ("mean", "3")
        assert [(line["resolution"], line["n"], line["unscored"]) for line in sweep] == [("224", "3", "0"), ("448", "3", "0")]
        results = json.loads((run / "lmms_eval" / "results.json").read_text())["results"]
        theirs = [results[f"cof_vstar_{line['resolution']}"]["acc,none"] for line in sweep]
        assert theirs == pytest.approx([float(line["acc"]) for line in sweep], abs=1e-4)


def overall(run: Path) -> list[dict[str, str]]:
    """The report's lines for whole benchmarks, one a resolution."""
    with (run / "report" / "sweep.csv").open() as file:
        return [line for line in csv.DictReader(file) if line["category"] == "overall"]


BAD = {"missing", "truncated", "no image", "20000x50"}


def write_odd_images(folder: Path) -> Path:
    """A benchmark of one question about each kind of file that cameras, scanners and accidents make."""
    folder.mkdir(parents=True)
    photo = noise(300, 200)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    Image.new("I;16", (300, 200), 40_000).save(folder / "16-bit.png")
    photo.convert("P").save(folder / "palette.png")
    photo.convert("LA").save(folder / "grey with alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "rotated.jpg", exif=exif)
    noise(1, 1).save(folder / "1x1.png")
    Image.new("RGB", (20_000, 50), "red").save(folder / "20000x50.png")
    photo.save(folder / "truncated.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "truncated.jpg").read_bytes()[:5000])
    (folder / "no image.png").write_text("<html>")
    names = [*sorted(p.name for p in folder.iterdir()), "missing.png"]
    rows = [
        {
            "question_id": Path(name).stem,
            "image": name,
            "category": "odd",
            "text": f"What is {name}?\n(A) a\n(B) b",
            "label": "A",
        }
        for name in names
    ]
    (folder / "test_questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, FakeServer, Path]:
    """A run over such files: how it ended, what the server saw, and the folder that holds `run`."""
    folder = tmp_path_factory.mktemp("odd")
    data = write_odd_images(folder / "vstar")
    with serve() as server:
        arguments = served(server, data, folder / "run", "--resolutions", "224,native")
        return forked(*arguments, folder=folder / "cwd"), server, folder


class TestOddImages:
    def test_the_run_ends_with_1_and_says_how_many_rows_cannot_be_shown(self, odd: tuple[Done, FakeServer, Path]) -> None:
        assert odd[0].status == 1
        assert "Traceback" not in odd[0].err
        assert "rows have an image that cannot be shown" in odd[0].err

    def test_what_can_be_shown_is_and_the_rest_is_unscored_with_its_reason(self, odd: tuple[Done, FakeServer, Path]) -> None:
        run = load_run(odd[2] / "run")
        for row in run.rows:
            ended = run.trajectories[row.trajectory]
            bad = row.question_id in BAD
            assert (ended.stop is Stop.ERROR) is bad, (row.question_id, ended.error)
            assert (run.verdicts[ended.key].verdict is Outcome.UNSCORED) is bad
            assert bool(ended.error) is bad
        assert {row.question_id for row in run.rows} > BAD
        assert len(run.rows) == 2 * 10

    def test_the_server_saw_upright_rgb_pixels(self, odd: tuple[Done, FakeServer, Path]) -> None:
        seen = {asked.text.partition("What is ")[2].partition("?")[0]: asked.images[0] for asked in odd[1].log}
        assert seen["rotated.jpg"].width < seen["rotated.jpg"].height
        assert {image.mode for image in seen.values()} == {"RGB"}
        assert seen["1x1.png"].size == (112, 112)
        assert seen["16-bit.png"].getpixel((50, 50)) == (round(40_000 / 257),) * 3

    def test_the_report_counts_them(self, odd: tuple[Done, FakeServer, Path]) -> None:
        found = [(line["resolution"], line["n"], line["unscored"]) for line in overall(odd[2] / "run")]
        assert found == [
            ("mean", "10", "8"),
            ("224", "10", "4"),
            ("native", "10", "4"),
        ]


class TestEstimate:
    def test_a_pilot_gives_seconds_tokens_and_dollars_and_nothing_is_generated(self, scenes: Path, tmp_path: Path) -> None:
        run, cwd = tmp_path / "run", tmp_path / "cwd"
        with serve() as server:
            asked = served(server, scenes, run, "--resolutions", "224,448")
            first = forked(*asked, "--estimate", folder=cwd)
            assert (first.status, first.err) == (0, "")
            assert "make a pilot in the same run folder" in first.out
            assert (server.log, run.exists()) == ([], False)
            pilot = forked(*asked, "--limit", "3", folder=cwd)
            assert pilot.status == 0, pilot.err
            assert "estimate: " in pilot.err
            requests, before = len(server.log), sorted(path.stat().st_mtime_ns for path in run.rglob("*"))
            second = forked(*asked, "--estimate", "--price-in", "1000", "--price-out", "1000", folder=cwd)
            assert (second.status, second.err) == (0, "")
            assert len(server.log) == requests
            assert sorted(path.stat().st_mtime_ns for path in run.rglob("*")) == before
            rows = [line.split() for line in second.out.splitlines()[:4]]
            assert [row[:3] for row in rows[1:]] == [["vstar", "224", "1"], ["vstar", "448", "1"], ["total", "2", rows[3][2]]]
            assert rows[0][-1] == "$"
            assert "unknown" not in second.out
            assert "Rates come from 6 finished rollouts of this run folder" in second.out
            rest = forked(*asked, folder=cwd)
            assert "resuming: 6 of 8 rollouts are finished" in rest.err
            assert "rates of this run folder" in rest.err
            assert "Nothing is left to generate." in forked(*asked, "--estimate", folder=cwd).out

    def test_rates_of_another_run_are_named_with_what_differs(
        self, finished: tuple[Done, FakeServer, Path], scenes: Path, tmp_path: Path
    ) -> None:
        run = finished[2]
        with serve() as server:
            new = served(server, scenes, tmp_path / "new", "--concurrency", "2")
            done = forked(*new, "--estimate-from", run, folder=tmp_path / "1")
            none = forked(*new, "--estimate-from", tmp_path, folder=tmp_path / "2")
        assert done.status == 0, done.err
        assert f"Rates come from 6 finished rollouts of {run}" in done.out
        assert "concurrency: 64" in done.out
        assert "is no run folder" in one_line(none, 1)


class TestRunFolder:
    def test_one_of_other_settings_is_refused_with_the_difference(
        self, scenes: Path, tmp_path: Path, finished: tuple[Done, FakeServer, Path]
    ) -> None:
        run = finished[2]
        before = (run / "run.yaml").read_bytes()
        with serve() as server:
            done = forked(*served(server, scenes, run, "--protocol", "direct"), folder=tmp_path / "cwd")
        assert done.status == 2
        assert "was made with other settings: protocol." in done.last
        assert "Traceback" not in done.err
        assert (run / "run.yaml").read_bytes() == before

    def test_one_in_use_is_refused(self, scenes: Path, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        with serve() as server, FileLock(tmp_path / "run" / ".lock"):
            done = forked(*served(server, scenes, tmp_path / "run"), folder=tmp_path / "cwd")
        assert done.status == 2
        assert "is in use by another process" in done.last
        assert server.log == []

    def test_a_folder_of_something_else_is_refused_and_left_alone(self, scenes: Path, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.tex").write_text("x")
        with serve() as server:
            done = forked(*served(server, scenes, tmp_path / "run"), folder=tmp_path / "cwd")
        assert done.status == 2
        assert "is not empty (thesis.tex, …) and no run folder" in done.last
        assert [p.name for p in (tmp_path / "run").iterdir() if p.name != ".lock"] == ["thesis.tex"]

    def test_without_a_name_it_stands_below_the_working_directory(self, scenes: Path, tmp_path: Path) -> None:
        with serve() as server:
            arguments = [a for a in served(server, scenes, Path("OUT")) if a not in ("--out", Path("OUT"))]
            done = forked(*arguments, folder=tmp_path)
        assert done.status == 0, done.err
        assert (tmp_path / "results" / "runs" / "by-name-cof-openai" / "report" / "report.md").is_file()


class TestStatus:
    def test_something_unscored_is_1_and_the_same_command_makes_it_good(self, scenes: Path, tmp_path: Path) -> None:
        with serve(fault=lambda asked: Fault.FILTERED if "color" in asked.text else None) as server:
            first = forked(*served(server, scenes, tmp_path / "run"), folder=tmp_path / "1")
            server.fault = lambda asked: None
            second = forked(*served(server, scenes, tmp_path / "run"), folder=tmp_path / "2")
        assert (first.status, second.status) == (1, 0)
        assert "Traceback" not in first.err

    def test_a_server_that_is_not_there_is_1_in_one_line(self, scenes: Path, tmp_path: Path) -> None:
        done = forked(*served(FakeServer("http://127.0.0.1:9/v1"), scenes, tmp_path / "run"), folder=tmp_path / "cwd")
        assert done.status == 1
        assert done.last.startswith("cof-eval: no OpenAI-compatible server answers at http://127.0.0.1:9/v1")
        assert "Traceback" not in done.err
        assert not (tmp_path / "run").exists()

    def test_a_judge_that_is_not_there_is_2(self, scenes: Path, tmp_path: Path) -> None:
        with serve() as server:
            more = ("--judge-url", "http://127.0.0.1:9/v1")
            done = forked(*served(server, scenes, tmp_path / "run", *more), folder=tmp_path / "cwd")
        assert done.status == 2
        assert done.last.startswith("cof-eval: no judge answers at http://127.0.0.1:9/v1")

    def test_a_judge_scores_what_rules_cannot(self, scenes: Path, tmp_path: Path) -> None:
        reply = "<answer>something greenish, on balance</answer>"
        with serve(reply=lambda asked: reply) as server, serve(models=["judge"]) as judge:
            without = forked(*served(server, scenes, tmp_path / "run"), folder=tmp_path / "1")
            with_judge = forked(*served(server, scenes, tmp_path / "run", "--judge-url", judge.url), folder=tmp_path / "2")
            asked = len(server.log)
        assert (without.status, with_judge.status) == (1, 0)
        assert asked == 4
        assert len(judge.judged) == 4

    def test_a_report_of_a_finished_run_is_0_and_of_an_unfinished_one_1(
        self, tmp_path: Path, finished: tuple[Done, FakeServer, Path]
    ) -> None:
        done = forked("report", finished[2], "--out", tmp_path / "report", folder=tmp_path / "1")
        assert done.status == 0, done.err
        assert (tmp_path / "report" / "sweep.png").is_file()
        copy = Path(shutil.copytree(finished[2], tmp_path / "copy"))
        lines = (copy / "trajectories.jsonl").read_bytes().splitlines(keepends=True)
        (copy / "trajectories.jsonl").write_bytes(b"".join(lines[:-1]))
        assert forked("report", copy, folder=tmp_path / "2").status == 1

    def test_a_report_that_cannot_be_written_is_one_line(self, tmp_path: Path, finished: tuple[Done, FakeServer, Path]) -> None:
        (tmp_path / "file").write_text("")
        done = forked("report", finished[2], "--out", tmp_path / "file", folder=tmp_path / "cwd")
        assert "cannot write the report" in one_line(done, status=1)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("run.yaml", "format: [", "run.yaml is damaged"),
            ("run.yaml", "format: 99", "has format 99"),
            ("trajectories.jsonl", "{}\n{}\n", "trajectories.jsonl, line 1 is damaged"),
        ],
    )
    def test_a_report_of_a_damaged_run_is_one_line(
        self, name: str, content: str, message: str, tmp_path: Path, finished: tuple[Done, FakeServer, Path]
    ) -> None:
        copy = Path(shutil.copytree(finished[2], tmp_path / "copy"))
        (copy / name).write_text(content)
        assert message in one_line(forked("report", copy, folder=tmp_path / "cwd"))
