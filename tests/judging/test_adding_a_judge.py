"""docs/adding-a-judge.md is followed to the letter: the card's three files, the audit, and a run that is judged by it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from commands import Done, forked
from fake_server import FakeServer, serve
from guides import blocks

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.judging import load_card, load_pairs
from cof_eval.runs.folder import load_run

pytestmark = pytest.mark.slow

(CARD,) = blocks("adding-a-judge.md", "yaml")
(PROMPT,) = blocks("adding-a-judge.md", "text")
(PAIRS,) = blocks("adding-a-judge.md", "json")
AUDIT, USE = blocks("adding-a-judge.md", "bash")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with the page's folder `counts/`."""
    made = tmp_path / "counts"
    made.mkdir()
    for name, text in (("card.yaml", CARD), ("prompt.txt", PROMPT), ("calibration.jsonl", PAIRS)):
        (made / name).write_text(text)
    return tmp_path


def run(folder: Path, command: str, server: FakeServer, *more: object, **environment: str) -> Done:
    words = shlex.split(command.replace("http://127.0.0.1:51232/v1", server.url))
    return forked(*words[1:], *more, folder=folder, **environment)


def says_same_of_seven(prompt: str) -> str:
    return "same" if "There are seven of them" in prompt.split("BEGIN ANSWER")[-1] else "other"


def test_the_audit_runs_on_its_pairs(folder: Path) -> None:
    card, pairs = load_card(str(folder / "counts")), load_pairs(folder / "counts")
    assert set(card.labels) == {"same", "other"} and len(pairs) == 3
    with serve(models=["judge"], label=says_same_of_seven) as server:
        right = run(folder, AUDIT, server)
        assert server.judged
    with serve(models=["judge"], label=lambda prompt: "same") as server:
        wrong = run(folder, AUDIT, server)
    assert right.status == 0, right.err
    assert "3 labelled pairs" in right.out
    assert wrong.status == 1


def test_a_run_is_judged_by_it_at_once_and_again(folder: Path) -> None:
    write_scenes(folder / "vstar", count=2, seed=1)
    first, again = USE.splitlines()
    data = {"COF_DATA_VSTAR": str(folder / "vstar")}
    with (
        serve(reply=lambda asked: "<answer>as many as ever</answer>") as model,
        serve(models=["judge"], label=lambda p: "other") as judge,
    ):
        more = ["--engine", "openai", "--base-url", model.url, "--out", "RUN", "--resolutions", "224"]
        done = run(folder, first.replace("MODEL", "by-name"), judge, *more, **data)
        assert done.status == 0, done.err
        assert len(judge.judged) == 2
        done = run(folder, again, judge, **data)
    assert done.status == 0, done.err
    judged = load_run(folder / "RUN")
    assert judged.settings["judge"]["card"].startswith("counts@")
    assert {verdict.by for verdict in judged.verdicts.values()} == {"judge"}
