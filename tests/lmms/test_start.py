"""How a run starts: what is imported before the first request is sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import clean_environment
from fake_server import serve, tiny_checkpoint

from cof_eval.benchmarks.synthetic.scenes import write_scenes

pytestmark = pytest.mark.slow

NOT_NEEDED = (
    "torch",
    "torchvision",
    "transformers",
    "evaluate",
    "accelerate",
    "sklearn",
    "scipy",
    "nltk",
    "matplotlib",
    "vllm",
    "statsmodels",
)

FIRST_REQUEST = """
import json, os, sys
out = os.dup(1)  # a run's own output goes to its log
import cof_eval.engines.openai as engine
from cof_eval.cli import main
generate = engine.OpenAIEngine.generate
async def asked(self, request):
    os.write(out, ("\\n" + json.dumps([name for name in sys.modules if "." not in name]) + "\\n").encode())
    return await generate(self, request)
engine.OpenAIEngine.generate = asked
main()
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data") / "vstar", count=1, seed=2)


@pytest.fixture(params=["by name", "checkpoint at hand"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return "by-name" if request.param == "by name" else str(tiny_checkpoint(tmp_path_factory))


def test_a_served_model_is_asked_before_anything_heavy_is_imported(model: str, scenes: Path, tmp_path: Path) -> None:
    with serve() as server:
        arguments = [
            *("run", "--model", model, "--engine", "openai", "--base-url", server.url, "--data", f"vstar={scenes}"),
            *("--resolutions", "224", "--out", str(tmp_path / "run")),
        ]
        done = subprocess.run(
            [sys.executable, "-c", FIRST_REQUEST, *arguments],
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))
    assert "lmms_eval" in imported
    assert not set(imported) & set(NOT_NEEDED)


USES_EVALUATE = """
from cof_eval.core.lazy_imports import LMMS_EVAL, imported_later
with imported_later(LMMS_EVAL):
    from lmms_eval.api import registry
    from lmms_eval.evaluator import simple_evaluate
import sys
assert "evaluate" not in sys.modules
import evaluate
assert registry.hf_evaluate.load is evaluate.load
import torch, transformers
from lmms_eval import utils
stop = utils.stop_sequences_criteria
assert issubclass(utils.MultiTokenEOSCriteria, object)
assert type(utils.transformers.StoppingCriteriaList([])) is transformers.StoppingCriteriaList
assert utils.get_dtype("float16") is torch.float16
assert utils.torch.zeros(2).shape == (2,)
"""


def test_lmms_eval_has_its_packages_when_it_uses_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", USES_EVALUATE], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
