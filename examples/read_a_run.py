"""Load a finished run, and answer questions with its tables in pandas.

python examples/read_a_run.py results/reference/demo/sft results/reference/demo/base
"""

from __future__ import annotations

import sys
from pathlib import Path

from cof_eval.report import report_runs
from cof_eval.runs.folder import load_run


def main(folders: list[str]) -> None:
    """Print a few facts of one run, and compare it with a second one."""
    # `report_runs` reads the folders' journals and makes the tables that the report is made of.
    first, second = report_runs([load_run(Path(folder)) for folder in folders])

    # The sweep table has one line per benchmark, category and resolution. Accuracies are fractions (0-1).
    sweep = first.sweep[first.sweep["category"] == "overall"].set_index("resolution")
    print(f"{first.label}: accuracy by resolution")
    print(sweep[["n", "acc", "acc_low", "acc_high", "zooms"]].round(2).to_string())

    # The rows table has one row per question, task and repeat.
    rows = first.rows[first.rows["resolution"] == "224"]
    print("\nat 224, verdicts by number of zooms")
    print(rows.groupby(["zooms", "verdict"]).size().unstack(fill_value=0).to_string())

    # The calls table has one row per tool call: here, whether the crops held the annotated target.
    zooms = first.calls[first.calls["zoom"].notna()]
    print(f"\n{len(zooms)} zooms, {zooms['useful'].mean():.0%} of them useful, mean coverage {zooms['coverage'].mean():.2f}")

    # Two runs join on the question. `correct` is 1, 0, or unknown while a row is unscored.
    key = ["benchmark", "resolution", "question_id", "repeat"]
    both = first.rows.merge(second.rows, on=key, suffixes=("", "_other")).dropna(subset=["correct", "correct_other"])
    wins = both[both["correct"] > both["correct_other"]]
    print(f"\n{len(wins)} of {len(both)} rows are right here and wrong in {second.label}; the first:")
    print(wins[["resolution", "question_id", "answer", "answer_other", "reference"]].head(3).to_string(index=False))

    # A trajectory holds the model's own words, turn by turn.
    trajectory = first.run.trajectories[wins.iloc[0]["trajectory"]]
    for turn in trajectory.turns:
        print(f"\n{turn.text}")
        for call in turn.calls:
            print(f"  box {call.box} in frame {call.frame!r} -> crop of {call.crop.size if call.crop else call.error}")


if __name__ == "__main__":
    main(sys.argv[1:])
