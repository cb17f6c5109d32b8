"""The `limits` vectors: a peer's settings by name, and what they are called here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...agent.protocols import Protocol
from ...core.resolution import Fit, FitBy

_Way = tuple[str, str] | None


def _fit(fits: tuple[Fit, ...], name: str) -> Any:
    """A bound of the first resize by area; None without one."""
    return next((getattr(fit, name) for fit in fits if fit.by in (FitBy.AREA, FitBy.PATCHES)), None)


_OURS: Mapping[str, Callable[[Protocol], Any]] = {
    "max_turns": lambda p: p.max_turns,
    "max_images": lambda p: p.max_images,
    "tokens_per_turn": lambda p: p.max_new_tokens,
    "temperature": lambda p: p.temperature,
    "top_p": lambda p: p.top_p,
    "top_k": lambda p: p.top_k if p.top_k else -1,
    "repetition_penalty": lambda p: p.repetition_penalty,
    "presence_penalty": lambda p: p.presence_penalty,
    "stop": lambda p: list(p.stop),
    "context": lambda p: p.context,
    "context_soft": lambda p: p.zoom_tokens,
    "shown_min_pixels": lambda p: _fit(p.shown_fits, "min_pixels") or p.min_pixels,
    "shown_max_pixels": lambda p: _fit(p.shown_fits, "max_pixels") or p.max_pixels,
    "sent_min_pixels": lambda p: _fit(p.shown_fits, "min_pixels"),
    "sent_max_pixels": lambda p: _fit(p.shown_fits, "max_pixels"),
    "sent_short_side_max": lambda p: next((fit.side for fit in p.shown_fits if fit.side), None),
    "sent_filter": lambda p: p.shown_fits[0].filter.name if p.shown_fits else None,
    "crop_min_pixels": lambda p: _fit(p.crop_fits, "min_pixels") or max(p.min_pixels, p.crop_min_pixels),
    "crop_max_pixels": lambda p: _fit(p.crop_fits, "max_pixels") or p.max_pixels,
    "processor_pixels": lambda p: [p.min_pixels, p.max_pixels],
    "shown_filter": lambda p: (p.shown_fits[0].filter if p.shown_fits else p.shown_filter).name,
    "crop_filter": lambda p: (p.crop_fits[0].filter if p.crop_fits else p.crop_filter).name,
    "min_side": lambda p: p.min_side,
    "max_aspect": lambda p: p.max_aspect,
    "pad": lambda p: p.pad,
    "widen": lambda p: p.widen,
    "enlarge": lambda p: p.enlarge,
    "factor": lambda p: p.factor,
}
"""What a setting of a peer is here. Others say in words what the other kinds of vectors show, or are the processor's own."""


def limits_differ(protocol: Protocol, values: Mapping[str, Any]) -> Iterator[_Way]:
    """Each setting that the peer has as a value against ours."""
    for name, (theirs, source) in values.items():
        words = isinstance(theirs, str) and not name.endswith("_filter")
        if name not in _OURS or words:
            continue
        ours = _OURS[name](protocol)
        same = ours == (theirs.partition(" ")[0] if isinstance(theirs, str) else theirs)
        if name == "factor" and ours is None:
            continue
        yield None if same else (name, f"peer {theirs} ({source}), ours {ours}")
