"""`training` imports heavy packages late, and reads no environment of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_layers import HEAVY, PACKAGE, top_level_imports

TRAINING = PACKAGE.parent / "training"
MODULES = sorted(TRAINING.rglob("*.py"))
TRAINERS = {
    "mini/gates.py",
    "rl/zoom_trainer.py",
    "mini/vision.py",
    "mini/language.py",
    "mini/session.py",
    "mini/chat_tokens.py",
}
"""Subclasses of TRL's trainers, training loops of our own, and the tables of the gates: nothing without them, and imported only when used."""
HEAVY_HERE = HEAVY | {"trl", "peft", "accelerate", "deepspeed", "pyarrow"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name)
def test_heavy_packages_are_imported_where_they_are_needed(path: Path) -> None:
    assert path.relative_to(TRAINING).as_posix() in TRAINERS or not top_level_imports(path) & HEAVY_HERE


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.name)
def test_the_environment_is_read_by_the_settings_alone(path: Path) -> None:
    text = path.read_text()
    assert "os.environ" not in text and "getenv" not in text
