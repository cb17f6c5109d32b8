"""What a run has to generate: jobs from questions, and the work and its bounds from the plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from ..agent.conversation import asked_text
from ..agent.engine import Engine
from ..agent.protocols import Protocol
from ..agent.rollout import MESSAGE_TOKENS
from ..benchmarks.views import ViewedItem
from ..core.geometry import Frame
from ..core.option_order import OptionOrder, apply_orders
from ..core.resolution import Resolution, resolution_rank
from .estimate import Cell, Span, Work
from .plan import Job, PlannedJob
from .preflight import Budget, budget


def jobs(
    benchmark: str, items: Sequence[ViewedItem], resolutions: Sequence[Resolution], *, order: OptionOrder, repeats: int = 1
) -> Iterator[Job]:
    """Every row of a benchmark's tasks, as a run asks it.

    Raises:
        UsageError: if options are to be moved that do not stand in their question's text as they should.
    """
    ordered = apply_orders((item.question for item in items), order)
    rows = [(question, items[place].image, k) for place, question in ordered for k in range(repeats)]
    for resolution in resolutions:
        for doc_id, (question, image, repeat) in enumerate(rows):
            task = f"cof_{benchmark}_{resolution.name}"
            yield Job(task=task, doc_id=doc_id, question=question, resolution=resolution, source=image, repeat=repeat)


def work(plans: Sequence[PlannedJob], pending: Collection[str], protocol: Protocol, engine: Engine) -> list[Work]:
    """The work by benchmark and resolution, in the order of the sweep; equal work counts at its first resolution.

    Args:
        plans: of the whole run.
        pending: keys of the trajectories that are not finished.
        protocol: how long a rollout can become at most.
        engine: whose tokenizer, limits and context.
    """
    left, cells = set(pending), defaultdict[Cell, list[PlannedJob]](list)
    for plan in sorted(plans, key=lambda each: (each.job.question.benchmark, resolution_rank(each.job.resolution.name))):
        if plan.key in left and plan.error is None:
            left.remove(plan.key)
            cells[plan.job.question.benchmark, plan.job.resolution.name].append(plan)
    text_tokens = lru_cache(maxsize=None)(engine.text_tokens)
    return [_work(cell, group, protocol, engine, text_tokens) for cell, group in cells.items()]


def _work(cell: Cell, plans: Sequence[PlannedJob], protocol: Protocol, engine: Engine, text_tokens: object) -> Work:
    most = budget(protocol, engine, plans[0].job.resolution, {plan.image.size for plan in plans if plan.job.source})
    shown, n, turns = sum(plan.visual_tokens for plan in plans), len(plans), protocol.max_turns
    shows = sum(plan.job.source is not None for plan in plans)
    tokens = text_tokens if callable(text_tokens) else engine.text_tokens
    offered = sum(tokens(tool.text) for tool in protocol.tools)
    text = sum(
        offered
        + tokens(protocol.system)
        + tokens(protocol.prompt(asked_text(plan.job.question, Frame.milli()), plan.job.question.options))
        for plan in plans
    )
    return Work(
        benchmark=cell[0],
        resolution=cell[1],
        rollouts=n,
        shown_tokens=shown,
        prompt=Span(shown + text, None, max(shown + text, n * _longest(most, protocol))),
        output=Span(n, None, n * turns * protocol.max_new_tokens),
        visual=Span(shown, None, shown + n * (turns - 1) * most.crop),
        images=Span(shows, None, shows * turns * (turns + 1) / 2),
    )


def _longest(most: Budget, protocol: Protocol) -> int:
    """Prompt tokens of all turns of the longest rollout: each turn sends the conversation so far."""
    reply = protocol.max_new_tokens + MESSAGE_TOKENS
    return sum(min(most.context, most.first_turn - reply + turn * most.zoom) for turn in range(protocol.max_turns))
