"""Ids that tell rows apart, whatever ids their data set gave them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def distinct_ids(ids: Iterable[str]) -> list[str]:
    """The ids in order; where one occurs again, "#2", "#3" … are added. No id that is made equals one that was given."""
    given = list(ids)
    taken, seen, distinct = set(given), Counter[str](), []
    for each in given:
        seen[each] += 1
        name = each
        while seen[each] > 1 and (name := f"{each}#{seen[each]}") in taken:
            seen[each] += 1
        taken.add(name)
        distinct.append(name)
    return distinct
