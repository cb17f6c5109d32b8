"""The small model's gates: each follows from rows whose answers are known, and none is reached where nothing was learned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cof_eval.core.errors import RunError
from cof_eval.core.records import Row
from cof_eval.runs.folder import RunData
from training.mini import gates
from training.mini.gates import RUNS, measure

SIZES = {"224": 252, "448": 504, "672": 756, "native": 1260}
COUNT = 40


def rows(
    correct: Callable[[float, int], bool], *, zooms: Callable[[float], int] = lambda shown: 0, centred: bool = True
) -> pd.DataFrame:
    """Forty questions about targets of 8 to 96 px at four resolutions; `correct` knows the shown side and the question's number."""
    made = []
    for resolution, width in SIZES.items():
        for number in range(COUNT):
            native = 8 * 12 ** (number / (COUNT - 1))
            shown = native * width / 1260
            made.append({
                "task": f"cof_vstar_mini_{resolution}", "resolution": resolution, "question_id": str(number), "cluster": str(number),
                "category": "direct_attributes" if number % 5 < 3 else "relative_position", "options": 4 if number % 5 < 3 else 2,
                "correct": float(correct(shown, number)), "zooms": zooms(shown), "native_px": native, "shown_px": shown, "centred": centred,
            })  # fmt: skip
    return pd.DataFrame(made)


def reads(shown: float, number: int) -> bool:
    """What is at least 14 px is read; of the rest, as many are guessed as chance has it."""
    return shown >= 14 or number % (4 if number % 5 < 3 else 2) == 0


def runs(**changed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    zoomer = rows(lambda shown, number: True, zooms=lambda shown: 1)
    ideal = {
        "base": rows(reads),
        "sft": zoomer,
        "sft_shown": zoomer,
        "sft_blank": rows(reads, zooms=lambda shown: 1),
        "sft_random": rows(reads, zooms=lambda shown: 1),
        "rl": rows(lambda shown, number: True, zooms=lambda shown: int(shown < 14)),
    }
    return {**ideal, **changed}


def verdicts(found: dict[str, pd.DataFrame]) -> dict[str, bool | None]:
    return {
        f"{gate.name}; {gate.of.split(' below')[0] if 'tiny' in gate.name else ''}": gate.reached for gate in measure(found)
    }


@pytest.mark.slow
def test_a_model_that_zooms_well_reaches_every_gate() -> None:
    assert set(runs()) == set(RUNS)
    assert {name for name, reached in verdicts(runs()).items() if not reached} == set()


def test_figures_are_those_of_the_rows() -> None:
    by_name = {gate.name: gate for gate in measure(runs())}
    helped = by_name["zooming helps, native crops"]
    base = runs()["base"]
    small = base[base["resolution"].isin(["224", "448"]) & (base["shown_px"] < 14)]
    assert helped.value == pytest.approx(1 - small["correct"].mean())
    assert helped.low < helped.value < helped.high
    assert f"n = {len(small)}:" in helped.of
    assert by_name["blank crops lose the gain"].value == pytest.approx(1)
    assert by_name["RL zooms less"].value == pytest.approx(1 - runs()["rl"]["zooms"].sum() / (4 * COUNT))


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"base": rows(lambda shown, number: number % 2 == 0)}, "base reads what is large"),
        ({"base": rows(lambda shown, number: True)}, "zooming helps, native crops"),
        ({"sft": rows(lambda shown, number: True, zooms=lambda shown: 1, centred=False)}, "crops hold the target's centre"),
        ({"sft_shown": rows(reads)}, "zooming helps, shown crops"),
        ({"sft_blank": rows(lambda shown, number: True)}, "blank crops lose the gain"),
        ({"rl": rows(lambda shown, number: True, zooms=lambda shown: 1)}, "RL zooms less"),
        ({"rl": rows(lambda shown, number: number % 3 > 0)}, "RL against SFT"),
        (
            {"rl": rows(lambda shown, number: True, zooms=lambda shown: int(shown > 14))},
            "RL zooms more where targets are small",
        ),
    ],
)
def test_a_gate_is_missed_where_the_runs_do_not_show_it(changed: dict[str, pd.DataFrame], missed: str) -> None:
    by_name = {gate.name: gate.reached for gate in measure(runs(**changed))}
    assert by_name[missed] is False


def test_the_table_says_what_was_missed() -> None:
    said = gates.text(measure(runs(rl=rows(lambda shown, number: True, zooms=lambda shown: 1))))
    assert "| RL zooms less | 0.0% |  | ≥ 25% | **no** |" in said
    assert said.count("\n") == len(measure(runs())) + 2


def test_missing_runs_are_told_in_a_line(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert gates.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_unfinished_run_is_told_in_a_line() -> None:
    row = Row("cof_vstar_mini_224", 0, "1", "vstar_mini", "224", 0, "key", 50_176)
    with pytest.raises(RunError, match="sft is unfinished"):
        gates.table(RunData(Path("sft"), {}, (row,), {}, {}, 1))
