"""The estimate in words: a table, where its rates come from, and how to get better ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .estimate import Cost, Estimate, Prices, Span
from .rates import Rates
from .wallet import dollars

HOW_TO_PILOT = "To know seconds, make a pilot in the same run folder: the same command with --limit 10. Then ask again; the run resumes from it."


NO_PRICES = Prices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An estimate, with the rates and options that its text explains."""

    estimate: Estimate
    rates: Rates | None
    prices: Prices = NO_PRICES
    gpus: int | None = None


def estimate_line(told: Told) -> str:
    """The estimate in one line, for under a run's plan."""
    total = told.estimate.total
    if not total.rollouts:
        return "estimate: nothing is left to generate"
    beside = "" if total.visual.high else " (images aside)"
    tokens = f"{amount(total.prompt)} tokens in{beside}, {amount(total.output)} out"
    if total.dollars is not None:
        tokens += f", {_span(total.dollars, dollars)}"
    if told.rates is None:
        return f"estimate: {tokens} (from one turn a rollout to the protocol's last). {HOW_TO_PILOT}"
    if total.seconds is None:
        return f"estimate: {tokens}; no seconds are known from {_where(told.rates)}. {HOW_TO_PILOT}"
    unrated = f", {told.estimate.without_rates} resolutions without rates aside" if told.estimate.without_rates else ""
    return f"estimate: {duration(total.seconds)}{unrated}, {tokens}; rates of {_where(told.rates)}"


def estimate_rows(told: Told) -> list[list[str]]:
    """The table: a heading, a row for each benchmark and resolution, and the total."""
    columns = _columns(told)
    costs = [*told.estimate.costs, told.estimate.total]
    return [[name for name, _ in columns], *([cell(cost) for _, cell in columns] for cost in costs)]


def _columns(told: Told) -> list[tuple[str, Callable[[Cost], str]]]:
    gpus = told.gpus
    columns: list[tuple[str, Callable[[Cost], str]]] = [
        ("benchmark", lambda cost: cost.benchmark),
        ("resolution", lambda cost: cost.resolution),
        ("rollouts", lambda cost: f"{cost.rollouts:,}"),
        ("time", lambda cost: duration(cost.seconds)),
        ("tokens in", lambda cost: amount(cost.prompt)),
        ("tokens out", lambda cost: amount(cost.output)),
        ("visual tokens", lambda cost: amount(cost.visual) if cost.visual.high else "–"),
    ]
    if gpus:
        columns.append(("GPU hours", lambda cost: _span(cost.seconds and cost.seconds.times(gpus / 3600), _number)))
    if told.prices != NO_PRICES:
        columns.append(("$", lambda cost: _span(told.prices.dollars(cost, gpus), _dollars)))
    return columns


def estimate_notes(told: Told) -> list[str]:
    """Notes on the table, a sentence or two each."""
    found, rates, notes = told.estimate, told.rates, []
    if not found.total.rollouts:
        return ["Nothing is left to generate."]
    if not found.total.visual.high:
        notes.append("Visual tokens are not predicted: the model's own processor resizes. Tokens in are without images.")
    if rates is None:
        notes.append(
            "No run of this checkpoint and protocol is known, so tokens are bounds: from one turn a rollout to the protocol's last."
        )
    else:
        notes.append(
            f"Rates come from {rates.rollouts:,} finished rollouts of {_where(rates)}. Ranges are 95% prediction ranges over questions."
        )
        if rates.differences:
            notes.append(f"That run was other in: {'; '.join(rates.differences)}.")
        if rates.pace is None:
            notes.append("It does not say when its rollouts ended (an earlier version wrote it), so no seconds are known.")
        else:
            notes.append(
                f"{rates.pace.under_way:.1f} of its rollouts were under way in the mean; with more at once, an idle engine is faster."
            )
    if found.startup_s is not None:
        notes.append(f"The start of the engine comes on top, once a session: {duration(found.startup_s)} there.")
    if rates is not None and found.without_rates and rates.pace is not None:
        notes.append(
            f"{found.without_rates} resolutions have no rates: their time is not in the total, and their tokens are bounds."
        )
    if found.total.seconds is None or found.without_rates:
        notes.append(HOW_TO_PILOT)
    notes.append("Not counted: preparing the data, the judge, and requests that have to be sent again.")
    return notes


def estimate_lines(told: Told) -> list[str]:
    """All of it as plain lines."""
    rows = estimate_rows(told) if told.estimate.total.rollouts else []
    return [*_aligned(rows), *(["", *estimate_notes(told)] if rows else estimate_notes(told))]


def _where(rates: Rates) -> str:
    return "this run folder" if rates.own else str(rates.run)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i < 2 else text.rjust(width) for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def duration(span: Span | None) -> str:
    """Seconds in words: `12 min (9 min – 15 min)`."""
    return _span(span, _seconds)


def amount(span: Span | None) -> str:
    """A number of tokens in words: `1.2 M (0.9 M – 1.5 M)`."""
    return _span(span, _tokens)


def _span(span: Span | None, say: Callable[[float], str]) -> str:
    if span is None:
        return "unknown"
    low, high = say(span.low), say(span.high)
    if span.likely is None:
        return low if low == high else f"{low} – {high}"
    likely = say(span.likely)
    return likely if low == high == likely else f"{likely} ({low} – {high})"


def _seconds(value: float) -> str:
    if value < 90:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 90 * 60 else f"{value / 3600:,.1f} h"


def _tokens(value: float) -> str:
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _dollars(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
