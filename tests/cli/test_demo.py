"""The demo, as a user runs it: on two screens, with the report's own numbers, and resumed where it was stopped."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from commands import Done, cof_eval

from cof_eval.cli.demo import PROTOCOLS
from cof_eval.core.paths import data_dir
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
SCREEN = 40
"""Lines of a screen."""
RESOLUTIONS = ["224", "336", "448", "672", "1024", "1920", "2560", "4k"]


def start_demo(folder: Path) -> Done:
    return cof_eval("demo", "--questions", 2, "--engine", "transformers", "--out", "out", cwd=folder, timeout_s=570)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """The demo of two questions without vLLM, and its folder."""
    folder = tmp_path_factory.mktemp("demo")
    return start_demo(folder), folder / "out"


def sweep(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The report's lines by run and resolution."""
    with (folder / "report" / "sweep.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["category"] == "overall"]
    return {(line["run"].split(" · ")[0], line["resolution"]): line for line in lines}


class TestDemo:
    def test_it_fits_on_two_screens_of_plain_lines(self, demo: tuple[Done, Path]) -> None:
        done, _ = demo
        assert done.status == 0, done.err
        said = done.err + done.out
        assert len(said.splitlines()) <= 2 * SCREEN
        assert not CONTROL.search(said)
        assert not [word for word in ("wrote ", "it/s", "WARNING", "INFO", "Traceback") if word in said]

    def test_each_run_has_a_line_a_bar_and_a_log(self, demo: tuple[Done, Path]) -> None:
        done, folder = demo
        for name, protocol in PROTOCOLS.items():
            assert f"{name}: {data_dir('mini') / name}, protocol {protocol}" in done.err.splitlines()
            assert re.search(rf"^{name}: (\d+)/\1 · ", done.err, re.MULTILINE)
            assert "Postprocessing" in (folder / name / "log.txt").read_text()
            run = load_run(folder / name)
            assert (len(run.rows), run.settings["engine"]["name"]) == (16, "transformers")

    def test_one_table_has_the_reports_numbers_of_all_runs(self, demo: tuple[Done, Path]) -> None:
        done, folder = demo
        lines = done.out.splitlines()
        (start,) = (number for number, line in enumerate(lines) if line.startswith("shown at"))
        rows = {line.split()[0]: line for line in lines[start + 1 : start + 10]}
        assert list(rows) == [*RESOLUTIONS, "mean"]
        assert max(map(len, lines[start : start + 10])) <= 80
        for (name, resolution), line in sweep(folder).items():
            assert f" {100 * float(line['acc']):.1f} [" in rows[resolution]
            if name != "base":
                assert f" {float(line['zooms']):.2f}" in rows[resolution]

    def test_each_caveat_is_said_once(self, demo: tuple[Done, Path]) -> None:
        caveats = [line for line in demo[0].out.splitlines() if line.startswith("caveat")]
        assert sum("says nothing about photographs" in line for line in caveats) == 1
        assert len(caveats) == len(set(caveats))

    def test_it_ends_with_what_it_showed_and_what_to_open(self, demo: tuple[Done, Path]) -> None:
        done, folder = demo
        accuracy, zooms, where = done.out.splitlines()[-3:]
        found = sweep(folder)
        for name, at in (("base", "224"), ("sft", "224"), ("base", "4k"), ("sft", "4k")):
            assert f"{100 * float(found[name, at]['acc']):.1f}%" in accuracy
        for name in ("sft", "rl"):
            low, high = (float(found[name, at]["zooms"]) for at in ("224", "4k"))
            assert f"{name} {low:.2f} at 224 and {high:.2f} at 4k" in zooms
        assert where == "Open out/report/index.html in a browser: every question with its turns and crops."
        assert (folder / "report" / "index.html").is_file()

    def test_started_again_it_says_that_all_is_finished(self, demo: tuple[Done, Path]) -> None:
        first, folder = demo
        again = start_demo(folder.parent)
        assert again.status == 0, again.err
        assert again.out == first.out
        assert len(re.findall(r"^resuming: (\d+) of \1 rollouts are finished .* 0 to go$", again.err, re.MULTILINE)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "openai"], "the demo has no engine 'openai'; known: vllm, transformers"),
        (["--questions", "0"], "Invalid value for '--questions'"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = cof_eval("demo", *arguments, cwd=tmp_path)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_own_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "mine.txt").write_text("mine")
    done = cof_eval("demo", "--out", tmp_path)
    assert done.status == 2
    assert "was not written by this command" in done.last
    assert "Traceback" not in done.err
