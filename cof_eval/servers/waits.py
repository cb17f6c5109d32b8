"""How long to wait before a request is sent again."""

from __future__ import annotations

import random
from dataclasses import dataclass

LONGEST_WAIT_S = 60.0
_DOUBLINGS = 32
"""After so many, a wait is the longest whatever the first one was."""


@dataclass(slots=True)
class Waits:
    """The waits of one request: as long as a server tells, else growing, with jitter.

    Waits that were told do not make the others longer: a server that asks for a second many times, and then fails once,
    is asked again at once.
    """

    first_s: float
    """The first wait that nobody told, without its jitter; each further one doubles."""
    _grown: int = 0

    def after(self, told_s: float) -> float:
        """Seconds until the request is sent again.

        Args:
            told_s: what the server asks for; 0 if it does not say.
        """
        if told_s:
            return told_s * random.uniform(1.0, 1.2)
        doubled = self.first_s * 2.0 ** min(self._grown, _DOUBLINGS)
        self._grown += 1
        return min(LONGEST_WAIT_S, doubled + random.uniform(0.0, self.first_s))
