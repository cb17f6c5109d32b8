"""What a hosted model costs: prices by model from a file of the user's, and the price of what was used. Pure but for the reading.

Prices are in dollars. What was used is counted per request, as providers bill it: each turn sends the whole conversation again,
images included. No price is assumed, and a name that the file does not have is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePath
from reprlib import repr as short  # a YAML file may be endless in words
from typing import Any

from ..core.errors import UsageError, flat_message
from ..core.records import Trajectory, Turn

_PER_MILLION = 1e6
_MOST_BYTES = 4 * 2**20
"""A larger file is no list of prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What requests used."""

    prompt_tokens: int = 0
    """Of whole prompts, visual tokens included."""
    cached_tokens: int = 0
    """Those of them that the provider found in its cache."""
    output_tokens: int = 0
    visual_tokens: int = 0
    """Of all images in all prompts; predicted where the server does not tell."""
    images: int = 0
    """In all prompts: an image counts in every request that holds it."""

    def __add__(self, other: Use) -> Use:
        return Use(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Use)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """What one model costs, in dollars."""

    input: float
    """Per million prompt tokens."""
    output: float
    """Per million generated tokens, hidden thoughts included."""
    cached: float | None = None
    """Per million prompt tokens that the provider found in its cache; as `input` if not given."""
    image: float | None = None
    """Per million visual tokens of prompts; as `input` if not given."""
    per_image: float = 0.0
    """Per image in a prompt, on top of its tokens."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.default is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise UsageError(f"{each.name}={short(value)} is no price; expected dollars, 0 or more")

    def dollars(self, use: Use) -> float:
        """The price of what was used. Cached tokens save at most what the cheaper kind of prompt token costs, so it is never too low."""
        image = self.input if self.image is None else self.image
        visual = min(use.visual_tokens, use.prompt_tokens)
        saved = 0.0 if self.cached is None else max(0.0, min(self.input, image) - self.cached)
        tokens = (
            self.input * (use.prompt_tokens - visual)
            + image * visual
            + self.output * use.output_tokens
            - saved * min(use.cached_tokens, use.prompt_tokens)
        )
        return max(0.0, tokens / _PER_MILLION) + self.per_image * use.images

    @property
    def cheapest_prompt(self) -> float:
        """Least that a million prompt tokens can cost."""
        return min(price for price in (self.input, self.cached, self.image) if price is not None)

    @property
    def dearest_prompt(self) -> float:
        """Most that a million prompt tokens can cost, images' own prices aside."""
        return max(self.input, self.image or 0.0)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model."""

    models: Mapping[str, ModelPrices] = field(default_factory=dict)
    source: str = ""
    """Name of the file."""

    def find(self, *names: str | None) -> ModelPrices | None:
        """The prices of the model with one of these names, or the last part of one; None if there are none."""
        known = [name for name in names if name]
        for name in (*known, *(PurePath(name).name for name in known)):
            if name in self.models:
                return self.models[name]
        return None

    def require(self, *names: str | None) -> ModelPrices:
        """The same.

        Raises:
            UsageError: if there are none, listing the models that have prices.
        """
        found = self.find(*names)
        if found is None:
            asked = " or ".join(dict.fromkeys(repr(name) for name in names if name))
            raise UsageError(f"{self.source} has no prices of {asked}; it has: {', '.join(self.models)}")
        return found


def load_prices(path: Path) -> PriceList:
    """The prices in a YAML or JSON file.

    Raises:
        UsageError: if it cannot be read, or holds something else; unknown fields are named with the known ones.
    """
    import yaml

    try:
        with path.expanduser().open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        values: Any = yaml.safe_load(text.decode("utf-8")) if len(text) <= _MOST_BYTES else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else flat_message(error)
        raise UsageError(f"the prices in {path} cannot be read: {reason}") from error
    return parse_prices(values, str(path))


def parse_prices(values: object, source: str) -> PriceList:
    """Prices as a file or run.yaml holds them: `models`, by name, and optionally `currency: USD`.

    Raises:
        UsageError: for anything else.
    """
    where = f"the prices in {source}"
    if not isinstance(values, Mapping) or not isinstance(values.get("models"), Mapping) or not values["models"]:
        raise UsageError(
            f"{where} are none; expected `models:` with a name and its input and output prices a million tokens below it"
        )
    _check_keys(values, ("models", "currency"), where)
    if values.get("currency", "USD") != "USD":
        raise UsageError(f"{where} are in {short(values['currency'])}; expected USD: convert them")
    return PriceList({str(name): _model(prices, f"{where}, {name}") for name, prices in values["models"].items()}, source)


def _model(values: object, where: str) -> ModelPrices:
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: {short(values)} holds no prices; expected input and output, dollars per million tokens")
    _check_keys(values, [each.name for each in fields(ModelPrices)], where)
    missing = [name for name in ("input", "output") if name not in values]
    if missing:
        raise UsageError(f"{where}: {' and '.join(missing)} missing; expected dollars per million tokens")
    try:
        return ModelPrices(**values)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _check_keys(values: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    unknown = sorted(map(str, set(values) - set(known)))
    if unknown:
        raise UsageError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")


def turn_uses(trajectory: Trajectory) -> list[Use]:
    """What each turn of a trajectory used."""
    shown = trajectory.shown.visual_tokens
    visual, images = shown, int(trajectory.shown.size != (0, 0))
    uses = []
    for turn in trajectory.turns:
        uses.append(_use(turn, visual, images))
        crops = [call.crop for call in turn.calls if call.crop]
        visual, images = visual + sum(crop.visual_tokens for crop in crops), images + len(crops)
    return uses


def use_of(trajectory: Trajectory) -> Use:
    """What a trajectory used."""
    return sum(turn_uses(trajectory), Use())


def _use(turn: Turn, visual: int, images: int) -> Use:
    """What a turn used, whose prompt held so many images."""
    return Use(
        prompt_tokens=turn.prompt_tokens,
        cached_tokens=turn.cached_tokens,
        output_tokens=turn.output_tokens,
        visual_tokens=visual if turn.visual_tokens is None else turn.visual_tokens,
        images=images,
    )
