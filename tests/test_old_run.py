"""A run folder of the version before the rooms (commit df093dc): it still reports, resumes and is judged again.

`data/old_run` was written by that version's own command, which `COMMAND` repeats: the shipped checkpoint after SFT on four
questions of vstar_mini at two resolutions, with a zoom, a tool error, a reply without an answer and an answer that no rule decides.
"""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from commands import Done, forked
from rejudging import again

from cof_eval.agent.protocols import PROTOCOLS
from cof_eval.benchmarks import BENCHMARKS
from cof_eval.core.records import Outcome, Row
from cof_eval.core.resolution import PixelLimits, parse_resolution
from cof_eval.engines.checkpoint import find_checkpoint, fingerprint
from cof_eval.judging import load_card
from cof_eval.report import report_runs, write_report
from cof_eval.runs.folder import RunData, load_run
from cof_eval.runs.plan import Job, Planner

ROOT = Path(__file__).resolve().parent.parent
OLD = ROOT / "tests" / "data" / "old_run"
QUESTIONS = OLD / "questions"
MODEL = ROOT / "results" / "reference" / "mini" / "sft"
RESOLUTIONS = ("224", "448")
COMMAND = [
    *("run", "--model", MODEL, "--protocol", "cof_mini", "--engine", "transformers", "--benchmarks", "vstar_mini"),
    *("--resolutions", ",".join(RESOLUTIONS), "--data", f"vstar_mini={QUESTIONS}", "--seed", "0", "--keep-images", "none"),
]
RULES_VERSION_THEN = 3
NEW_INTERVALS = {"tokens_per_correct_low", "tokens_per_correct_high"}
"""Fieller's since then; a line for the mean over resolutions is new too."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The old run, to be written to."""
    return shutil.copytree(OLD / "run", tmp_path / "run")


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def figures(summary: Path) -> list[str]:
    """The numbers of the model card's tables, by line."""
    lines = [line for line in summary.read_text(encoding="utf-8").splitlines() if re.match(r"\| (224|448) \|", line)]
    return [" ".join(re.findall(r"[\d.]+", line)) for line in lines]


def planned(run: RunData) -> list[Row]:
    """What this version would write as the rows of the same command."""
    engine = run.settings["engine"]["limits"]
    protocol = PROTOCOLS["cof_mini"]
    planner = Planner(
        checkpoint=fingerprint(find_checkpoint(str(MODEL))), protocol=protocol, limits=protocol.limits(PixelLimits(**engine))
    )
    return [
        planner.plan(
            Job(
                task=f"cof_vstar_mini_{resolution}",
                doc_id=doc_id,
                question=item.question,
                resolution=parse_resolution(resolution),
                source=item.image,
            )
        ).row
        for resolution in RESOLUTIONS
        for doc_id, item in enumerate(BENCHMARKS["vstar_mini"].load(QUESTIONS))
    ]


@pytest.mark.slow
def test_it_reports_the_digits_that_it_reported_then(run: Path, tmp_path: Path) -> None:
    write_report(report_runs([load_run(run)]), tmp_path / "report")
    then, now = rows_of(OLD / "report" / "sweep.csv"), rows_of(tmp_path / "report" / "sweep.csv")
    assert len(then) == 6
    kept = [name for name in then[0] if name not in NEW_INTERVALS]
    same = [[[row[name] for name in kept] for row in table if row["resolution"] != "mean"] for table in (now, then)]
    assert same[0] == same[1]
    assert figures(tmp_path / "report" / "summary.md") == figures(OLD / "report" / "summary.md")
    assert len(figures(OLD / "report" / "summary.md")) == 4


def test_its_fingerprint_and_its_keys_are_those_of_today(run: Path) -> None:
    old = load_run(run)
    assert fingerprint(find_checkpoint(str(MODEL))) == old.settings["model"]["fingerprint"]
    by_slot = {(row.task, row.doc_id): row for row in old.rows}
    assert {(row.task, row.doc_id): row for row in planned(old)} == by_slot


def test_its_judge_card_has_the_id_of_then_under_the_rules_of_then(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cof_eval.judging.card.RULES_VERSION", RULES_VERSION_THEN)
    assert load_card("equivalence").id == load_run(run).settings["judge"]["card"]


def test_it_is_judged_again_and_its_earlier_verdicts_stay(run: Path) -> None:
    before = (run / "verdicts.jsonl").read_bytes()
    again(run, card="strict")
    assert (run / "verdicts.jsonl").read_bytes().startswith(before)
    now, then = load_run(run), load_run(run, "equivalence")
    assert now.settings["judge"]["card"].startswith("strict@")
    assert set(now.verdicts) == set(then.verdicts) == set(now.trajectories)
    assert [v.verdict for v in then.verdicts.values()].count(Outcome.UNSCORED) == 1


def cut(file: Path, keep: int) -> bytes:
    """Leave the first lines and half of the next, as a crash does; returns the whole ones."""
    lines = file.read_bytes().splitlines(keepends=True)
    assert len(lines) > keep
    whole = b"".join(lines[:keep])
    file.write_bytes(whole + lines[keep][: len(lines[keep]) // 2])
    return whole


@pytest.mark.slow
class TestTheSameCommand:
    def resume(self, run: Path) -> Done:
        return forked(*COMMAND, "--out", run, folder=run.parent / "shell")

    def test_of_a_finished_run_generates_nothing(self, run: Path) -> None:
        before = (run / "trajectories.jsonl").read_bytes()
        done = self.resume(run)
        assert (done.status, "Traceback" in done.err) == (1, False), done.err  # an answer is unscored, as it was then
        assert (run / "trajectories.jsonl").read_bytes() == before

    def test_of_a_run_that_crashed_generates_what_is_missing_alone(self, run: Path) -> None:
        whole = load_run(run)
        kept = cut(run / "trajectories.jsonl", 5)
        cut(run / "verdicts.jsonl", 2)
        done = self.resume(run)
        assert (done.status, "Traceback" in done.err) == (1, False), done.err
        after = (run / "trajectories.jsonl").read_bytes()
        assert after.startswith(kept)
        assert after.count(b"\n") == 8
        resumed = load_run(run)
        assert {row: row.trajectory for row in resumed.rows} == {row: row.trajectory for row in whole.rows}
        assert {k: t.answer for k, t in resumed.trajectories.items()} == {k: t.answer for k, t in whole.trajectories.items()}
        assert resumed.settings["commit"] == whole.settings["commit"]

    def test_cof_eval_judge_takes_it(self, run: Path) -> None:
        done = forked("judge", run, "--card", "strict", folder=run.parent / "shell")
        assert (done.status, "Traceback" in done.err) == (1, False), done.err
        assert "strict@" in (run / "run.yaml").read_text()
