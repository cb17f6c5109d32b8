"""The folder of a training run: its recipe, its checkpoints to resume from, its metrics, and what it made.

| file | holds |
|---|---|
| `recipe.yaml` | the whole recipe, defaults included |
| `protocol.yaml` | the whole protocol that it names |
| `data/` | rows trained on, rows dropped and why |
| `checkpoint-N/` | weights, optimizer and random states after step N, and the recipe, written last: without it the rest is not whole |
| `metrics.jsonl`, `curves.png` | what was measured |
| `adapter/`, `model/` | the adapter (LoRA), and the checkpoint to evaluate |
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import yaml
from filelock import FileLock, Timeout

from cof_eval.core.errors import RunError, system_says
from cof_eval.core.files import write_whole

from ..recipe.recipe import Recipe
from ..recipe.recipe_file import to_yaml

RECIPE = "recipe.yaml"
PROTOCOL = "protocol.yaml"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_MAY_CHANGE = {"keep", "out"}
"""Sections of a recipe that decide nothing about the weights."""


class TrainingFolder:
    """A training run's folder, opened by one session; other processes of that session look at it without the lock."""

    def __init__(self, recipe: Recipe, *, main: bool = True) -> None:
        """Open or create it.

        Args:
            recipe: must be the one that the folder was begun with, if it was.
            main: whether this is the session's main process, which alone writes.

        Raises:
            RunError: if another session uses it, or it was begun with another recipe.
        """
        self.path = Path(recipe.out)
        self.recipe = recipe
        self._lock = FileLock(self.path / ".lock") if main else None
        if main:
            self._open()

    @property
    def data(self) -> Path:
        """Where the prepared rows are."""
        return self.path / "data"

    @property
    def adapter(self) -> Path:
        """Where the trained adapter goes."""
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """Where the trained checkpoint goes."""
        return self.path / "model"

    @property
    def finished(self) -> bool:
        """Whether the checkpoint is written whole."""
        return (self.path / "finished.json").is_file()

    def finish(self, values: dict[str, Any]) -> None:
        """Say that the checkpoint is whole, and what it took."""
        (self.path / "README.md").unlink(missing_ok=True)  # TRL's model card: a form, filled in for another model
        write_whole(self.path / "finished.json", f"{json.dumps(values, indent=1)}\n".encode())

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole; those that a kill left unfinished are removed."""
        found = {int(m[1]): p for p in self.path.glob("checkpoint-*") if (m := _CHECKPOINT.fullmatch(p.name))}
        whole = [step for step, path in found.items() if (path / RECIPE).is_file()]
        if self._lock is not None:
            for step in set(found) - set(whole):
                shutil.rmtree(found[step])
        return found[max(whole)] if whole else None

    def close(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> TrainingFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self._lock is not None:
                self._lock.acquire(timeout=0)
            differences = self._differences()
            if not differences:
                write_whole(self.path / RECIPE, to_yaml(self.recipe).encode())
                write_whole(self.path / PROTOCOL, _protocol(self.recipe).encode())
        except Timeout as error:
            raise RunError(
                f"{self.path} is in use by another session; wait for it, or choose another folder (out=…)"
            ) from error
        except OSError as error:
            raise RunError(
                f"cannot use {self.path} for training: {system_says(error, 'choose another folder (out=…)')}"
            ) from error
        if differences:
            self.close()
            raise RunError(
                f"{self.path} was begun with another recipe: {'; '.join(differences)}. Choose another folder (out=…), or use the same recipe"
            )

    def _differences(self) -> list[str]:
        """What another recipe, or another protocol under the same name, would change."""
        found = _compared(self.path / RECIPE, to_yaml(self.recipe), except_for=_MAY_CHANGE)
        return found or [f"protocol: {line}" for line in _compared(self.path / PROTOCOL, _protocol(self.recipe))]


def mark_whole(recipe: Recipe) -> Any:
    """A callback of transformers' `Trainer` that writes the recipe into each checkpoint once the rest of it is written."""
    from transformers import TrainerCallback

    class Marker(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        """Writes the mark from the main process."""

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.is_world_process_zero:
                write_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}" / RECIPE, to_yaml(recipe).encode())

    return Marker()


def _protocol(recipe: Recipe) -> str:
    """The recipe's protocol, all of it: a file that a recipe names may change under it."""
    return yaml.safe_dump(msgspec.to_builtins(recipe.protocol_settings()), sort_keys=False, allow_unicode=True, width=100)


def _compared(file: Path, text: str, *, except_for: Collection[str] = ()) -> list[str]:
    """What differs between a YAML file, if it is there, and a new text for it."""
    if not file.is_file():
        return []
    old, new = _flat(yaml.safe_load(file.read_text(encoding="utf-8"))), _flat(yaml.safe_load(text))
    return [
        f"{name} was {_short(old.get(name))}, now {_short(new.get(name))}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name) and name.split(".")[0] not in except_for
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix.rstrip("."): values}
    return {name: value for key, each in values.items() for name, value in _flat(each, f"{prefix}{key}.").items()}
