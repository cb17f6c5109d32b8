"""Ids that tell rows apart, whatever ids their data set gave them. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .records import Row


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


def rows_told_apart(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The rows, and how many have a new id: those whose task asks several rows under one id (runs of earlier versions)."""
    groups = defaultdict[tuple[str, int], list[int]](list)
    for place, row in enumerate(rows):
        groups[row.task, row.repeat].append(place)
    told = list(rows)
    for places in groups.values():
        places.sort(key=lambda place: rows[place].doc_id)
        for place, name in zip(places, distinct_ids(rows[place].question_id for place in places), strict=True):
            told[place] = rows[place] if name == rows[place].question_id else replace(rows[place], question_id=name)
    return told, sum(old is not new for old, new in zip(rows, told, strict=True))
