"""How a protocol generates: its limits, and how tokens are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UsageError

FORCED_ANSWER = "<think>[a-z ]{8,24}</think> <answer>[A-D]</answer>"
"""A reply that answers, for protocols that walk the loop with an untrained model."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The settings by which turns are generated."""

    max_turns: int = 6
    """Generations in one rollout."""
    max_images: int = 6
    """Images in one conversation, the shown image included."""
    max_new_tokens: int = 512
    """Tokens of one turn."""
    context: int = 32_768
    """Tokens of the whole conversation; a smaller context of the engine wins."""
    temperature: float = 0.0
    """0: the likeliest token each time."""
    top_p: float = 1.0
    """Tokens are drawn from the likeliest that make up this probability."""
    repetition_penalty: float = 1.0
    """Always sent: a server would else take the checkpoint's own (1.05 for Qwen2.5-VL), which the released evaluation did not."""
    turn_patterns: tuple[str, ...] = ()
    """Regular expressions that constrain the text of turn 0, 1, … (the last one repeats): plumbing tests only."""
    top_k: int = 0
    """Tokens are drawn from so many of the likeliest; 0 for no limit."""
    min_p: float = 0.0
    """Tokens are drawn only if they have this fraction of the likeliest one's probability."""
    presence_penalty: float = 0.0
    """Taken off the logit of every token that the reply holds already."""
    frequency_penalty: float = 0.0
    """Taken off the logit of a token for every time that the reply holds it."""
    stop: tuple[str, ...] = ()
    """Texts that end a turn."""
    stop_kept: bool = True
    """Whether the text that ended a turn stays in it (not so in DeepEyes' HR-Bench script)."""
    zoom_tokens: int | None = None
    """A turn that ends with more tokens in the context than this gets no zoom: its calls end the rollout; none for no limit."""

    def __post_init__(self) -> None:
        if not all(self.stop):
            raise UsageError("stop: an empty text would end every turn at once")
        for name, low, high in (
            ("top_p", 0.0, 1.0),
            ("min_p", 0.0, 1.0),
            ("presence_penalty", -2, 2),
            ("frequency_penalty", -2, 2),
        ):
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"{name}={getattr(self, name)} must be between {low:g} and {high:g}")

    def turn_pattern(self, turn: int) -> str | None:
        """The pattern that constrains this turn (0-based), if any."""
        return self.turn_patterns[min(turn, len(self.turn_patterns) - 1)] if self.turn_patterns else None
