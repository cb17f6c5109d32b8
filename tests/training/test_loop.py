"""The loop closed: SFT, GRPO on its checkpoint, a sweep of the result, and one report of base, SFT and RL."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from commands import clean_environment

from training.session.metrics import load_metrics
from training.tiny import write_tiny

ROOT = Path(__file__).resolve().parents[2]
SCORED = (0, 1)
"""Of `cof-eval`: 1 where a garbled answer is left to a judge, and there is none."""
WEIGHTS = "model.safetensors"
BIN = Path(sys.executable).parent


def make(target: str, **variables: object) -> None:
    """Run the commands of a target, with this environment's programs in place of the checkout's."""
    words = ["make", "--dry-run", target, *(f"{name}={value}" for name, value in variables.items())]
    planned = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for line in planned.splitlines():
        if ".venv/bin/" in line and "training.tiny" not in line:
            done = subprocess.run(
                line.replace(".venv/bin/", f"{BIN}/"), shell=True, cwd=ROOT, capture_output=True, text=True, timeout=500,
                check=False, env=clean_environment(PYTHONPATH=str(ROOT)),
            )  # fmt: skip
            assert done.returncode in (SCORED if "cof-eval" in line else (0,)), f"{line}\n{done.stderr[-3000:]}"


@pytest.mark.engine
def test_base_sft_and_rl_become_three_curves(tmp_path: Path) -> None:
    tiny, sft, grpo = tmp_path / "tiny", tmp_path / "sft", tmp_path / "grpo"
    write_tiny(tiny, count=4)
    rows = f"data=[{{format: messages, path: {tiny / 'conversations' / 'conversations.jsonl'}}}]"
    make("sft", RECIPE="sft_tiny", SET=shlex.join([f"model={tiny / 'checkpoint'}", f"out={sft}", rows]))
    questions = f"data=[{{format: questions, path: {tiny / 'vstar'}}}]"
    make("grpo", RECIPE="grpo_tiny", SET=shlex.join([f"model={sft / 'model'}", f"out={grpo}", questions]))
    assert load_metrics(sft)[-1].values["loss"] < 0.2 * load_metrics(sft)[0].values["loss"]
    assert any(record.values["reward"] > 0 for record in load_metrics(grpo))
    assert (sft / "model" / WEIGHTS).read_bytes() != (grpo / "model" / WEIGHTS).read_bytes()  # rewards did teach something
    models = {"base": tiny / "checkpoint", "sft": sft / "model", "rl": grpo / "model"}
    common = {"ENGINE": "transformers", "DATA": f"vstar={tiny / 'vstar'}", "RESOLUTIONS": "224,336", "LIMIT": 2}
    for name, model in models.items():
        make("sweep" if name == "rl" else "eval", MODEL=model, OUT=tmp_path / name, **common)
    runs = [str(tmp_path / name / "cof") for name in models]
    report = [str(BIN / "cof-eval"), "report", *runs, "--out", str(tmp_path / "report")]
    done = subprocess.run(report, capture_output=True, text=True, check=False, env=clean_environment(PYTHONPATH=str(ROOT)))
    assert done.returncode in SCORED, done.stderr
    sweep = pd.read_csv(tmp_path / "report" / "sweep.csv")
    overall = sweep[sweep["category"] == "overall"]
    assert overall.groupby("run")["resolution"].nunique().tolist() == [3, 3, 3]  # two, and their mean
    assert (overall["n"] == 2).all()
    assert (tmp_path / "report" / "sweep.png").stat().st_size > 0
