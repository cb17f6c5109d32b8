"""The other figures of a report: frontier, verdict flow, zoom counts, target size."""

from __future__ import annotations

from itertools import combinations, pairwise

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import ImageColor

from cof_eval.core.records import Outcome, Stop
from cof_eval.core.resolution import SWEEP
from cof_eval.report.compare import paired_table
from cof_eval.report.names import MEAN
from cof_eval.report.plots.counts import OUTCOMES, counts_figure
from cof_eval.report.plots.flow import FLOWS, flow_figure
from cof_eval.report.plots.frontier import frontier_figure
from cof_eval.report.plots.size import size_figure
from cof_eval.report.plots.worth import worth_figure
from cof_eval.report.rows import rows_table
from cof_eval.report.summary import summarize

pytestmark = pytest.mark.slow

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED
HOSTILE = "_$x^2$ | <b>\n" + "W" * 120


@pytest.fixture
def rows(make_run, asked):
    """Rows of a run with `right` of 12 questions right at the eight resolutions."""

    def build(label: str = "model · cof", *, right: int = 9, outcome=WRONG, names=None, **each) -> pd.DataFrame:
        names = names or [resolution.name for resolution in SWEEP]
        tokens = {name: 64 * 2**i for i, name in enumerate(names)}
        questions = (
            asked(f"q{i}", name, RIGHT if i < right else outcome, visual_tokens=tokens[name], **each)
            for name in names
            for i in range(12)
        )
        return rows_table(make_run(*questions, label=label))

    return build


def boxed(rows: pd.DataFrame, side: float) -> pd.DataFrame:
    """The same rows with a target of this side in the shown image."""
    return rows.assign(targets=1, target_px=side * side)


def drawn(figure: Figure) -> list[Text]:
    figure.canvas.draw()
    found = [*figure.texts, *(text for each in figure.legends for text in each.get_texts())]
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [
                tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_visible()
            ]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def check_layout(figure: Figure) -> None:
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn(figure)]
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, f"{text!r} is clipped"
    for (one, a), (other, b) in combinations(boxes, 2):
        apart = a.x1 <= b.x0 + 2 or b.x1 <= a.x0 + 2 or a.y1 <= b.y0 + 2 or b.y1 <= a.y0 + 2
        assert apart, f"{one!r} overlaps {other!r}"


def crowded(rows) -> pd.DataFrame:
    """Four runs that are about as good at about the same price."""
    each = [rows(f"model {i} · cof", right=7 + i % 3, zooms=1 + i % 2, output_tokens=60 + 9 * i) for i in range(4)]
    return pd.concat(each)


def test_four_runs_side_by_side_stay_readable(rows) -> None:
    run = crowded(rows)
    check_layout(frontier_figure(summarize(run), benchmark="vstar"))
    counts = counts_figure(run, benchmark="vstar")
    check_layout(counts)
    names = [text for text in counts.texts if text.get_text().startswith("model ")]
    bars = [axes.get_tightbbox() for axes in counts.axes]
    assert len(names) == 4
    assert not [name.get_text() for name in names if any(name.get_window_extent().overlaps(box) for box in bars)]


def test_the_ends_of_every_curve_of_the_frontier_are_named_first(rows) -> None:
    figure = frontier_figure(summarize(crowded(rows)), benchmark="vstar")
    named = [text.get_text() for text in figure.axes[0].texts]
    assert sum("224" in name for name in named) >= 2
    assert sum("4k" in name for name in named) >= 2


def worth(label: str = "base · direct") -> pd.DataFrame:
    """What zooming is worth at eight resolutions and on their mean, with noise floors."""
    names = [resolution.name for resolution in SWEEP] + [MEAN]
    numbers = {"call_gain": 0.2, "call_harm": 0.05, "call_floor": 0.04, "net": 0.15, "net_low": 0.05, "net_high": 0.3}
    return pd.DataFrame(
        {"run": "model · cof", "baseline": label, "benchmark": "vstar", "resolution": names, "n": 12, **numbers}
    )


def test_gain_stands_above_and_harm_below_and_the_mean_apart() -> None:
    (axes,) = worth_figure(worth(), benchmark="vstar").axes
    gain, harm, above, below = ([bar.get_height() for bar in container] for container in axes.containers[:4])
    assert (gain, harm, above, below) == ([20.0] * 9, [-5.0] * 9, [4.0] * 9, [-4.0] * 9)
    ticks = list(axes.get_xticks())
    assert ticks[-1] - ticks[-2] == 1.5


