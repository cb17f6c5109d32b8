"""`python -m training.mini.gates FOLDER`: what the small model must show, measured from run folders of the harness.

Which runs there must be is said by `RUNS`; `make measure-mini` makes them. Every figure has its interval: Wilson for fractions, a bootstrap
over scenes for differences of the same questions.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cof_eval.benchmarks.synthetic.questions import DIRECT
from cof_eval.core.errors import CofError, RunError
from cof_eval.report.rows import rows_table
from cof_eval.runs.folder import RunData, load_run
from cof_eval.stats import Clusters, compare_paired, wilson

RUNS = ("base", "sft", "sft_shown", "sft_blank", "sft_random", "rl")
"""Folders: the base under `direct`, the others under `cof_mini`; `shown`, `blank` and `random` change its crops."""
PATCH = 14.0
"""Side of a patch of the vision encoder, px."""
SHOWN_AT = "672"
"""Where crops of the shown image must help; named before anything was measured."""
FIELDS = ["task", "question_id"]


@dataclass(frozen=True, slots=True)
class Gate:
    """One figure and what it must be."""

    name: str
    value: float
    low: float
    high: float
    """95% interval."""
    needs: str
    reached: bool | None
    """None where it is reported whatever it shows."""
    of: str
    """What it was measured on."""


def table(run: RunData) -> pd.DataFrame:
    """The rows of a run with `native_px` and `shown_px`, the side of the smallest target, and `centred`: whether a crop held a centre.

    Raises:
        RunError: if rows are still to be answered.
    """
    missing = sum(row.trajectory not in run.trajectories for row in run.rows)
    if missing or len(run.rows) < run.expected_rows:
        raise RunError(f"{run.path} is unfinished; the command that began it goes on")
    rows = rows_table(run)
    rows["correct"] = rows["correct"].fillna(0)  # nobody judges here: what the rules leave undecided is no right answer
    rows["native_px"] = [_side(run, key) for key in rows["trajectory"]]
    rows["shown_px"] = rows["native_px"] * rows["shown_width"] / [run.trajectories[k].image.size[0] for k in rows["trajectory"]]
    rows["centred"] = [_centred(run, key) for key in rows["trajectory"]]
    return rows


def _side(run: RunData, key: str) -> float:
    boxes = run.trajectories[key].question.boxes
    return min(math.sqrt((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in boxes)


def _centred(run: RunData, key: str) -> bool:
    """Whether some crop shows the centre of some target."""
    trajectory = run.trajectories[key]
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in trajectory.question.boxes]
    crops = [call.crop.native_box for call in trajectory.calls if call.crop]
    return any(a <= x <= c and b <= y <= d for a, b, c, d in crops for x, y in centres)


def share(name: str, right: pd.Series, needs: float, of: str) -> Gate:
    """A fraction of rows that must reach a bound."""
    low, high = wilson(int(right.sum()), len(right))
    return Gate(name, float(right.mean()), low, high, f"≥ {needs:.0%}", bool(right.mean() >= needs), f"{of}, n = {len(right)}")


def gain(name: str, ours: pd.DataFrame, theirs: pd.DataFrame, needs: float | None, of: str) -> Gate:
    """How much better one run is than another on the same questions."""
    both = ours.merge(theirs, on=FIELDS, suffixes=("", "_theirs"))
    difference = both["correct"] - both["correct_theirs"]
    found = compare_paired(Clusters.of(difference, both["cluster"]))
    of = f"{of}, n = {len(both)}: {both['correct'].mean():.1%} against {both['correct_theirs'].mean():.1%}"
    reached = None if needs is None else bool(found.difference >= needs)
    return Gate(name, found.difference, *found.interval, f"≥ {needs:+.0%}" if needs is not None else "reported", reached, of)


def measure(rows: Mapping[str, pd.DataFrame]) -> list[Gate]:
    """Every gate, from the tables of all runs."""
    base, sft = rows["base"], rows["sft"]
    native = base[base["resolution"] == "native"]
    largest = native[native["native_px"] >= native["native_px"].quantile(0.75)]
    gates = [share("base reads what is large", largest["correct"], 0.85, "largest quarter of targets at native")]
    tiny = base[base["shown_px"] < 2]
    for category, part in tiny.groupby("category"):
        gates.append(_chance(part, str(category)))
    small = small_targets(base)
    helped = gain("zooming helps, native crops", same_questions(sft, small), small, 0.10, "224 and 448, target under one patch")
    gates.append(helped)
    at = base[base["resolution"] == SHOWN_AT]
    gates.append(
        gain("zooming helps, shown crops", same_questions(rows["sft_shown"], at), at, 0.05, f"all questions at {SHOWN_AT}")
    )
    zoomed = sft[(sft["zooms"] > 0) & (sft["correct"] == 1)]
    gates.append(share("crops hold the target's centre", zoomed["centred"], 0.8, "right answers after a zoom"))
    gates += [_lost(kind, rows, small, helped.value) for kind in ("blank", "random")]
    return gates + adaptive(rows["rl"], sft)


def small_targets(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows at 224 and 448 whose target is under one patch in the shown image."""
    return rows[rows["resolution"].isin(["224", "448"]) & (rows["shown_px"] < PATCH)]


