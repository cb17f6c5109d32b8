import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from PIL import Image, ImageColor

from cof_eval.core.records import Outcome
from cof_eval.core.resolution import SWEEP
from cof_eval.report.plots.style import LOOKS, save, spread
from cof_eval.report.plots.sweep import sweep_figure
from cof_eval.report.published import load_published
from cof_eval.report.summary import sweep_table

pytestmark = pytest.mark.slow

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED
NAMES = [resolution.name for resolution in SWEEP]
PUBLISHED = load_published(Path(__file__).parents[2] / "results" / "published")


@pytest.fixture
def sweep(make_run, asked) -> Callable[..., pd.DataFrame]:
    """The sweep table of a run with `right` of `n` questions right at each resolution."""

    def build(label: str = "model · cof", *, n: int = 4, right: int = 3, names=(*NAMES, "native"), **each) -> pd.DataFrame:
        questions = (asked(f"q{i}", name, RIGHT if i < right else WRONG, **each) for name in names for i in range(n))
        return sweep_table(make_run(*questions, label=label))

    return build


def curve(figure: Figure, panel: int, label: str):
    """The errorbar container with this label in a panel."""
    return next(container for container in figure.axes[panel].containers if container.get_label() == label)


def texts(figure: Figure) -> list[Text]:
    """Every text that is drawn; ticks beyond an axis' ends exist but are not."""
    figure.canvas.draw()
    found = [*figure.texts, *(text for each in figure.legends for text in each.get_texts())]
    for axes in figure.axes:
        found += axes.texts
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            found += [axis.label, *(tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def margin_labels(figure: Figure, panel: int) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts if isinstance(text, Annotation)]


def test_eight_resolutions_are_the_ticks_of_a_log_axis_that_the_panels_share(sweep) -> None:
    figure = sweep_figure(sweep())
    figure.canvas.draw()
    assert len(figure.axes) == 3
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert figure.axes[2].get_xscale() == "log"
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == [
        "224",
        "336",
        "448",
        "672",
        "1024",
        "1920",
        "2560",
        "4k",
    ]
    assert list(figure.axes[2].get_xticks()) == [resolution.side for resolution in SWEEP]


def test_panels_are_aligned(sweep) -> None:
    boxes = [axes.get_position() for axes in sweep_figure(sweep(), PUBLISHED).axes]
    assert len({(round(box.x0, 9), round(box.x1, 9)) for box in boxes}) == 1
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_accuracy_is_drawn_in_percent_from_0_to_100_with_its_interval(sweep) -> None:
    table = sweep(n=4, right=3)
    figure = sweep_figure(table)
    line, _, (bars,) = curve(figure, 0, "model · cof").lines
    assert figure.axes[0].get_ylim() == (0, 100)
    assert list(line.get_ydata()) == [75.0] * 8
    low, high = bars.get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((100 * table["acc_low"][0], 100 * table["acc_high"][0]))


def test_native_is_not_drawn(sweep) -> None:
    assert len(curve(sweep_figure(sweep()), 0, "model · cof").lines[0].get_xdata()) == 8
    assert not sweep_figure(sweep(names=("native",))).axes[0].containers


def test_zooms_and_tokens_are_drawn_as_means(sweep) -> None:
    figure = sweep_figure(sweep(zooms=2, output_tokens=10, visual_tokens=300))
    assert set(curve(figure, 1, "model · cof").lines[0].get_ydata()) == {2.0}
    assert set(curve(figure, 2, "model · cof: visual").lines[0].get_ydata()) == {300.0}
    assert set(curve(figure, 2, "model · cof: text").lines[0].get_ydata()) == {30.0}
    assert margin_labels(figure, 2) == ["visual", "text"]


def test_runs_differ_in_colour_marker_and_fill(sweep) -> None:
    figure = sweep_figure(pd.concat([sweep("a"), sweep("b", right=1)], ignore_index=True))
    first, second = (curve(figure, 0, name).lines[0] for name in "ab")
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()
    assert first.get_markerfacecolor() == first.get_color()
    assert second.get_markerfacecolor() == "white"
    assert legend(figure) == ["a", "b"]


def test_neighbouring_runs_differ_in_greyscale() -> None:
    lightness = [ImageColor.getcolor(color, "L") for color, _, _ in LOOKS]
    assert abs(lightness[0] - lightness[1]) > 40
    assert all(filled != other for (_, _, filled), (_, _, other) in pairwise(LOOKS))
    assert len({marker for _, marker, _ in LOOKS}) == len(LOOKS)


def test_two_runs_at_one_resolution_stand_beside_each_other(sweep) -> None:
    figure = sweep_figure(pd.concat([sweep("a"), sweep("b")], ignore_index=True))
    left, right = (curve(figure, 0, name).lines[0].get_xdata() for name in "ab")
    assert all(a < resolution.side < b < 1.05 * a for a, b, resolution in zip(left, right, SWEEP, strict=True))


def test_published_curves_are_thin_grey_and_named_beside_their_end(sweep) -> None:
    figure = sweep_figure(sweep(), PUBLISHED)
    lines = [line for line in figure.axes[0].lines if line.get_label().endswith("(published)")]
    assert [line.get_label() for line in lines] == ["Qwen2.5-VL-7B (published)", "Adaptive-CoF-7B (published)"]
    assert all(line.get_linewidth() < 1 for line in lines)
    assert list(lines[1].get_ydata())[-1] == 89.53
    assert margin_labels(figure, 0) == ["Qwen2.5-VL-7B", "Adaptive-CoF-7B"]
    assert margin_labels(figure, 1) == ["Adaptive-CoF-7B"]
    assert legend(figure)[-1] == "published by others, in other harnesses"


def test_one_model_has_one_dash_pattern_in_every_panel(sweep) -> None:
    figure = sweep_figure(sweep(), PUBLISHED)
    styles = {
        line._unscaled_dash_pattern
        for axes in figure.axes
        for line in axes.lines
        if line.get_label() == "Adaptive-CoF-7B (published)"
    }
    assert len(styles) == 1


def test_figures_of_other_benchmarks_and_single_results_are_no_curves(sweep) -> None:
    others = PUBLISHED[PUBLISHED["resolution"] == ""]
    assert not margin_labels(sweep_figure(sweep(), others), 0)
    assert not margin_labels(sweep_figure(sweep(), PUBLISHED.assign(benchmark="hrbench4k")), 0)


def test_chance_is_a_level_where_it_is_known(sweep) -> None:
    figure = sweep_figure(sweep(), chance=0.3495)
    assert [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_label() == "chance"] == [pytest.approx(34.95)]
    assert margin_labels(figure, 0) == ["chance 35%"]
    assert margin_labels(sweep_figure(sweep()), 0) == []


def test_the_upper_bound_is_marked_only_where_answers_are_unscored(make_run, asked) -> None:
    table = sweep_table(make_run(asked("a", "224", RIGHT), asked("b", "224", UNSCORED), asked("a", "448", RIGHT)))
    figure = sweep_figure(table)
    (mark,) = [line for line in figure.axes[0].lines if line.get_label() == "upper bound"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([224], [100])
    assert "unscored" in figure.texts[0].get_text()


def test_the_note_tells_n_the_intervals_and_the_caveats(sweep) -> None:
    note = " ".join(sweep_figure(sweep(n=12), caveats=["random weights", "unfinished"]).texts[0].get_text().split())
    assert note.startswith("vstar: n = 12 per resolution.")
    assert "Wilson" in note
    assert note.endswith("Note: random weights; unfinished.")


def test_differing_n_are_told_as_a_range(sweep) -> None:
    table = pd.concat([sweep("a", n=4), sweep("b", n=9)], ignore_index=True)
    assert "n = 4–9 " in sweep_figure(table).texts[0].get_text()


def test_equal_zooms_and_zero_zooms_have_a_readable_axis(sweep) -> None:
    for zooms in (0, 1):
        low, high = sweep_figure(sweep(zooms=zooms)).axes[1].get_ylim()
        assert low < 0
        assert 1 < high < 1.5


def test_nothing_answered_is_said_in_the_figure(make_run, asked) -> None:
    for run in (make_run(), make_run(asked("a", "224", None, stop=None))):
        figure = sweep_figure(sweep_table(run), PUBLISHED)
        assert "no results yet" in [text.get_text() for text in figure.axes[0].texts]
        figure.canvas.draw()


def test_a_single_answer_is_a_point(make_run, asked) -> None:
    figure = sweep_figure(sweep_table(make_run(asked("a", "4k", RIGHT))))
    figure.canvas.draw()
    assert list(curve(figure, 0, "model · cof").lines[0].get_ydata()) == [100]


CROWD = ["x" * 300, "W" * 90 + " · cof_released", "_$x^2$ | <b>\nbold</b>", "b", "c", "d", "a seventh run"]


def test_no_text_is_clipped_and_no_two_overlap(sweep) -> None:
    table = pd.concat([sweep(name, zooms=i, output_tokens=10 + i) for i, name in enumerate(CROWD)], ignore_index=True)
    figure = sweep_figure(table, PUBLISHED, chance=0.88, caveats=["W" * 400, *CROWD] * 4)
    boxes = {text: text.get_window_extent() for text in texts(figure)}
    for text, box in boxes.items():
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, f"{text.get_text()!r} is clipped"
    for (one, a), (other, b) in combinations(boxes.items(), 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 + 2 or b.y1 <= a.y0 + 2
        assert apart, f"{one.get_text()!r} overlaps {other.get_text()!r}"


def test_names_are_drawn_as_text_and_never_hidden(sweep) -> None:
    figure = sweep_figure(pd.concat([sweep("_hidden"), sweep("$x^2$\nsecond line")], ignore_index=True))
    figure.canvas.draw()
    assert [text.strip() for text in legend(figure)] == ["_hidden", "$x^2$ second line"]
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())


@given(st.lists(st.floats(-50, 250), max_size=8))
def test_spread_labels_keep_their_order_and_distance_within_the_panel(heights: list[float]) -> None:
    placed = spread(heights, gap=9, low=3, high=200)
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    assert all(placed[b] - placed[a] >= 9 - 1e-6 for a, b in pairwise(order))
    assert all(3 - 1e-6 <= height <= 200 + 1e-6 for height in placed)


def test_labels_that_do_not_touch_stay_where_they_are() -> None:
    assert spread([50, 10, 100], gap=9, low=3, high=200) == [50, 10, 100]


def test_two_labels_at_one_height_part_evenly() -> None:
    assert spread([50, 50], gap=10, low=0, high=100) == [45, 55]


def test_png_and_svg_are_written_at_the_figures_size(sweep, tmp_path: Path) -> None:
    png, svg = save(sweep_figure(sweep(), PUBLISHED, caveats=["random weights"]), tmp_path / "sweep.png")
    assert (png.name, svg.name) == ("sweep.png", "sweep.svg")
    with Image.open(png) as image:
        width, height = image.size
        assert (width, image.format) == (1320, "PNG")  # 6 inches at 220 dpi
        assert 1200 < height < 1700
        assert len(image.convert("RGB").getcolors(10**6)) > 100
    assert "<svg" in svg.read_text()[:600]


def test_the_same_run_gives_the_same_bytes(sweep, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save(sweep_figure(sweep(), PUBLISHED), tmp_path / folder / "sweep.png")
    for name in ("sweep.png", "sweep.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_drawing_leaves_matplotlib_as_it_was(sweep, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save(sweep_figure(sweep(), PUBLISHED), tmp_path / "sweep.png")
    assert dict(mpl.rcParams) == before


def test_drawing_needs_no_pyplot(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import pandas as pd; import cof_eval.report\n"
        "from cof_eval.report.plots import style, sweep\n"
        "from cof_eval.report.summary import SWEEP_COLUMNS\n"
        "style.save(sweep.sweep_figure(pd.DataFrame(columns=list(SWEEP_COLUMNS))), Path(sys.argv[1]))\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "sweep")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
