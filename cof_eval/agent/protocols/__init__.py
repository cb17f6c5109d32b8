"""The protocols: one module each, registered by standing in this folder, and a user's own from a YAML file.

A protocol with a known call syntax is one new file here; a new syntax is a second one, `reply/calls.py`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module

from .changed import load_protocol, parse_protocol_in
from .cof import COF, COF_FORCED, COF_RELEASED
from .cof_mini import COF_MINI
from .direct import DIRECT, DIRECT_FORCED
from .protocol import BoxFrame, Calls, CallsPerTurn, Crops, Precedence, Protocol, complete, fill, protocol_digest

__all__ = [
    "COF", "COF_FORCED", "COF_MINI", "COF_RELEASED", "DIRECT", "DIRECT_FORCED", "PROTOCOLS", "BoxFrame", "Calls", "CallsPerTurn", "Crops", "Precedence",
    "Protocol", "complete", "fill", "parse_protocol", "protocol_digest",
]  # fmt: skip


def _found() -> Mapping[str, Protocol]:
    """Every protocol that a module of this folder defines, by name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    public = (vars(module)[name] for module in modules for name in vars(module) if not name.startswith("_"))
    return {value.name: value for value in public if isinstance(value, Protocol)}


PROTOCOLS: Mapping[str, Protocol] = _found()


def parse_protocol(name: str, changes: Mapping[str, object] | None = None) -> Protocol:
    """The protocol called `name`, or that of a YAML file, with some of its settings changed; its name then says which.

    Raises:
        UsageError: for an unknown name or setting (listing the known ones), a file that cannot be read, or a value that
            cannot be used.
    """
    known = {**PROTOCOLS, name: load_protocol(name, PROTOCOLS)} if name.endswith((".yaml", ".yml")) else PROTOCOLS
    return parse_protocol_in(known, name, changes)
