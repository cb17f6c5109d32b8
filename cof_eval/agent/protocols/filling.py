"""Templates with named places."""

from __future__ import annotations

import re


def fill(template: str, **values: object) -> str:
    """A template with its `{name}`s filled in; what the values hold is left as it is."""
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], found[0])), template)
