"""The work: jobs as a run asks them, equal work at its first resolution, and bounds that no rollout leaves."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fakes import LIMITS, ScriptedEngine, answer, call, noise, planner, question, stored, subject

from cof_eval.agent.protocols import COF, DIRECT
from cof_eval.agent.rollout import rollout
from cof_eval.benchmarks import Item
from cof_eval.core.images import ImageSource, encode_png
from cof_eval.core.option_order import parse_order
from cof_eval.core.resolution import SWEEP, parse_resolution
from cof_eval.runs.plan import Job
from cof_eval.runs.work import jobs, work


def item(name: str) -> Item:
    return Item(question(id=name), ImageSource(data=encode_png(noise(56, 56))))


def test_rotations_and_repeats_are_rows_of_their_own() -> None:
    made = list(jobs("vstar", [item("1"), item("2")], SWEEP[:2], order=parse_order("rotated"), repeats=3))
    assert len(made) == 2 * 2 * 4 * 3
    assert [job.doc_id for job in made] == [*range(24), *range(24)]
    assert {job.task for job in made} == {"cof_vstar_224", "cof_vstar_336"}
    assert [job.repeat for job in made[:4]] == [0, 1, 2, 0]


def planned(width: int, height: int, *resolutions: str) -> list[Job]:
    source = stored(width, height)
    return [
        Job(task=f"cof_vstar_{name}", doc_id=0, question=question(), resolution=parse_resolution(name), source=source)
        for name in resolutions
    ]


def test_equal_work_counts_once_at_its_smallest_resolution_and_finished_work_not_at_all() -> None:
    plans = [planner().plan(job) for job in reversed(planned(300, 200, "224", "336", "4k"))]
    engine = ScriptedEngine([""])
    assert [(each.resolution, each.rollouts) for each in work(plans, {p.key for p in plans}, COF, engine)] == [
        ("224", 1),
        ("336", 1),
    ]
    left = {plans[-1].key}  # that of 224
    assert [each.resolution for each in work(plans, left, COF, engine)] == ["224"]
    assert work(plans, set(), COF, engine) == []


@pytest.mark.parametrize("zooms", [0, 1, 3, 99])
@pytest.mark.parametrize("protocol", [COF, DIRECT, replace(COF, max_turns=3)], ids=["cof", "direct", "three turns"])
def test_no_rollout_leaves_the_bounds(protocol: object, zooms: int) -> None:
    asked = subject(448, 448)
    engine = ScriptedEngine([*[call(0, 0, 448, 448)] * zooms, answer("B")], limits=LIMITS)
    done = asyncio.run(rollout(asked, engine, protocol))  # type: ignore[arg-type]
    plans = [planner(protocol).plan(job) for job in planned(448, 448, "448")]  # type: ignore[arg-type]
    (found,) = work(plans, {p.key for p in plans}, protocol, engine)  # type: ignore[arg-type]
    assert found.prompt.low * 0.9 <= sum(turn.prompt_tokens for turn in done.turns) <= found.prompt.high
    assert found.output.low <= done.output_tokens <= found.output.high
    assert found.visual.low <= done.visual_tokens <= found.visual.high
