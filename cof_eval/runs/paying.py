"""A run whose costs are counted: which prices apply, what is already spent, and the engine and judge that pay as they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agent.engine import Engine
from ..core.journal import Journal
from ..core.settings import ModelSettings
from ..judging import Judge
from .finding import Finding, Level
from .prices import ModelPrices, load_prices
from .spending import FILE, Paid, PricedEngine, PricedJudge, priced_settings, spent_before
from .wallet import Wallet, dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Paying:
    """The prices of a run, and its budget."""

    source: str
    model: ModelPrices
    judge: ModelPrices | None
    """None if it has no price: its cost is then not counted."""
    judge_model: str
    """Empty where rules alone decide."""
    judge_key: str
    """The judge as its verdicts name it."""
    budget: float | None

    @property
    def settings(self) -> dict[str, Any]:
        """As run.yaml holds them."""
        return priced_settings(self.model, self.judge, self.source)

    def findings(self, run: Path) -> list[Finding]:
        """What is spent and may be, and whether the judge's cost is counted."""
        spent = 0.0 if self.budget is None else self._spent(run)
        found = []
        if self.judge_model and self.judge is None:
            says = f"{self.source} has no prices of the judge {self.judge_model!r}: its cost is not counted. A judge of your own costs 0"
            found.append(Finding(Level.WARNING, "prices", says))
        if self.budget is not None and spent >= self.budget:
            says = f"{dollars(spent)} of {dollars(self.budget)} are spent: nothing more is asked. Raise --budget"
            found.append(Finding(Level.WARNING, "budget", says))
        return found

    def _spent(self, run: Path) -> float:
        return sum(spent_before(run, self.model, self.judge, self.judge_key))

    @contextmanager
    def open(self, run: Path, engine: Engine, judge: Judge) -> Iterator[tuple[Engine, Judge]]:
        """Engine and judge that count every request, and ask only what fits the budget.

        Args:
            run: the run folder, where what is paid is written down.
            engine: the run's.
            judge: the run's.
        """
        wallet = Wallet(self.budget, self._spent(run))
        with Journal(run / FILE, Paid) as journal:
            paid = PricedJudge(judge, self.judge, wallet) if self.judge and judge.client else judge
            yield PricedEngine(engine, self.model, wallet, journal), paid


def open_paying(settings: ModelSettings, engine: Engine, judge: Judge | None) -> Paying | None:
    """A run's prices; None if it has none.

    Raises:
        UsageError: if the file cannot be used, or has no prices of the model.
    """
    if settings.prices is None:
        return None
    prices = load_prices(Path(settings.prices))
    names = (settings.served_name, getattr(engine, "served_name", None), settings.pretrained)
    model = prices.require(*names)
    served = judge_names(judge)
    return Paying(
        source=Path(settings.prices).name,
        model=model,
        judge=prices.find(*served),
        judge_model=served[0] if served else "",
        judge_key=judge.model if judge else "",
        budget=settings.budget,
    )


def judge_names(judge: Judge | None) -> list[str]:
    """The names that a judge's servers tell of it; none where rules alone decide."""
    if judge is None or judge.client is None:
        return []
    identity = getattr(judge.client, "identity", None)
    told = (getattr(identity, "served_name", ""), getattr(identity, "root", ""), judge.client.model)
    return [name for name in told if name]
