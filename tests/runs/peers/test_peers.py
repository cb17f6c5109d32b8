"""Protocols against what the peers' own code did."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cof_eval.agent.protocols import PROTOCOLS, parse_protocol
from cof_eval.agent.showing import look
from cof_eval.cli.peers import main
from cof_eval.core.errors import DataError
from cof_eval.core.resolution import NATIVE, Filter
from cof_eval.runs.peers.compare import QWEN25
from cof_eval.runs.peers.known import FILES
from cof_eval.runs.peers.report import check_protocol, report_text
from cof_eval.runs.peers.script import play
from cof_eval.runs.peers.table import BEGIN, END, write_table
from cof_eval.runs.peers.vectors import load_vectors, synthetic

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def vectors() -> Path:
    """What the peers' code did, for some 900 inputs."""
    folder = SHARED / "peer_vectors"
    if not folder.is_dir():
        pytest.skip("../shared/data/peer_vectors is absent: this test compares protocols with it")
    return folder


QUICK = ("deepeyes_tool",)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in FILES])
def test_a_protocol_with_a_peers_name_does_what_the_peers_code_does(name: str, vectors: Path) -> None:
    report = check_protocol(PROTOCOLS[name], [vectors / f"{FILES[name]}.jsonl"])
    assert {kind: report.differing_of(kind) for kind in ("shown", "crop", "judge")} == {"shown": 0, "crop": 0, "judge": 0}
    assert report.differing_of("turn") <= 0.05 * report.counts["turn"]
    unexplained = [each for each in report.differing if not each.reason]
    assert not unexplained, report_text(report, show=5)


def dialogues() -> Iterator[dict[str, object]]:
    file = SHARED / "real_replies" / "deepeyes_dialogues.jsonl.gz"
    if not file.is_file():
        pytest.skip("../shared/data/real_replies is absent: this test replays recorded dialogues")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.slow
def test_the_recorded_dialogues_of_deepeyes_give_the_recorded_answers() -> None:
    protocol, image = PROTOCOLS["deepeyes_released"], synthetic(560, 560, 1)
    view = look(image, NATIVE, protocol, protocol.limits(QWEN25))
    differing = [
        (each["pred_ans"], answer)
        for each in dialogues()
        if (answer := play(protocol, QWEN25, view, image, each["turns"]).trajectory.answer) != str(each["pred_ans"]).strip()  # type: ignore[arg-type]
    ]
    assert differing == []


CROP = {
    "kind": "crop", "script": "mine", "id": "1", "name": "a box", "native": [560, 560], "seed": 1, "calls": [{"bbox_2d": [0, 0, 600, 300]}],
    "results": [{"outcome": "error", "next": "text, rollout goes on"}],
}  # fmt: skip


def written(tmp_path: Path, *lines: object) -> Path:
    file = tmp_path / "vectors.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return file


def test_a_protocol_of_ones_own_is_compared_with_ones_own_vectors(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: cof\noutside: clip\n")
    file = written(tmp_path, CROP)
    same, other = check_protocol(PROTOCOLS["cof"], [file]), check_protocol(parse_protocol(str(tmp_path / "mine.yaml")), [file])
    assert (same.counts["crop"], same.differing) == (1, [])
    assert [each.way for each in other.differing] == ["peer: text, rollout goes on; ours: a crop"]
    text = report_text(other, show=1)
    assert "crop         1      0          1" in text
    assert "[0, 0, 600, 300]" in text
    assert "[0, 0, 600, 300]" not in report_text(other, show=0)


def test_lines_of_another_script_are_passed_over_and_counted(tmp_path: Path) -> None:
    file = written(tmp_path, {**CROP, "script": "eval/eval_hrbench.py@1"}, CROP)
    report = check_protocol(PROTOCOLS["cof"], [file], script="mine")
    assert report.counts["crop"] == 1
    assert "1 lines of eval/eval_hrbench.py were passed over: cof-eval protocols deepeyes_hrbench" in report_text(
        report, show=0
    )
    with pytest.raises(DataError, match=r"scripts in these files: eval/eval_hrbench.py, mine"):
        check_protocol(PROTOCOLS["cof"], [file], script="nobody's")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not JSON", "line 1: expected a JSON object with a kind"),
        ("[" * 5000, "line 1: expected a JSON object"),
        ({"kind": "shove"}, "kind of shown, crop, turn, limits, judge"),
        ({"kind": "shown", "native": [5, 5]}, "needs outcome"),
        ({**CROP, "native": [1 << 40, 1 << 40]}, "is no size"),
        ({**CROP, "native": "5x5"}, "is no size"),
        ({**CROP, "calls": [7]}, "cannot be used"),
        ({**CROP, "results": [{"outcome": "image"}]}, "cannot be used"),
        ({**CROP, "seed": "x"}, "cannot be used"),
    ],
)
def test_a_damaged_vectors_file_is_one_line(line: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as caught:
        check_protocol(PROTOCOLS["cof"], [written(tmp_path, line)])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.jsonl cannot be read: No such file"):
        list(load_vectors(tmp_path / "nowhere.jsonl"))


def test_the_table_stands_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "protocols.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(DataError, match="once each"):
        write_table(page, "new")
    assert main([]) == 2
    assert main([str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize("change", [{"crop_filter": Filter.LANCZOS}, {"pad": 0.01}])
def test_pixels_and_edges_that_differ_are_found(change: dict[str, object], vectors: Path, tmp_path: Path) -> None:
    """The comparison itself: a setting turned is seen."""
    lines = [line for line in load_vectors(vectors / "deepeyes_released.jsonl") if line["kind"] == "crop"]
    small = [line for line in lines if line["native"][0] * line["native"][1] <= 1_500_000]
    report = check_protocol(replace(PROTOCOLS["deepeyes_hrbench"], **change), [written(tmp_path, *small)])  # type: ignore[arg-type]
    assert report.differing_of("crop") == report.counts["crop"] >= 5
