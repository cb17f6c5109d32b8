"""Every command of docs/judges.md works, and what it says of cards and pairs is so."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import forked
from fake_server import serve, tiny_checkpoint
from rejudging import again, made
from test_readme import _parses

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.records import from_json
from cof_eval.judging import Card, Pair, card_folder, known_cards, load_pairs
from cof_eval.judging.rules import score
from cof_eval.stats import wilson

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "judges.md").read_text()
PAIRS = load_pairs(card_folder("equivalence"))
COMMANDS = [
    line.split("  #")[0].strip() for block in re.findall(r"```bash\n(.*?)```", DOC, re.DOTALL) for line in block.splitlines()
]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_commands_call_the_server_as_it_wants_to_be_called(command: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if "cof_eval.cli.judge_server" in line]
    words = shlex.split(line.replace("@", ""))[1:]
    dry = subprocess.run([sys.executable, *words, "--dry-run"], capture_output=True, text=True, check=False)
    assert dry.returncode == 0 or "needs about" in dry.stderr
    assert "usage:" not in dry.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if "bin/cof-eval" in c])
def test_cof_eval_commands_name_options_that_exist(command: str) -> None:
    _parses(shlex.split(command))


def test_judging_again_calibrating_and_reporting_run_as_written(tmp_path: Path) -> None:
    run = made(tmp_path / "RUN")
    (tmp_path / "REPLIES.jsonl").write_text('{"question": "Is it red?", "reply": "Yes", "reference": "yes"}\n')
    with serve(models=["judge"]) as server:
        again(run, server)
        written = [c for c in COMMANDS if c.startswith((".venv/bin/cof-eval judge", ".venv/bin/cof-eval report"))]
        assert len(written) == 9
        for command in written:
            words = shlex.split(command.replace("http://127.0.0.1:51232/v1", server.url))[1:]
            done = forked(*words, folder=tmp_path)
            assert done.status in (0, 1), done.err
            assert "Traceback" not in done.err
            if "--calibrate" in words:
                assert f"{len(PAIRS)} labelled pairs" in done.out and "Cohen's kappa" in done.out
            if "--judge-url" not in words and "--calibrate" in words:
                assert done.status == 0 and "not measured here" in done.out


def test_the_doctor_is_run_as_written_and_asks_the_judge(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (command,) = [c for c in COMMANDS if c.startswith(".venv/bin/cof-eval doctor")]
    write_scenes(tmp_path / "vstar", count=2, seed=1)
    with serve(models=["judge"]) as server:
        words = shlex.split(command.replace("http://127.0.0.1:51232/v1", server.url))[1:]
        words[words.index("MODEL")] = str(tiny_checkpoint(tmp_path_factory))
        done = forked(*words, folder=tmp_path, COF_DATA_VSTAR=str(tmp_path / "vstar"))
        assert len(server.judged) == 2  # a right and a wrong pair
    said = [" ".join(line.split()) for line in done.out.splitlines()]
    assert any(line.startswith("ok data of vstar") for line in said), done.err
    assert "ok judge equivalence, served as 'judge' (served name only); it decides a right and a wrong pair rightly" in said
    assert "Traceback" not in done.err


def test_no_other_command_is_left_unchecked() -> None:
    assert [c for c in COMMANDS if not c.startswith(("make judge-server", ".venv/bin/cof-eval "))] == [
        ".venv/bin/python -m cof_eval.cli.judge_server --dry-run"
    ]


def test_every_card_setting_and_card_is_told_and_figures_agree() -> None:
    for name in set(Card.__dataclass_fields__) - {"prompt"}:
        assert f"`{name}`" in DOC, name
    for card in known_cards():
        assert f"| `{card}`" in DOC
    decided = sum(score(pair.answer, pair.ask()).outcome is not None for pair in PAIRS)
    most_wrong = wilson(0, decided).high
    text = DOC.replace("\n", " ")
    assert f"{len(PAIRS)} pairs in thirteen kinds" in text
    assert f"decide {decided} of the {len(PAIRS)} pairs, none of them wrongly" in text
    assert f"wrong decisions: 0 to {most_wrong:.1%})" in text
    (example,) = re.findall(r"```json\n(.*?)\n```", DOC)
    assert from_json(example, Pair).label == json.loads(example)["label"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name run folders"),
        (("RUN", "--calibrate", "strict"), "not both"),
        (("RUN",), "is no run folder"),
        (("--calibrate", "nonesuch"), "unknown judge card 'nonesuch'"),
        (("--calibrate", "strict", "--judge-url", "http://a", "--judge-url", "http://b"), "1 cards and 2 judge URLs"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = forked("judge", *arguments, folder=tmp_path)
    assert done.status == 2
    assert says in done.last
