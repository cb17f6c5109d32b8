"""An environment without vLLM, as the set-up's profile `light` makes it: its tests skip and say why, and its engine is refused in one line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import clean_environment
from selection import needs_engine

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = "import sys; sys.modules['vllm'] = None; "
"""From here on, `import vllm` fails and nothing finds it."""


def without_vllm(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDDEN + code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)


def test_every_test_of_a_real_engine_skips_and_says_why() -> None:
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py")) if needs_engine(path)]
    assert len(files) >= 5
    code = "import pytest; raise SystemExit(pytest.main(sys.argv[1:]))"
    done = without_vllm(code, "-m", "engine", "-rs", "-p", "no:cacheprovider", "--durations=0", *files)
    assert done.returncode == 0, done.stdout
    reasons = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)$", done.stdout, re.MULTILINE)
    assert set(reasons) == {"vLLM is not installed (profile light): this test needs a real engine"}
    assert not re.search(r"passed|failed|error", done.stdout.splitlines()[-1])


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_the_engine_is_refused_in_one_line_that_names_the_others(command: str) -> None:
    model = ROOT / "results" / "reference" / "mini" / "sft"
    code = "from cof_eval.cli import main; main()"
    done = without_vllm(code, command, "--model", str(model), "--protocol", "cof_mini", "--benchmarks", "vstar_mini")
    assert done.returncode == (2 if command == "run" else 1)
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "needs vLLM, which is not installed here" in line]
    assert "--engine transformers" in line
    assert "Traceback" not in done.stderr