def same_questions(rows: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """The rows of the same tasks and questions."""
    return rows.merge(like[FIELDS], on=FIELDS)


def adaptive(rl: pd.DataFrame, sft: pd.DataFrame) -> list[Gate]:
    """Whether reinforcement learning zooms less at the same accuracy, and more where targets are small."""
    kept = gain("RL against SFT", rl, sft, -0.02, "all questions and resolutions")
    fewer = 1 - rl["zooms"].sum() / max(1, sft["zooms"].sum())
    of = f"zooms a question: {rl['zooms'].mean():.2f} against {sft['zooms'].mean():.2f}"
    saved = Gate("RL zooms less", float(fewer), math.nan, math.nan, "≥ 25%", bool(fewer >= 0.25), of)
    asked = rl[rl["category"] == DIRECT]
    small = asked["shown_px"] < asked["shown_px"].median()
    more = [float((asked[part]["zooms"] > 0).mean()) for part in (small, ~small)]
    of = f"share of zoomed questions about colours: {more[0]:.0%} of the smaller half as shown, {more[1]:.0%} of the larger"
    return [
        kept,
        saved,
        Gate("RL zooms more where targets are small", more[0] - more[1], math.nan, math.nan, "> 0", more[0] > more[1], of),
    ]


def _chance(rows: pd.DataFrame, category: str) -> Gate:
    low, high = wilson(int(rows["correct"].sum()), len(rows))
    chance = float((1 / rows["options"]).mean())
    of = f"{category} below 2 px as shown, n = {len(rows)}"
    return Gate(
        "base guesses what is tiny", float(rows["correct"].mean()), low, high, f"near {chance:.0%}", low <= chance <= high, of
    )


def _lost(kind: str, rows: Mapping[str, pd.DataFrame], small: pd.DataFrame, helped: float) -> Gate:
    """The fraction of the gain that is lost where crops show something else."""
    lost = gain(
        f"{kind} crops lose the gain",
        same_questions(rows["sft"], small),
        same_questions(rows[f"sft_{kind}"], small),
        None,
        "the same questions",
    )
    if helped <= 0:
        return Gate(lost.name, math.nan, math.nan, math.nan, "≥ 50% of it", False, f"there is no gain to lose; {lost.of}")
    value, low, high = (part / helped for part in (lost.value, lost.low, lost.high))
    return Gate(lost.name, value, low, high, "≥ 50% of it", value >= 0.5, lost.of)


def text(gates: list[Gate]) -> str:
    """The gates as a Markdown table."""
    lines = ["| gate | measured | 95% | needs | reached | on |", "|---|---|---|---|---|---|"]
    for g in gates:
        value = "" if math.isnan(g.value) else f"{g.value:.1%}"
        interval = "" if math.isnan(g.low) else f"{g.low:.1%} to {g.high:.1%}"
        reached = {True: "yes", False: "**no**", None: ""}[g.reached]
        lines.append(f"| {g.name} | {value} | {interval} | {g.needs} | {reached} | {g.of} |")
    return "\n".join(lines) + "\n"


def to_json(gates: list[Gate]) -> str:
    """The gates as JSON, null where there is no number."""
    plain = [{k: None if v != v else v for k, v in asdict(gate).items()} for gate in gates]
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> list[Gate]:
    """Gates as `to_json` wrote them."""
    rows: list[dict[str, Any]] = json.loads(text)
    for row in rows:
        row |= {name: math.nan for name in ("value", "low", "high") if row[name] is None}
    return [Gate(**row) for row in rows]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 1 where a gate is not reached."""
    parser = argparse.ArgumentParser(prog="python -m training.mini.gates", description="What the small model reaches.")
    parser.add_argument("folder", type=Path, help=f"with the run folders {', '.join(RUNS)}")
    parser.add_argument("--out", type=Path, help="folder for gates.md and gates.json (default: the same)")
    given = parser.parse_args(arguments)
    try:
        gates = measure({name: table(load_run(given.folder / name)) for name in RUNS})
    except CofError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    out = given.out or given.folder
    out.mkdir(parents=True, exist_ok=True)
    (out / "gates.md").write_text(text(gates), encoding="utf-8")
    (out / "gates.json").write_text(to_json(gates), encoding="utf-8")
    print(text(gates), end="")
    return 0 if all(g.reached is not False for g in gates) else 1


if __name__ == "__main__":
    sys.exit(main())
