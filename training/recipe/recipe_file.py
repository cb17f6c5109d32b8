"""Recipes as YAML: read whole, with every unknown key named, and written out again next to what they made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import yaml

from cof_eval.core.errors import UsageError, flat_message

from .recipe import Recipe, RecipeError

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def load_recipe(path: Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe.

    Args:
        path: a YAML file, or the name of one in `training/recipes/`.
        changes: values to set instead, by dotted key: `{"train.max_steps": 10}`.

    Raises:
        RecipeError: naming everything that is wrong with it, the known keys where one is unknown.
    """
    file = path if path.suffix in (".yaml", ".yml") else RECIPES / f"{path}.yaml"
    values = _read(file)
    for key, value in (changes or {}).items():
        _set(values, key.split("."), value)
    try:
        unknown = list(_unknown(values, Recipe, ""))
        if unknown:
            raise RecipeError("; ".join(unknown))
        return msgspec.convert({"name": file.stem, **values}, Recipe, strict=False)
    except (msgspec.ValidationError, UsageError) as error:
        raise RecipeError(f"{file.name}: {error}") from error


def parse_changes(words: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """`key=value` words of a command line, values read as YAML.

    Raises:
        RecipeError: for a word without `=`.
    """
    for word in words:
        if "=" not in word:
            raise RecipeError(f"{word!r} changes nothing; expected key=value, for instance train.max_steps=10")
    return {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in words)}


def to_yaml(recipe: Recipe) -> str:
    """The whole recipe, defaults included; reading it back gives an equal one."""
    values = {k: v for k, v in msgspec.to_builtins(recipe).items() if k != "name" and v is not None}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def _read(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise RecipeError(f"no recipe {str(file)!r}; pass a YAML file, or one of {known}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{file} cannot be read: {flat_message(error)}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{file} is no recipe: expected keys and values, got {type(values).__name__}")
    return values


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise RecipeError(f"{'.'.join(keys)} cannot be set: {key} is no section")
    values[keys[-1]] = value


def _unknown(values: Any, kind: Any, where: str) -> Iterator[str]:
    """What is wrong with each key that the dataclass does not have, and each value that its enum does not have."""
    if isinstance(kind, type) and issubclass(kind, StrEnum) and values not in list(kind):
        yield f"{where.rstrip('.')}={values!r} is unknown; known: {', '.join(kind)}"
    nested = next((k for k in (kind, *get_args(kind)) if is_dataclass(k)), None)
    if isinstance(values, list) and nested:
        for index, value in enumerate(values):
            yield from _unknown(value, nested, f"{where.rstrip('.')}[{index}].")
    if not isinstance(values, dict) or nested is None or not isinstance(nested, type):
        return
    hints = get_type_hints(nested)
    known = [f.name for f in fields(nested) if not (nested is Recipe and f.name == "name")]
    strange = [f"{where}{key}" for key in values if key not in known]
    if strange:
        yield f"unknown {', '.join(strange)}; known{' in ' + where.rstrip('.') if where else ''}: {', '.join(known)}"
    for key in (key for key in known if key in values):
        yield from _unknown(values[key], hints[key], f"{where}{key}.")
