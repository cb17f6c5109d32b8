"""How many answers rules, judge, stop and nobody decided, and how a report says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cof_eval.core.records import Outcome, Stop
from cof_eval.report.deciders import deciders_lines, deciders_text
from cof_eval.report.report_run import ReportRun, report_runs
from cof_eval.runs.folder import RunData


def judged(make_run: Callable[..., RunData], asked: Any, **settings: Any) -> ReportRun:
    """Two rows by rules, one by the judge, one that it left unscored, one open one by the judge, one stopped."""
    run = make_run(
        asked("1", "224", Outcome.CORRECT),
        asked("2", "224", Outcome.WRONG),
        asked("3", "224", Outcome.CORRECT),
        asked("4", "224", Outcome.UNSCORED),
        asked("5", "224", Outcome.WRONG, options=0),
        asked("6", "224", Outcome.WRONG, stop=Stop.LENGTH),
        asked("7", "224", None, stop=None),
        **settings,
    )
    by = {"3": "judge", "4": "judge", "5": "judge", "6": "stop:length"}
    verdicts = {key: replace(verdict, by=by.get(key.split("/")[1], "rule:letter")) for key, verdict in run.verdicts.items()}
    return report_runs([replace(run, verdicts=verdicts)])[0]


def test_the_line_below_the_headline_says_who_decided(make_run: Callable[..., RunData], asked: Any) -> None:
    served = {"card": "equivalence@1", "model": "org/model@2", "served": {"served_name": "judge", "root": "org/model"}}
    (line,) = deciders_lines([judged(make_run, asked, judge=served)])
    assert line == (
        "Verdicts (equivalence:org/model@2): 2 by rules, 2 by the LLM judge org/model@2, 1 by the stop, 1 by nobody."
    )


def test_a_judge_without_an_identity_is_said_to_be_known_by_its_served_name_only(
    make_run: Callable[..., RunData], asked: Any
) -> None:
    (line,) = deciders_lines([judged(make_run, asked, judge={"card": "equivalence@1", "model": "judge"})])
    assert "2 by the LLM judge 'judge' (served name only)" in line


def test_open_questions_and_those_with_options_are_counted_apart(make_run: Callable[..., RunData], asked: Any) -> None:
    table, rules = deciders_text(judged(make_run, asked))
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in table.splitlines()[2:]}
    assert cells == {
        "with options": ["5", "2", "1", "1", "1"],
        "open": ["1", "0", "1", "0", "0"],
        "all": ["6", "2", "2", "1", "1"],
    }
    assert rules == "Rules: letter 2."


def test_a_run_without_answers_has_nothing_to_say(make_run: Callable[..., RunData], asked: Any) -> None:
    empty = report_runs([make_run(asked("1", "224", None, stop=None))])[0]
    assert deciders_lines([empty]) == [] == list(deciders_text(empty))
