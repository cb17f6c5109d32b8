"""What a run cost, where its prices are known: a line for each run, the judge apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..core.errors import RunError, UsageError
from ..runs.prices import ModelPrices, PriceList, parse_prices, use_of
from ..runs.spending import priced_settings, spent_before
from ..runs.wallet import dollars

if TYPE_CHECKING:
    from ..runs.folder import RunData
    from .report_run import ReportRun


def run_prices(run: RunData, who: str) -> ModelPrices | None:
    """The prices that run.yaml holds of a run's `model` or `judge`; None if it holds none.

    Raises:
        RunError: if they are damaged.
    """
    held = run.settings.get("prices")
    prices = held.get(who) if isinstance(held, Mapping) else None
    if prices is None:
        return None
    try:
        return parse_prices({"models": {who: prices}}, str(run.path / "run.yaml")).models[who]
    except UsageError as error:
        raise RunError(str(error)) from error


def with_prices(run: RunData, prices: PriceList) -> RunData:
    """A run under other prices than it recorded, or under some at all.

    Raises:
        UsageError: if there are none of its model.
    """
    engine, model, judge = (run.settings.get(name) or {} for name in ("engine", "model", "judge"))
    found = prices.require(engine.get("served"), model.get("pretrained"))
    served = judge.get("served") or {}
    judging = prices.find(served.get("served_name"), served.get("root"), judge.get("model"))
    return replace(run, settings={**run.settings, "prices": priced_settings(found, judging, prices.source)})


def dollars_lines(runs: Sequence[ReportRun]) -> list[str]:
    """What each run with prices cost, in plain text."""
    return [line for run in runs if (line := _line(run, several=len(runs) > 1))]


def _line(run: ReportRun, *, several: bool) -> str:
    model, judge = run_prices(run.run, "model"), run_prices(run.run, "judge")
    if model is None:
        return ""
    ended = run.rows[run.rows["usd"].notna()]
    right = int((ended["correct"] == 1).sum())
    total = float(ended["usd"].sum())
    each = [f"{dollars(total / len(ended))} per question"] if len(ended) else []
    each += [f"{dollars(total / right)} per correct answer"] if right else []
    judge_model = str((run.run.settings.get("judge") or {}).get("model") or "")
    on_model, on_judge = spent_before(run.run.path, model, judge, judge_model)
    lost = on_model - sum(model.dollars(use_of(t)) for t in run.run.trajectories.values())
    says = f"spent {dollars(on_model)} on the model" + (
        f", {dollars(lost)} of it on rollouts that never ended" if lost > 5e-7 else ""
    )
    says += f", {dollars(on_judge)} on the judge" if judge else _unpriced(run.run.settings)
    return f"{f'{run.label}: ' if several else ''}cost: {'; '.join([', '.join(each), says] if each else [says])}"


def _unpriced(settings: Mapping[str, Any]) -> str:
    return "; the judge has no price" if (settings.get("judge") or {}).get("model") else ""


def is_priced(sweep: pd.DataFrame) -> bool:
    """Whether a sweep table knows dollars."""
    return bool(sweep["usd"].notna().any())


def priced_cell(line: Mapping[Any, Any], name: str) -> str:
    """Dollars in a table, with their interval."""
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    return money(line[name]) + (f" [{money(low)}, {money(high)}]" if low == low else "")


def money(value: float) -> str:
    """Dollars in a table."""
    return "–" if value != value else dollars(value).removeprefix("$")
