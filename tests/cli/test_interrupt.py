"""Runs that are stopped at any moment, by a signal or by a full disk: nothing finished is lost or done again."""

from __future__ import annotations

import json
import random
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from commands import BIN, Running, clean_environment, forked, start
from fake_server import ChatRequest, FakeServer, scripted, serve

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.records import Stop, Trajectory
from cof_eval.runs.folder import RunData, load_run

pytestmark = pytest.mark.slow

COUNT = 8
RESOLUTIONS = "224,448,1024"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data") / "vstar", count=COUNT, seed=3)


def run_arguments(server: FakeServer, judge: FakeServer, data: Path, out: Path, *more: object) -> list[str]:
    where = ("--engine", "openai", "--base-url", server.url, "--judge-url", judge.url, "--data", f"vstar={data}", "--out", out)
    options = ("--resolutions", RESOLUTIONS, "--concurrency", "4", *more)
    return [str(a) for a in ("run", "--model", "by-name", *where, *options)]


def script(asked: ChatRequest) -> str:
    """Zooms once or twice; every third answer is one that rules cannot read."""
    number = int(asked.hashes[0][:6], 16)
    text = scripted(asked, zooms=1 + number % 2)
    return text if number % 3 or "<answer>" not in text else "<answer>the one that looks so to me</answer>"


def label(prompt: str) -> str:
    return "1" if len(prompt) % 2 else "0"


def content(trajectory: Trajectory) -> tuple[Any, ...]:
    """A trajectory without its times."""
    turns = [(t.text, t.finish, t.prompt_tokens, t.output_tokens, t.visual_tokens, t.calls) for t in trajectory.turns]
    return trajectory.question.id, trajectory.shown, trajectory.stop, trajectory.answer, tuple(turns)


def results(path: Path) -> tuple[Any, ...]:
    """All that a run found, without times."""
    run = load_run(path)
    verdicts = {key: (v.verdict, v.by, v.label) for key, v in run.verdicts.items()}
    return sorted(run.rows, key=repr), {k: content(t) for k, t in run.trajectories.items()}, verdicts


def journal_keys(path: Path, name: str) -> list[str]:
    """Keys of all lines of a journal."""
    return [json.loads(line)["key"] for line in (path / f"{name}.jsonl").read_text().splitlines()]


def finished(run: RunData) -> set[tuple[str, str]]:
    """What is done: prompt and shown image."""
    return {(t.question.text, t.shown.hash) for t in run.trajectories.values() if t.stop is not Stop.ERROR}


def again(log: list[ChatRequest], done: set[tuple[str, str]]) -> list[ChatRequest]:
    """Requests that ask for what was done already."""
    return [a for a in log if any(shown == a.hashes[0] and text in a.text for text, shown in done)]


@pytest.fixture(scope="module")
def expected(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """What an uninterrupted run finds."""
    folder = tmp_path_factory.mktemp("whole")
    with serve(reply=script) as server, serve(models=["judge"], label=label) as judge:
        done = forked(*run_arguments(server, judge, scenes, folder / "run"), folder=folder / "cwd")
    assert done.status == 0, done.err
    found = results(folder / "run")
    assert len(found[0]) == 3 * COUNT
    assert {by for _, by, _ in found[2].values()} >= {"judge", "rule:letter"}
    return found


@dataclass
class Stopper:
    """A server's script that stops the client when it asks for the n-th time."""

    after: int
    says: Callable[[Any], str] = script
    stop: Callable[[], object] = lambda: None
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Any) -> str:
        with self.lock:
            self.asked += 1
            now = self.asked == self.after
        if now:
            self.stop()
        return self.says(asked)


