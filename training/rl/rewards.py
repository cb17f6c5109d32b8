"""What a rollout is worth: accuracy, format, and the adaptive group-aware reward (AGAR) in both of its variants.

Pure functions of what is known about a rollout and about its group (all rollouts of the same prompt). Correctness comes
from `cof_eval.judging`, so that training pays for exactly what the evaluation counts. Source: Chain-of-Focus, arXiv
2505.15436 (the formula), and its released reward file (the table of `agar_released`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cof_eval.agent.reply import AnswerSyntax, CallSyntax, parse_reply
from cof_eval.core.records import Outcome, Stop, Trajectory, Verdict

ZOOM_COST = 0.2
"""The paper's delta: what a zoom costs where the question could be answered without one."""
FORMAT_PAY = 0.1
"""The paper's gamma: what a valid format is worth where the answer is wrong."""
WRONG_ZOOM_PAY = 0.5
"""The released code's reward for a wrong answer after a zoom."""

Reward = float | None
"""None if the reward is unknown: the trainer excludes the rollout from its group's mean and from the update."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about one rollout that rewards need."""

    correct: bool | None
    """None if the answer could not be judged."""
    zoomed: bool
    """Whether a call was executed."""
    well_formed: bool


def facts_of(trajectory: Trajectory, verdict: Verdict) -> Facts:
    """The facts of a rollout and its verdict."""
    correct = {Outcome.CORRECT: True, Outcome.WRONG: False, Outcome.UNSCORED: None}[verdict.verdict]
    answered = trajectory.stop is Stop.ANSWERED
    return Facts(correct, trajectory.zooms > 0, answered and well_formed([turn.text for turn in trajectory.turns]))


_THOUGHT = r"\s*<think>(?:(?!</?think>).)+</think>\s*"
_CALLING = re.compile(rf"{_THOUGHT}(?:<tool_call>(?:(?!</?tool_call>).)+</tool_call>\s*)+", re.DOTALL)
_ANSWERING = re.compile(
    rf"{_THOUGHT}<answer>(?:(?!</?answer>|</?tool_call>).)*[^<\s](?:(?!</?answer>).)*</answer>\s*", re.DOTALL
)


def well_formed(turns: Sequence[str]) -> bool:
    """Whether every turn's text is one thought and then calls that can be read, and the last one a thought and an answer."""
    return bool(turns) and all(_calls(text) for text in turns[:-1]) and bool(_ANSWERING.fullmatch(turns[-1]))


def _calls(text: str) -> bool:
    if not _CALLING.fullmatch(text):
        return False
    reply = parse_reply(text, CallSyntax.TOOL_CALL, AnswerSyntax.TAG)
    return reply.answer is None and all(call.error is None for call in reply.calls)


def accuracy(rollout: Facts, group: Sequence[Facts]) -> Reward:
    """1 for a correct answer, 0 for a wrong one."""
    return None if rollout.correct is None else float(rollout.correct)


def format_(rollout: Facts, group: Sequence[Facts]) -> Reward:
    """1 for a rollout that is well formed throughout."""
    return float(rollout.well_formed)


def agar(rollout: Facts, group: Sequence[Facts]) -> Reward:
    """The paper's formula: c·[d + z·(1 − δ·g)] + (1 − c)·γ·f, g = 1 iff some rollout of the group is direct and correct."""
    if rollout.correct is None:
        return None
    if not rollout.correct:
        return FORMAT_PAY * rollout.well_formed
    return 1.0 - ZOOM_COST * (rollout.zoomed and _answerable_at_sight(group))


def agar_released(rollout: Facts, group: Sequence[Facts]) -> Reward:
    """The released code's: as `agar`, but a wrong answer after a zoom earns 0.5, whatever its format."""
    if rollout.correct is False and rollout.zoomed:
        return WRONG_ZOOM_PAY
    return agar(rollout, group)


def _answerable_at_sight(group: Sequence[Facts]) -> bool:
    return any(other.correct and not other.zoomed for other in group)


RewardFunction = Callable[[Facts, Sequence[Facts]], Reward]

REWARDS: Mapping[str, RewardFunction] = {
    "accuracy": accuracy,
    "format": format_,
    "agar": agar,
    "agar_released": agar_released,
}
"""Reward by its name in a recipe."""

Gather = Callable[[list[Any]], list[Any]]
"""The items of all processes, in the order of their ranks."""


def gather_over_ranks(items: list[Any]) -> list[Any]:
    """The items of all training processes; those given, if there is only one. A collective call."""
    from accelerate.utils import gather_object

    return list(gather_object(items))


def with_groups(
    groups: Sequence[Hashable], rollouts: Sequence[Facts], gather: Gather = gather_over_ranks
) -> list[tuple[Facts, list[Facts]]]:
    """Each of this process's rollouts with all rollouts of its group, whichever process made them.

    A trainer hands a reward only its own process's slice of the batch, and a group may be cut by it.

    Args:
        groups: the group of each rollout.
        rollouts: this process's rollouts.
        gather: every process calls it, in the same order.
    """
    whole: dict[Hashable, list[Facts]] = defaultdict(list)
    for group, facts in gather(list(zip(groups, rollouts, strict=True))):
        whole[group].append(facts)
    return [(facts, whole[group]) for group, facts in zip(groups, rollouts, strict=True)]
