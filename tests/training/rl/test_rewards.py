"""Rewards against their tables, alone and with a group that two processes share."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from training.rl.rewards import REWARDS, Facts, accuracy, agar, agar_released, format_, well_formed, with_groups

DIRECT_RIGHT, ZOOM_RIGHT = Facts(True, False, True), Facts(True, True, True)
ZOOM_WRONG, ZOOM_WRONG_BAD = Facts(False, True, True), Facts(False, True, False)
DIRECT_WRONG, DIRECT_WRONG_BAD = Facts(False, False, True), Facts(False, False, False)
UNJUDGED = Facts(None, True, True)
WRONG = [ZOOM_WRONG, ZOOM_WRONG_BAD, DIRECT_WRONG, DIRECT_WRONG_BAD]

GROUPS = {
    "a direct one is right": [DIRECT_RIGHT, ZOOM_RIGHT, *WRONG],
    "only a zoomed one is right": [ZOOM_RIGHT, *WRONG],
    "none is right": WRONG,
}
PAPER = {
    "a direct one is right": [1.0, 0.8, 0.1, 0.0, 0.1, 0.0],
    "only a zoomed one is right": [1.0, 0.1, 0.0, 0.1, 0.0],
    "none is right": [0.1, 0.0, 0.1, 0.0],
}
RELEASED = {
    "a direct one is right": [1.0, 0.8, 0.5, 0.5, 0.1, 0.0],
    "only a zoomed one is right": [1.0, 0.5, 0.5, 0.1, 0.0],
    "none is right": [0.5, 0.5, 0.1, 0.0],
}


@pytest.mark.parametrize("case", GROUPS)
def test_agar_equals_the_papers_formula(case: str) -> None:
    assert [agar(facts, GROUPS[case]) for facts in GROUPS[case]] == pytest.approx(PAPER[case])


@pytest.mark.parametrize("case", GROUPS)
def test_agar_released_equals_the_released_table(case: str) -> None:
    assert [agar_released(facts, GROUPS[case]) for facts in GROUPS[case]] == pytest.approx(RELEASED[case])


def test_a_badly_formed_right_answer_is_right_all_the_same() -> None:
    sloppy = Facts(True, False, False)
    assert agar(sloppy, [sloppy]) == agar_released(sloppy, [sloppy]) == 1.0


def test_what_could_not_be_judged_earns_nothing_and_vouches_for_nothing() -> None:
    unjudged_direct = Facts(None, False, True)
    group = [unjudged_direct, ZOOM_RIGHT]
    assert agar(unjudged_direct, group) is agar_released(UNJUDGED, group) is accuracy(UNJUDGED, group) is None
    assert agar(ZOOM_RIGHT, group) == 1.0


def test_accuracy_and_format_look_at_the_rollout_alone() -> None:
    assert [accuracy(f, []) for f in (DIRECT_RIGHT, ZOOM_WRONG)] == [1.0, 0.0]
    assert [format_(f, []) for f in (DIRECT_WRONG, DIRECT_WRONG_BAD, UNJUDGED)] == [1.0, 0.0, 1.0]


THOUGHT = "<think>Small.</think> "
CALL = '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 3, 4]}}</tool_call>'
ANSWER = "<answer>B</answer>"


@pytest.mark.parametrize(
    "turns",
    [
        [THOUGHT + ANSWER],
        [THOUGHT + CALL, THOUGHT + ANSWER],
        [f"\n{THOUGHT}\n{CALL}\n{CALL}\n", THOUGHT + CALL, f"{THOUGHT}\n{ANSWER}\n"],
        [THOUGHT + "<answer>\n(B)\nblue < red\n</answer>"],
    ],
)
def test_the_trained_format_is_well_formed(turns: list[str]) -> None:
    assert well_formed(turns)


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [""],
        [ANSWER],
        ["<think></think>" + ANSWER],
        [THOUGHT],
        [THOUGHT + CALL],
        [THOUGHT + THOUGHT + ANSWER],
        [THOUGHT + "So: " + ANSWER],
        [THOUGHT + ANSWER + " That is it."],
        [THOUGHT + ANSWER + ANSWER],
        [THOUGHT + "<answer> </answer>"],
        [THOUGHT + "<answer>B"],
        [THOUGHT + CALL + ANSWER],
        [THOUGHT + ANSWER, THOUGHT + ANSWER],
        [THOUGHT + "<tool_call>{zoom}</tool_call>", THOUGHT + ANSWER],
        [THOUGHT + "<tool_call>zoom</tool_call>", THOUGHT + ANSWER],
        [THOUGHT + CALL.removesuffix("</tool_call>"), THOUGHT + ANSWER],
        [CALL, THOUGHT + ANSWER],
        ["<think>a <think>b</think> " + ANSWER],
    ],
)
def test_anything_else_is_not(turns: list[str]) -> None:
    assert not well_formed(turns)


def test_each_rollout_is_seen_with_its_whole_group() -> None:
    mine, elsewhere = [ZOOM_RIGHT, ZOOM_WRONG], [("a", DIRECT_RIGHT), ("b", DIRECT_WRONG)]
    seen = with_groups(["a", "b"], mine, gather=lambda items: [*items, *elsewhere])
    assert seen == [(ZOOM_RIGHT, [ZOOM_RIGHT, DIRECT_RIGHT]), (ZOOM_WRONG, [ZOOM_WRONG, DIRECT_WRONG])]


@pytest.mark.slow
@pytest.mark.parametrize("reward", ["agar", "agar_released"])
def test_agar_equals_its_table_when_two_processes_share_each_group(reward: str, tmp_path: Path) -> None:
    table = {"agar": PAPER, "agar_released": RELEASED}[reward]
    rollouts = [(case, facts) for case, group in GROUPS.items() for facts in group]
    expected = [value for case in GROUPS for value in table[case]]
    assert _rewards_of_two_processes(reward, rollouts, tmp_path) == pytest.approx(expected)
    alone = [REWARDS[reward](facts, [facts]) for _, facts in rollouts]
    assert alone != pytest.approx(expected)  # the groups do matter


def _rewards_of_two_processes(reward: str, rollouts: list[tuple[str, Facts]], folder: Path) -> list[float]:
    """Every other rollout in a process of its own, so that both hold a part of each group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shares = [rollouts[0::2], rollouts[1::2]]
    processes = []
    for rank, share in enumerate(shares):
        rows = [[group, [facts.correct, facts.zoomed, facts.well_formed]] for group, facts in share]
        (folder / f"in-{rank}.json").write_text(json.dumps(rows))
        places = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": str(port)}
        environment = {**os.environ, **places, "MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"}
        program = Path(__file__).parent / "programs" / "reward_my_share.py"
        processes.append(subprocess.Popen([sys.executable, str(program), reward, str(folder)], env=environment))
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    outs = [json.loads((folder / f"out-{rank}.json").read_text()) for rank in range(2)]
    return [outs[i % 2][i // 2] for i in range(len(rollouts))]
