"""The estimate in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from cof_eval.runs.estimate import Pace, Prices, Sample, Span, Work, estimate
from cof_eval.runs.estimate_text import Told, amount, duration, estimate_line, estimate_lines, estimate_rows
from cof_eval.runs.rates import Rates


def told(
    resolutions: tuple[str, ...] = ("224", "4k"),
    *,
    seconds: bool = True,
    pilot: tuple[str, ...] = ("224", "4k"),
    counted: bool = False,
    **more: object,
) -> Told:
    work = [
        Work(benchmark="vstar", resolution=r, rollouts=100, shown_tokens=0 if counted else 6400, prompt=Span(1e4, None, 1e6),
             output=Span(100, None, 3e5), visual=Span(0, None, 0) if counted else Span(6400, None, 1e5))
        for r in resolutions
    ]  # fmt: skip
    samples = {
        ("vstar", r): [
            Sample(cluster=str(i), wall_s=36.0, prompt_tokens=1000, output_tokens=50, crop_tokens=10) for i in range(10)
        ]
        for r in pilot
    }
    pace = Pace(under_way=10.0, startup_s=Span(60, 60, 60)) if seconds else None
    rates = Rates(run=Path("runs/pilot"), own=False, samples=samples, pace=pace, rollouts=20, differences=(), on_gpus=True)
    found = estimate(work, samples, pace, concurrency=10)
    return Told(estimate=found, rates=rates if pilot else None, **more)  # type: ignore[arg-type]


def test_one_line_says_time_tokens_and_where_the_rates_come_from() -> None:
    assert estimate_line(told()) == "estimate: 12 min, 200 k tokens in, 10 k out; rates of runs/pilot"


def test_without_rates_the_line_says_how_to_get_them() -> None:
    line = estimate_line(told(pilot=()))
    assert line.startswith(
        "estimate: 20 k – 2 M tokens in, 200 – 600 k out (from one turn a rollout to the protocol's last). To know seconds"
    )
    assert "--limit 10" in line
    assert "\n" not in line


def test_visual_tokens_that_nobody_predicts_are_no_zero() -> None:
    unknown = told(pilot=(), counted=True)
    assert "20 k – 2 M tokens in (images aside), " in estimate_line(unknown)
    assert [row[6] for row in estimate_rows(unknown)[1:]] == ["–", "–", "–"]
    assert any("the model's own processor resizes" in line for line in estimate_lines(unknown))
    measured = told(counted=True)  # a pilot has counted them
    assert "images aside" not in estimate_line(measured)
    assert estimate_rows(measured)[1][6] == "1 k"


def test_what_has_no_rates_is_said_and_not_in_the_time() -> None:
    some = told(pilot=("224",))
    assert "6 min, 1 resolutions without rates aside" in estimate_line(some)
    assert estimate_rows(some)[2][3] == "unknown"
    assert any("have no rates" in line for line in estimate_lines(some))
    assert any("no seconds are known" in line for line in estimate_lines(told(seconds=False)))


def test_columns_of_money_and_gpus_are_there_only_where_they_are_known() -> None:
    assert estimate_rows(told())[0][-1] == "visual tokens"
    assert [row[-1] for row in estimate_rows(told(gpus=4))] == ["GPU hours", "0.40", "0.40", "0.80"]
    priced = told(gpus=4, prices=Prices(gpu_hour=2.5))
    assert [row[-1] for row in estimate_rows(priced)] == ["$", "1.00", "1.00", "2.00"]
    assert [row[-1] for row in estimate_rows(told(prices=Prices(million_in=1, million_out=10)))] == [
        "$",
        "0.15",
        "0.15",
        "0.30",
    ]


def test_every_row_has_every_column_and_lines_are_aligned() -> None:
    rows = estimate_rows(told(gpus=1, prices=Prices(gpu_hour=1)))
    assert {len(row) for row in rows} == {9}
    assert [row[:3] for row in rows] == [
        ["benchmark", "resolution", "rollouts"],
        ["vstar", "224", "100"],
        ["vstar", "4k", "100"],
        ["total", "", "200"],
    ]
    assert len({len(line) for line in estimate_lines(told())[:4]}) == 1


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (None, "unknown"),
        (Span(0.2, 0.25, 0.3), "0.2 s (0.2 s – 0.3 s)"),
        (Span(40, 60, 80), "60 s (40 s – 80 s)"),
        (Span(600, 720, 5400), "12 min (10 min – 1.5 h)"),
        (Span(7200, None, 36000), "2.0 h – 10.0 h"),
        (Span(1e6, 1e6, 1e6), "277.8 h"),
    ],
)
def test_durations_have_the_unit_that_fits(span: Span | None, said: str) -> None:
    assert duration(span) == said


@pytest.mark.parametrize(("number", "said"), [(0, "0"), (999, "999"), (1500, "1.5 k"), (2.34e6, "2.34 M"), (1.2e10, "12 G")])
def test_amounts_are_short(number: float, said: str) -> None:
    assert amount(Span(number, number, number)) == said


def test_nothing_to_do_is_said_so() -> None:
    assert estimate_line(told(())) == "estimate: nothing is left to generate"
    assert estimate_lines(told(())) == ["Nothing is left to generate."]
