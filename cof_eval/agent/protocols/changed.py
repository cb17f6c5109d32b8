"""Protocols made from others: with some settings changed, or written down by a user in a YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from ...core.errors import UsageError, flat_message
from ...core.resolution import Filter, Fit, FitBy
from .protocol import Protocol

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def parse_protocol_in(known: Mapping[str, Protocol], name: str, changes: Mapping[str, object] | None) -> Protocol:
    """The protocol called `name` among those known, with some of its settings changed; its name then says which.

    Raises:
        UsageError: for an unknown name or setting (listing the known ones), or a value that cannot be used.
    """
    if name not in known:
        raise UsageError(f"unknown protocol {name!r}; known: {', '.join(known)}, or the path of a .yaml file")
    base = known[name]
    if not changes:
        return base
    said = "+".join(f"{key}={value}" for key, value in changes.items() if len(str(value)) < 24)
    return _changed(base, {**changes}, f"{base.name}+{said}" if said else f"{base.name}+changed", "protocol_args")


def load_protocol(path: str, known: Mapping[str, Protocol]) -> Protocol:
    """A protocol from a YAML file.

    `base` names the protocol it starts from (without one, `system` must be there), `name` says what it is called (else the
    file's name does), and the rest are settings of `Protocol`.

    Raises:
        UsageError: if the file cannot be read, or holds something else.
    """
    import yaml

    try:
        values: Any = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else flat_message(error)
        raise UsageError(f"protocol file {path} cannot be read: {reason}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"protocol file {path} holds no settings; expected lines such as `base: cof` and `max_turns: 4`")
    name, base = values.pop("name", Path(path).stem), values.pop("base", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in known:
        raise UsageError(
            f"protocol file {path}: the name {name!r} cannot be used; expected letters, digits, `_`, `.` and `-`, and none of "
            f"{', '.join(known)}"
        )
    if base is not None and base not in known:
        raise UsageError(f"protocol file {path}: unknown base {base!r}; known: {', '.join(known)}")
    if base is None and "system" not in values:
        raise UsageError(f"protocol file {path} has neither base nor system; say which protocol it starts from, e.g. base: cof")
    start = known[base] if base is not None else Protocol(name=name, system="")
    return _changed(start, values, name, f"protocol file {path}")


def _check_value(key: str, value: object, where: str) -> None:
    """Refuse a value that is none of a setting's choices, listing them; msgspec would only say that it is wrong."""
    kind = get_type_hints(Protocol)[key]
    if isinstance(kind, type) and issubclass(kind, StrEnum) and value not in set(kind):
        raise UsageError(f"{where}: unknown {key} {value!r}; known: {', '.join(kind)}")
    if key in ("shown_fits", "crop_fits") and isinstance(value, list):
        hints = get_type_hints(Fit)
        for each in value:
            given = each if isinstance(each, dict) else {}
            unknown = sorted(map(str, set(given) - set(hints)))
            if unknown:
                raise UsageError(f"{where}: {key}: unknown {', '.join(unknown)}; known: {', '.join(hints)}")
            for name, choices in (("by", FitBy), ("filter", Filter)):
                if name in given and given[name] not in set(choices):
                    raise UsageError(f"{where}: {key}: unknown {name} {given[name]!r}; known: {', '.join(choices)}")


def _changed(base: Protocol, changes: Mapping[str, Any], name: str, where: str) -> Protocol:
    values = msgspec.to_builtins(base)
    unknown = sorted(set(changes) - (set(values) - {"name"}))
    if unknown:
        raise UsageError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(k for k in values if k != 'name')}")
    for key, value in changes.items():
        _check_value(key, value, where)
    try:
        return msgspec.convert({**values, **changes, "name": name}, Protocol)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error