def _hear_ctrl_c() -> None:
    """A command started in the background of a shell ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_keeps_the_journal_and_prints_the_command_that_finishes_the_run(
    scenes: Path, tmp_path: Path, expected: tuple[Any, ...]
) -> None:
    stopper = Stopper(after=12)
    environment = clean_environment()
    with serve(reply=stopper) as server, serve(models=["judge"], label=label) as judge:
        command = [str(BIN / "cof-eval"), *run_arguments(server, judge, scenes, tmp_path / "my run")]
        first = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c
        )  # fmt: skip
        stopper.stop = lambda: first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=300)
        assert first.returncode == 130, said
        assert "Traceback" not in said
        (printed,) = (line.strip() for line in said.splitlines() if line.startswith("  ") and "cof-eval run " in line)
        assert (
            f"interrupted; {len(finished(load_run(tmp_path / 'my run')))} of {len(expected[1])} rollouts are finished and kept"
            in said
        )
        done, asked = finished(load_run(tmp_path / "my run")), len(server.log)
        assert 0 < len(done) < len(expected[1])

        name, *arguments = shlex.split(printed)
        second = subprocess.run(
            [str(BIN / Path(name).name), *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert second.returncode == 0, second.stderr
        assert f"resuming: {len(done)} of {len(expected[1])} rollouts are finished (run of 20" in second.stderr
        assert again(server.log[asked:], done) == []
    assert results(tmp_path / "my run") == expected


ENDS = {
    "Slurm": (signal.SIGTERM, 143, False),
    "a lost terminal": (signal.SIGHUP, 129, False),
    "Slurm, in the background of a shell": (signal.SIGTERM, 143, True),
}


@pytest.mark.parametrize(("number", "status", "ignores_ctrl_c"), ENDS.values(), ids=ENDS.keys())
def test_a_signal_ends_a_run_as_ctrl_c_does_and_the_next_start_says_where_it_resumes(
    number: signal.Signals, status: int, ignores_ctrl_c: bool, scenes: Path, tmp_path: Path, expected: tuple[Any, ...]
) -> None:
    run, stopper = tmp_path / "run", Stopper(after=12)
    with serve(reply=stopper) as server, serve(models=["judge"], label=label) as judge:
        arguments = run_arguments(server, judge, scenes, run)
        command = start(*arguments, folder=tmp_path / "1", ignores_ctrl_c=ignores_ctrl_c)
        stopper.stop = lambda: command.kill(number)
        first = command.wait()
        done, asked = finished(load_run(run)), len(server.log)
        assert first.status == status, first.err
        assert "Traceback" not in first.err
        kept = f"{len(done)} of {len(expected[1])} rollouts are finished and kept"
        assert f"cof-eval: ended by {number.name}; {kept}. To resume, run the same command again:\n  cof-eval run " in first.err
        second = forked(*arguments, folder=tmp_path / "2")
        assert second.status == 0, second.err
        left = len(expected[1]) - len(done)
        assert f"resuming: {len(done)} of {len(expected[1])} rollouts are finished (run of 2" in second.err
        assert f"UTC), {left} to go\n" in second.err
        assert again(server.log[asked:], done) == []
    assert results(run) == expected


def test_a_signal_that_nohup_has_switched_off_ends_nothing(scenes: Path, tmp_path: Path, expected: tuple[Any, ...]) -> None:
    stopper = Stopper(after=12)
    with serve(reply=stopper) as server, serve(models=["judge"], label=label) as judge:
        command = start(*run_arguments(server, judge, scenes, tmp_path / "run"), folder=tmp_path / "1", ignores_hangup=True)
        stopper.stop = lambda: command.kill(signal.SIGHUP)
        assert command.wait().status == 0
    assert results(tmp_path / "run") == expected


def test_kill_at_any_moment_loses_nothing_and_repeats_nothing_finished(
    scenes: Path, tmp_path: Path, expected: tuple[Any, ...]
) -> None:
    chance = random.Random(0)
    kills = 0
    run = tmp_path / "run"
    with serve(latency_s=lambda asked: chance.uniform(0, 0.01)) as server, serve(models=["judge"], label=label) as judge:
        arguments = run_arguments(server, judge, scenes, run)
        for session in range(40):
            done = finished(load_run(run)) if (run / "run.yaml").exists() else set()
            known, asked, judged = judged_on_disk(run), len(server.log), len(judge.judged)
            stopper = Stopper(after=chance.randint(1, 24))
            server.reply = stopper
            command: Running = start(*arguments, folder=tmp_path / f"session {session}")
            stopper.stop = command.kill
            ended = command.wait()
            assert again(server.log[asked:], done) == []
            assert not known & {answer_of(prompt) for prompt in judge.judged[judged:]}
            assert "Traceback" not in ended.err
            if ended.status == 0:
                break
            assert ended.status == -signal.SIGKILL, ended.err
            kills += 1
    assert kills >= 3
    assert results(run) == expected
    for name in ("trajectories", "verdicts"):
        keys = journal_keys(run, name)
        assert len(keys) == len(set(keys))


def test_kill_while_judging_repeats_no_verdict_that_is_on_disk(scenes: Path, tmp_path: Path, expected: tuple[Any, ...]) -> None:
    run, kills = tmp_path / "run", 0
    with serve(reply=script) as server, serve(models=["judge"]) as judge:
        arguments = run_arguments(server, judge, scenes, run)
        for session in range(20):
            known, asked = judged_on_disk(run), len(judge.judged)
            stopper = Stopper(after=2 + session, says=label)
            judge.label = stopper
            command = start(*arguments, folder=tmp_path / f"session {session}")
            stopper.stop = command.kill
            ended = command.wait()
            assert not known & {answer_of(prompt) for prompt in judge.judged[asked:]}
            if ended.status == 0:
                break
            assert ended.status == -signal.SIGKILL, ended.err
            kills += 1
    assert kills >= 2
    assert results(run) == expected
    keys = journal_keys(run, "verdicts")
    assert len(keys) == len(set(keys))


def judged_on_disk(run: Path) -> set[tuple[str, str]]:
    """Question and answer of everything that the judge has decided."""
    if not (run / "run.yaml").exists():
        return set()
    data = load_run(run)
    decided = {key for key, verdict in data.verdicts.items() if verdict.by == "judge"}
    return {(t.question.text, t.answer) for t in data.trajectories.values() if t.key in decided}


def answer_of(prompt: str) -> tuple[str, str]:
    """Question and answer of a judge's prompt."""
    asked = prompt.partition("Question:\n")[2].partition("\n\nStandard answer:")[0]
    return asked, prompt.partition("BEGIN ANSWER\n")[2].partition("\nEND ANSWER")[0]


FULL = {
    "run.yaml": (600, "run.yaml", ()),
    "trajectories": (16_000, "trajectories.jsonl", ()),
    "images": (30_000, "images", ("--keep-images", "all")),
}


@pytest.mark.parametrize(("limit", "name", "more"), FULL.values(), ids=FULL.keys())
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_space(
    limit: int, name: str, more: tuple[str, ...], scenes: Path, tmp_path: Path, expected: tuple[Any, ...]
) -> None:
    run = tmp_path / "run"
    with serve(reply=script) as server, serve(models=["judge"], label=label) as judge:
        arguments = run_arguments(server, judge, scenes, run, *(more or ("--keep-images", "none")))
        full = forked(*arguments, folder=tmp_path / "1", max_file_bytes=limit)
        assert full.status in (1, 2)
        assert full.last.startswith("cof-eval: cannot write ")
        assert name in full.last
        assert "free space" in full.last
        assert "run the same command again" in full.last
        assert "Traceback" not in full.err
        done = finished(load_run(run)) if (run / "run.yaml").exists() else set()
        asked = len(server.log)
        second = forked(*arguments, folder=tmp_path / "2")
        assert second.status == 0, second.err
        assert again(server.log[asked:], done) == []
    assert results(run) == expected
