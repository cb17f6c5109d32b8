"""The terminal of a run: what stands where, for a reader, a pipe and a failure; the rest is in the run's log."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from commands import Done, forked, in_process
from fake_server import FakeServer, serve, tiny_checkpoint

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.cli.session import session
from cof_eval.core.errors import EngineUnusableError, UsageError
from cof_eval.runs.console import Detail

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
CHATTER = ("Postprocessing", "it/s]", "lmms_eval", "WARNING", "INFO")
"""What lmms-eval writes by itself."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data") / "vstar", count=4, seed=2)


def arguments(server: FakeServer, data: Path, out: Path, *more: object) -> tuple[object, ...]:
    where = ("--engine", "openai", "--base-url", server.url, "--served-name", "served", "--data", f"vstar={data}", "--out", out)
    return ("run", "--model", "by-name", *where, "--resolutions", "224,448", *more)


def run(scenes: Path, folder: Path, *more: object) -> Done:
    with serve() as server:
        return forked(*arguments(server, scenes, folder / "run", *more), folder=folder / "cwd")


@pytest.fixture(scope="module")
def said(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """What a run says by default, and the folder that holds `run`."""
    folder = tmp_path_factory.mktemp("said")
    return run(scenes, folder, "--note", "only four questions"), folder


@pytest.mark.slow
class TestPipe:
    def test_it_is_plain_lines_on_less_than_a_screen(self, said: tuple[Done, Path]) -> None:
        done = said[0]
        assert done.status == 0, done.err
        assert not CONTROL.search(done.out + done.err)
        assert len((done.out + done.err).splitlines()) <= 30

    def test_stderr_tells_what_is_run_how_it_waits_the_plan_and_how_far_it_is(self, said: tuple[Done, Path]) -> None:
        done, folder = said
        lines = done.err.splitlines()
        assert lines[0] == "cof-eval  by-name · cof · openai"
        assert lines[1] == f"folder    {folder / 'run'}, its log: log.txt"
        assert lines[2:4] == ["loading lmms-eval …", "reading vstar …"]
        assert "8 rows are 8 distinct rollouts: 8 to go" in done.err
        assert re.search(r"^run: 8/8 · .* accuracy \d", done.err, re.MULTILINE)

    def test_stdout_has_the_result_each_caveat_and_where_the_report_is(self, said: tuple[Done, Path]) -> None:
        done, folder = said
        lines = done.out.splitlines()
        assert lines[0].startswith("by-name · cof on vstar: 37.5% [")
        assert " correct over 2 resolutions, n = 4; " in lines[0]
        assert lines[1] == "Complete: all 8 rows are answered and scored."
        assert re.search(r"^resolution +n +accuracy \[95%\] +zooms +text tokens +visual tokens", done.out, re.MULTILINE)
        assert re.search(r"^448 +4 +\d+\.\d \[", done.out, re.MULTILINE)
        assert "caveat  only four questions" in lines
        assert lines[-1] == f"report in {folder / 'run' / 'report'}: open index.html in a browser, or read report.md"

    def test_the_words_of_others_are_in_the_log_only(self, said: tuple[Done, Path]) -> None:
        done, folder = said
        assert not [word for word in CHATTER if word in done.out + done.err]
        log = (folder / "run" / "log.txt").read_text()
        assert re.match(r"=== 20\d\d-.* cof-eval run --model by-name ", log)
        assert "Postprocessing: 100%" in log

    def test_a_second_session_adds_to_the_log(self, said: tuple[Done, Path], scenes: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(said[1], tmp_path / "copy"))
        second = run(scenes, folder)
        assert second.status == 0, second.err
        assert "resuming: 8 of 8 rollouts are finished (run of 20" in second.err
        assert (folder / "run" / "log.txt").read_text().count("=== 20") == 2


@pytest.mark.slow
def test_quiet_prints_the_result_and_caveats_alone(scenes: Path, tmp_path: Path) -> None:
    done = run(scenes, tmp_path, "--quiet", "--note", "mine")
    assert (done.status, done.err) == (0, "")
    assert "caveat  mine" in done.out
    assert "accuracy [95%]" in done.out
    assert "report in" not in done.out


@pytest.mark.slow
def test_verbose_prints_also_what_others_write_and_every_file(scenes: Path, tmp_path: Path) -> None:
    done = run(scenes, tmp_path, "--verbose")
    assert done.status == 0, done.err
    assert "Postprocessing: 100%" in done.err
    assert "8 to go" in done.err
    assert f"  {tmp_path / 'run' / 'report' / 'rows.csv'}" in done.out.splitlines()
    assert "Postprocessing: 100%" in (tmp_path / "run" / "log.txt").read_text()


def test_quiet_and_verbose_exclude_each_other(scenes: Path, tmp_path: Path) -> None:
    done = in_process("run", "--model", "by-name", "--data", f"vstar={scenes}", "--out", tmp_path, "--quiet", "--verbose")
    assert (done.status, done.last) == (2, "cof-eval: --quiet and --verbose exclude each other; pass one of them")


class TestFailure:
    @pytest.mark.slow
    def test_an_engine_that_does_not_start_is_one_line_after_the_logs_last_ones(
        self, scenes: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        broken = Path(shutil.copytree(tiny_checkpoint(tmp_path_factory), tmp_path / "broken"))
        (broken / "model.safetensors").write_bytes(b"no weights")
        where = ("--engine", "transformers", "--data", f"vstar={scenes}", "--out", tmp_path / "run", "--resolutions", "224")
        done = forked("run", "--model", broken, *where, folder=tmp_path / "cwd")
        assert done.status == 1
        assert done.last.startswith("cof-eval: ")
        assert "Traceback" not in done.err
        assert str(tmp_path / "run" / "log.txt") in done.err

    @pytest.mark.parametrize("detail", [Detail.QUIET, Detail.BAR, Detail.NORMAL])
    def test_what_the_engine_wrote_last_is_shown_and_cannot_steer_the_terminal(
        self, detail: Detail, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(EngineUnusableError), session(detail) as screen:
            screen.log_to(tmp_path)
            os.write(2, b"before\n")
            screen.wait("starting vllm")
            os.write(2, b"".join(b"line %d\n" % number for number in range(40)) + b"\x1b[2Jout of memory\n")
            raise EngineUnusableError("vLLM did not start")
        *_, where, last = (err := capfd.readouterr().err).partition("the log's last lines")[1:]
        assert where
        assert last.startswith(f", all of it is in {tmp_path / 'log.txt'}:\n")
        assert last.splitlines()[1:] == [*(f"  line {number}" for number in range(26, 40)), "  \ufffd[2Jout of memory"]
        assert "before" not in err

    def test_a_mistake_of_the_users_shows_no_log(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(UsageError), session():
            os.write(2, b"words of others\n")
            raise UsageError("x")
        assert capfd.readouterr() == ("", "")

    def test_a_defect_keeps_its_traceback_and_shows_the_log(self, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ZeroDivisionError), session():
            os.write(2, b"words of others\n")
            raise ZeroDivisionError
        assert capfd.readouterr().err == "the log's last lines:\n  words of others\n"
