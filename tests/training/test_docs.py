"""Every command of docs/training.md is one that works: its words are accepted, its target exists."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from cof_eval.agent.protocols import BoxFrame
from training.grpo import check_protocol
from training.recipe.recipe import DataSource
from training.recipe.recipe_file import RECIPES, load_recipe

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL) for line in block.splitlines()]


def test_there_are_commands() -> None:
    assert len(COMMANDS) == len(set(COMMANDS)) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_is_accepted(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    assert words[:2] == [".venv/bin/python", "-m"]
    parser = importlib.import_module(words[2]).parser()
    parser.parse_args(words[3:])


def test_every_recipe_stands_in_a_page() -> None:
    pages = DOCS + (ROOT / "docs" / "mini.md").read_text()
    assert [path.stem for path in RECIPES.glob("*.yaml") if f"`{path.stem}`" not in pages] == []
    named = re.findall(r"^\| `((?:sft|grpo)_\w+)` \|", DOCS, re.MULTILINE)
    assert len(named) >= 6 and all((RECIPES / f"{name}.yaml").is_file() for name in named)


def test_documented_sources_are_sources() -> None:
    import msgspec

    sources = [source for block in BLOCKS for source in yaml.safe_load(block).get("data", [])]
    assert {source["format"] for source in sources} == {"messages", "run"}
    for source in sources:
        assert set(source) <= set(DataSource.__dataclass_fields__)
        msgspec.convert(source, DataSource)


def test_the_documented_protocol_is_one_that_both_stages_take(tmp_path: Path) -> None:
    (block,) = [block for block in BLOCKS if "base:" in block]
    (tmp_path / "my_protocol.yaml").write_text(block)
    for stage in ("sft", "grpo"):
        recipe = load_recipe(Path(f"{stage}_tiny"), {"protocol": str(tmp_path / "my_protocol.yaml")})
        check_protocol(recipe.protocol_settings())
        assert recipe.protocol_settings().frame is BoxFrame.MILLI


def test_make_without_a_recipe_says_which_is_missing() -> None:
    done = subprocess.run(["make", "sft"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "RECIPE is missing; for instance: make sft RECIPE=sft_tiny" in done.stdout


def test_the_example_conversation_is_one_that_is_trained_on(tmp_path: Path) -> None:
    """The page's row, written as it says, is read without a loss: every prompt worded as the protocol words it."""
    import json

    from PIL import Image

    from cof_eval.agent.protocols import COF
    from training.data.messages import read_messages
    from training.data.rows import DraftRow

    (block,) = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    row = json.loads(block)
    for name in row["images"]:
        Image.new("RGB", (224, 168)).save(tmp_path / name)
    file = tmp_path / "conversations.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (draft,) = read_messages(DataSource(format="messages", path=str(file)), COF)
    assert isinstance(draft, DraftRow) and draft.worded
    assert [message.role for message in draft.messages] == ["system", "user", "assistant", "user", "assistant"]
