"""The data of the tiny recipes, and a training run on them: made once for the whole session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_run import LIMIT_S, sft, tiny_recipe

from training.conversation import adopt_template
from training.recipe_file import to_yaml
from training.tiny import write_tiny


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`checkpoint/`, `vstar/` and `conversations/` of the tiny recipes."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny(folder, count=12)
    return folder


@pytest.fixture(scope="session")
def processor(tiny_data: Path) -> Any:
    """The tiny checkpoint's processor with the contract's template, for images as small as the tests like."""
    from transformers import AutoProcessor

    loaded = adopt_template(AutoProcessor.from_pretrained(str(tiny_data / "checkpoint")))
    loaded.image_processor.size = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    return loaded


@pytest.fixture(scope="session")
def recipe_file(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sft_tiny` for eight steps, kept every second."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(to_yaml(tiny_recipe(tiny_data, file.parent / "run", **{"train.max_steps": 8, "keep.every_steps": 2})))
    return file


@pytest.fixture(scope="session")
def trained(recipe_file: Path) -> Path:
    """The folder of a run that nothing interrupted."""
    process = sft(recipe_file)
    said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, said
    return recipe_file.parent / "run"