def test_a_figure_without_two_samples_says_that_noise_is_unknown() -> None:
    figure = worth_figure(worth().assign(call_floor=float("nan")), benchmark="vstar")
    assert "noise alone" not in [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("what noise would show is unknown" in text.get_text().replace("\n", " ") for text in figure.texts)
    assert worth_figure(worth(), benchmark="pope") is None


@pytest.mark.parametrize("label", ["base · direct", HOSTILE])
def test_no_text_is_clipped_and_no_two_overlap(rows, label: str) -> None:
    ours, theirs = rows(zooms=2, output_tokens=7), rows(label, right=3, zooms=1)
    both = pd.concat([boxed(ours, 10), boxed(ours.assign(trajectory=ours["trajectory"] + "x"), 100), boxed(theirs, 20)])
    figures = [
        frontier_figure(summarize(pd.concat([ours, theirs])), benchmark="vstar", caveats=[label]),
        counts_figure(both, benchmark="vstar", caveats=[label]),
        flow_figure(paired_table(ours, theirs), "model · cof", label, benchmark="vstar", caveats=[label]),
        size_figure(both, benchmark="vstar", caveats=[label]),
        worth_figure(worth(label), benchmark="vstar", caveats=[label]),
    ]
    for figure in figures:
        assert figure is not None
        check_layout(figure)


def test_the_frontier_has_a_point_per_resolution_at_its_tokens(rows) -> None:
    figure = frontier_figure(summarize(rows(output_tokens=36)), benchmark="vstar")
    line = figure.axes[0].containers[0].lines[0]
    assert list(line.get_xdata()) == [36 + 64 * 2**i for i in range(8)]
    assert set(line.get_ydata()) == {75.0}
    names = sorted(figure.axes[0].texts, key=lambda text: text.xy[0])
    assert [text.get_text() for text in names] == [resolution.name for resolution in SWEEP]


def test_points_that_lie_together_share_a_name(make_run, asked) -> None:
    run = rows_table(
        make_run(*(asked("q", name, RIGHT, visual_tokens=v) for name, v in (("224", 60), ("2560", 900), ("4k", 905))))
    )
    figure = frontier_figure(summarize(run), benchmark="vstar")
    assert [text.get_text() for text in figure.axes[0].texts] == ["224", "2560–4k"]


def test_the_flow_adds_up_to_the_questions(rows) -> None:
    pairs = paired_table(rows(right=9, names=["224"]), rows("base", right=4, names=["224"]))
    figure = flow_figure(pairs, "ours", "base", benchmark="vstar")
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    assert widths == [4, 5, 3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["both right", "only ours", "only base", "both wrong"]
    assert "+41.7, p = 0.062" in [text.get_text() for text in figure.axes[0].texts]


def test_unscored_pairs_are_a_part_of_the_flow(rows) -> None:
    pairs = paired_table(rows(right=9, names=["224"], outcome=UNSCORED), rows("base", right=12, names=["224"]))
    figure = flow_figure(pairs, "ours", "base", benchmark="vstar")
    assert [patch.get_width() for patch in figure.axes[0].patches] == [9, 3]
    assert figure.legends[0].get_texts()[-1].get_text() == "a side unscored"


def test_zoom_counts_are_shares_of_a_resolutions_rows(make_run, asked) -> None:
    zooms = [0, 0, 1, 3]
    run = rows_table(make_run(*(asked(f"q{i}", "448", RIGHT if i else WRONG, zooms=k) for i, k in enumerate(zooms))))
    (axes,) = counts_figure(run, benchmark="vstar").axes
    right, wrong, _ = ([bar.get_height() for bar in container] for container in axes.containers)
    assert (right, wrong) == ([25, 25, 0, 25], [25, 0, 0, 0])


def test_a_run_that_never_zooms_is_named_and_not_drawn(rows) -> None:
    figure = counts_figure(pd.concat([rows(zooms=1, names=["224"]), rows("base", names=["224"])]), benchmark="vstar")
    assert len(figure.axes) == 1
    assert any("Never zoomed: base." in text.get_text() for text in figure.texts)


def test_rollouts_that_the_engine_broke_off_are_not_counted(make_run, asked) -> None:
    run = rows_table(make_run(asked("a", "224", UNSCORED, stop=Stop.ERROR), asked("b", "224", RIGHT)))
    (axes,) = counts_figure(run, benchmark="vstar").axes
    assert [bar.get_height() for bar in axes.containers[0]] == [100, 0][:1]


def test_accuracy_by_size_pools_the_resolutions_and_counts_a_trajectory_once(rows) -> None:
    run = boxed(rows(names=["224", "448"]), 12)
    run = pd.concat([run, run])
    figure = size_figure(run, benchmark="vstar")
    assert figure is not None
    assert "n=24" in [text.get_text() for text in figure.axes[0].texts]
    line = figure.axes[0].containers[0].lines[0]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([3.5], [75.0])


def test_without_boxes_there_is_no_figure_of_sizes(rows) -> None:
    assert size_figure(rows(), benchmark="vstar") is None


def test_few_rows_make_no_point(rows) -> None:
    figure = size_figure(boxed(rows(names=["224"]), 12)[:4], benchmark="vstar")
    assert figure is not None
    assert not list(figure.axes[0].containers[0].lines[0].get_xdata())


@pytest.mark.parametrize("fills", [[flow[2] for flow in FLOWS[:4]], [outcome[2] for outcome in OUTCOMES[:2]]])
def test_neighbouring_fills_differ_in_greyscale(fills: list[str]) -> None:
    lightness = [ImageColor.getcolor(fill, "L") for fill in fills]
    assert all(abs(a - b) > 30 for a, b in pairwise(lightness))
