"""What zooming is worth, against a count of its own: plain Python over questions."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from cof_eval.core.records import Outcome
from cof_eval.report import report_runs
from cof_eval.report import write_report as write_reported
from cof_eval.report.names import MEAN
from cof_eval.report.worth_text import worth_lines, worth_text
from cof_eval.report.zoom_worth import gaps, same_but_crops, worth_of, zooming_beside_direct

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED
DIRECT = {"name": "direct", "temperature": 0.0}
SAME = {"pretrained": "m", "fingerprint": "f"}


def outcome(right: float) -> Outcome:
    return UNSCORED if math.isnan(right) else RIGHT if right else WRONG


@pytest.fixture
def zooming(make_run, asked):
    """A run with these (zoomed, right) by question, the same at each resolution."""

    def build(answers, label="ours", names=("448",), model=SAME, protocol=None, **settings):
        rows = (
            asked(f"q{i}", name, outcome(right), zooms=int(zoomed))
            for name in names
            for i, (zoomed, right) in enumerate(answers)
        )
        protocol = {"name": "cof", "crops": "real", **(protocol or {})}
        return make_run(*rows, label=label, model=model, protocol=protocol, **settings)

    return build


@pytest.fixture
def direct(make_run, asked):
    """A baseline with these samples by question: rotations, or repeats."""

    def build(samples, label="base", names=("448",), model=SAME, temperature=0.0, repeats=False, keys="", **settings):
        rows = [
            asked(
                f"q{i}" if repeats or not k else f"q{i}~{k}", name, outcome(right), repeat=k if repeats else 0,
                key=f"{keys} {i} {k} {name}" if keys else "",
            )
            for name in names
            for i, each in enumerate(samples)
            for k, right in enumerate(each)
        ]  # fmt: skip
        order = {} if repeats else {"option_order": "rotated:2"}
        return make_run(*rows, label=label, model=model, protocol={**DIRECT, "temperature": temperature}, **order, **settings)

    return build


def worth(*runs) -> pd.DataFrame:
    (table,) = worth_of(report_runs(runs))
    return table.set_index("resolution")


SAMPLES = [(1, 1), (0, 0), (0, 1), (1, 0), (0, 0), (1, 1)]
ANSWERS = [(0, 1), (1, 1), (1, 1), (1, 0), (0, 0), (1, 1)]


def test_the_terms_of_two_samples_are_those_of_the_audit(zooming, direct) -> None:
    line = worth(zooming(ANSWERS), direct(SAMPLES)).loc["448"]
    assert line["call_floor"] == pytest.approx(1 / 6)
    assert (line["call_gain"] - line["call_floor"], line["call_harm"] - line["call_floor"]) == pytest.approx((1 / 12, -1 / 12))
    assert (line["net"], line["samples"], line["only_with_tool"], line["n"]) == pytest.approx((1 / 6, 2, 1, 6))


def test_one_sample_has_the_terms_and_no_floor(zooming, direct) -> None:
    line = worth(zooming(ANSWERS), direct([each[:1] for each in SAMPLES])).loc["448"]
    assert (line["call_gain"], line["call_harm"], line["still_gain"], line["still_harm"]) == pytest.approx((1 / 3, 1 / 6, 0, 0))
    assert math.isnan(line["call_floor"])
    assert math.isnan(line["mcc"])


def test_the_four_terms_add_up_to_the_difference_and_rates_are_counted(zooming, direct) -> None:
    random = np.random.default_rng(4)
    answers, samples = random.integers(0, 2, (60, 2)), random.integers(0, 2, (60, 1))
    line = worth(zooming(answers), direct(samples)).loc["448"]
    kinds = [(int(d), int(z), int(c)) for (z, c), (d,) in zip(answers, samples, strict=True)]
    count = {kind: kinds.count(kind) for kind in set(kinds)}
    gain, harm = count[0, 1, 1], count[1, 1, 0]
    zoomed = sum(z for _, z, _ in kinds)
    needed = sum(not d for d, _, _ in kinds)
    hits = sum(z and not d for d, z, _ in kinds)
    assert line["net"] * 60 == pytest.approx(gain - harm)
    terms = line["call_gain"] - line["call_harm"] + line["still_gain"] - line["still_harm"]
    assert terms == pytest.approx(fmean(c - d for d, _, c in kinds))
    assert (line["helpful"], line["harmful"]) == pytest.approx((gain / zoomed, harm / zoomed))
    assert (line["precision"], line["recall"]) == pytest.approx((hits / zoomed, hits / needed))
    assert line["f1"] == pytest.approx(2 * hits / (zoomed + needed))
    assert line["only_with_tool"] == gain


def test_matthews_coefficient_equals_the_one_of_the_counts_where_samples_agree(zooming, direct) -> None:
    from sklearn.metrics import matthews_corrcoef

    random = np.random.default_rng(8)
    need = random.integers(0, 2, 80)
    zoomed = np.where(random.random(80) < 0.7, need, 1 - need)
    line = worth(zooming([(z, 1) for z in zoomed]), direct([(1 - n, 1 - n) for n in need])).loc["448"]
    assert line["mcc"] == pytest.approx(matthews_corrcoef(need, zoomed))
    assert line["mcc_low"] < line["mcc"] < line["mcc_high"]


def test_matthews_coefficient_is_withheld_where_need_hardly_varies(zooming, direct) -> None:
    samples = [(1, 1)] * 59 + [(0, 0)]
    assert math.isnan(worth(zooming([(i % 2, 1) for i in range(60)]), direct(samples)).loc["448"]["mcc"])


@pytest.mark.parametrize(("temperature", "samples"), [(0.0, 1), (0.7, 2)])
def test_repeats_are_samples_only_if_they_can_differ(zooming, direct, temperature, samples) -> None:
    table = worth(zooming(ANSWERS), direct(SAMPLES, repeats=True, temperature=temperature))
    assert table.loc["448"]["samples"] == samples


@pytest.mark.parametrize(("keys", "samples"), [("", 1), ("another seed", 2)])
def test_two_runs_of_one_baseline_are_two_samples_unless_they_are_the_same_work(zooming, direct, keys, samples) -> None:
    first, second = direct([each[:1] for each in SAMPLES], "base"), direct([each[1:] for each in SAMPLES], "again", keys=keys)
    line = worth(zooming(ANSWERS), first, second).loc["448"]
    assert (line["samples"], line["baseline"]) == (samples, "base and again")
    if samples == 2:
        assert line["net"] == pytest.approx(1 / 6)


def test_each_resolution_weighs_the_same_in_the_mean(zooming, direct) -> None:
    names = ("224", "448", "4k")
    table = worth(zooming(ANSWERS, names=names), direct(SAMPLES, names=names))
    assert list(table.index) == [*names, MEAN]
    assert table.loc[MEAN]["net"] == pytest.approx(1 / 6)
    assert table.loc[MEAN]["clusters"] == 6
    assert table.loc[MEAN]["net_high"] - table.loc[MEAN]["net_low"] == pytest.approx(
        table.loc["448"]["net_high"] - table.loc["448"]["net_low"], rel=0.15
    )  # three times the rows of the same images say no more


def test_what_is_unscored_is_counted_and_not_used(zooming, direct) -> None:
    nan = float("nan")
    line = worth(zooming([*ANSWERS, (1, nan), (0, 1)]), direct([*SAMPLES, (1, 1), (nan, nan)])).loc["448"]
    assert (line["n"], line["unscored"]) == (6, 2)
    assert line["net"] == pytest.approx(1 / 6)


def test_a_question_with_one_scored_sample_is_in_the_terms_and_not_in_the_floor(zooming, direct) -> None:
    table = worth(zooming([*ANSWERS, (1, 1)]), direct([*SAMPLES, (0, float("nan"))]))
    line = table.loc["448"]
    assert (line["n"], line["two_samples"], line["samples"]) == (7, 6, pytest.approx(13 / 7))
    assert line["call_floor"] == pytest.approx(1 / 6)
    assert line["net"] == pytest.approx(2 / 7)


def test_a_run_is_set_next_to_its_own_checkpoint_first(zooming, direct) -> None:
    other = direct(SAMPLES, "other", model={"pretrained": "x", "fingerprint": "x"})
    runs = report_runs([zooming(ANSWERS), other, direct(SAMPLES)])
    ((run, baselines),) = zooming_beside_direct(runs)
    assert (run.label, [each.label for each in baselines]) == ("ours", ["base"])
    ((_, baselines),) = zooming_beside_direct(runs[:2])
    assert [each.label for each in baselines] == ["other"]
    assert "(another checkpoint: training is part of it)" in worth_lines(runs[:2])[0]
    assert "another checkpoint" not in worth_lines(runs)[0]


def test_without_a_direct_run_nothing_is_said(zooming) -> None:
    assert list(worth_text(report_runs([zooming(ANSWERS), zooming(ANSWERS, "b")]))) == []


def test_what_a_perfect_zoom_would_add_is_the_gap(zooming, direct) -> None:
    target = zooming([(0, 1)] * 6, "target", view="target")
    runs = report_runs([zooming(ANSWERS, view="full"), direct(SAMPLES), target])
    assert [(a.label, b.label) for a, b in gaps(runs)] == [("target", "ours")]
    assert len(worth_of(runs)) == 1  # a part of the image is no direct answer
    text = "\n".join(worth_text(runs))
    assert "### Zooming gap: target minus ours" in text
    assert "| vstar | 448 | 6 | 100.0 | 66.7 | +33.3 [" in text


@pytest.mark.slow
def test_counterfactual_crops_are_one_table_with_real_ones_first(zooming) -> None:
    runs = [zooming(ANSWERS)]
    for crops in ("oracle", "withheld", "random", "blank"):
        runs.append(zooming([(1, i < 2) for i in range(6)], crops, protocol={"name": f"cof+crops={crops}", "crops": crops}))
    runs.append(zooming(ANSWERS, "narrow", protocol={"crops": "blank", "widen": 1.0}))  # differs in more
    ((real, others),) = same_but_crops(report_runs(runs))
    assert (real.label, [each.label for each in others]) == ("ours", ["oracle", "withheld", "random", "blank"])
    lines = [line for line in "\n".join(worth_text(report_runs(runs))).splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == ["real", "blank", "random", "withheld", "oracle"]
    assert "| +33.3 [" in lines[3]


@pytest.mark.slow
def test_the_report_has_the_table_the_figure_and_the_sentence(zooming, direct, tmp_path: Path) -> None:
    names = ("224", "448")
    runs = report_runs([zooming(ANSWERS, names=names), direct(SAMPLES, names=names)])
    paths = {path.name for path in write_reported(runs, tmp_path)}
    assert {"worth.csv", "worth.png", "worth.svg"} <= paths
    stored = pd.read_csv(tmp_path / "worth.csv")
    assert list(stored["net"]) == pytest.approx([1 / 6] * 3, abs=1e-5)
    said = "ours on vstar: zooms are worth +16.7 ["
    assert said in (tmp_path / "summary.md").read_text()
    assert said in (tmp_path / "report.md").read_text()
    assert said in (tmp_path / "index.html").read_text()
    assert "noise alone would show 16.7 of each" in worth_lines(runs)[0]
