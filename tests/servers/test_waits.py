"""Waits grow where nobody tells how long to wait, and only there."""

from __future__ import annotations

from cof_eval.servers.waits import LONGEST_WAIT_S, Waits


def test_waits_double_up_to_the_longest() -> None:
    waits = Waits(1.0)
    lengths = [waits.after(0.0) for _ in range(2000)]
    assert all(2**n <= length <= 2**n + 1 for n, length in enumerate(lengths[:5]))
    assert lengths[-1] == LONGEST_WAIT_S


def test_a_wait_that_is_told_is_kept_and_makes_no_other_longer() -> None:
    waits = Waits(0.5)
    assert all(3.0 <= waits.after(3.0) <= 3.6 for _ in range(500))
    assert 0.5 <= waits.after(0.0) <= 1.0
