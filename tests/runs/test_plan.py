"""The plan: caps, shown sizes, which work is equal, and which images cannot be shown; all before any pixel is decoded."""

from __future__ import annotations

import random
import re
import struct
import zlib
from dataclasses import replace
from itertools import groupby

import pytest
from fakes import LIMITS, Stored, job, planner, stored
from hypothesis import given
from hypothesis import strategies as st

from cof_eval.agent.protocols import COF, COF_FORCED, DIRECT, PROTOCOLS, Protocol
from cof_eval.core.errors import ImageError
from cof_eval.core.images import load_native, source_hash
from cof_eval.core.resolution import MAX_ASPECT, NATIVE, SWEEP, PixelLimits, shown_size
from cof_eval.runs.plan import PlannedJob, in_order, protocol_digest, summarize

EIGHT = [r.name for r in SWEEP]


def header_only(width: int, height: int, name: str = "header.png") -> Stored:
    """A PNG of this size that holds not one pixel."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return Stored(name, data + struct.pack(">I", 10**6) + b"IDAT")


def plan(width: int, height: int, resolution: str, protocol: Protocol = COF, limits: PixelLimits = LIMITS) -> PlannedJob:
    return planner(protocol, limits=limits).plan(job(resolution=resolution, source=header_only(width, height)))


@pytest.mark.parametrize(
    ("resolution", "engine_cap", "protocol_cap", "cap"),
    [
        ("224", 12_845_056, 3840 * 3840, 224 * 224),
        ("2560", 12_845_056, 3840 * 3840, 2560 * 2560),
        ("4k", 12_845_056, 3840 * 3840, 12_845_056),  # the processor's is the smallest
        ("4k", 99_999_999, 3840 * 3840, 3840 * 3840),
        ("4k", 12_845_056, 1024 * 1024, 1024 * 1024),
        ("native", 12_845_056, 3840 * 3840, 12_845_056),
        ("native", 99_999_999, 3840 * 3840, 3840 * 3840),
    ],
)
def test_the_cap_is_the_smallest_of_resolution_protocol_and_processor(
    resolution: str, engine_cap: int, protocol_cap: int, cap: int
) -> None:
    planned = plan(8000, 6000, resolution, replace(COF, max_pixels=protocol_cap), PixelLimits(28, 3136, engine_cap))
    assert planned.cap == planned.row.cap == cap
    assert planned.shown[0] * planned.shown[1] <= cap


@given(st.integers(1, 8000), st.integers(1, 8000), st.sampled_from([*EIGHT, "native"]))
def test_shown_size_and_tokens_are_those_of_the_resize(width: int, height: int, resolution: str) -> None:
    planned = plan(width, height, resolution)
    try:
        expected = shown_size((width, height), planned.job.resolution, COF.limits(LIMITS))
    except ImageError:  # too thin, or made too thin by rounding
        assert planned.error
        return
    assert max(width, height) <= MAX_ASPECT * min(width, height)
    assert planned.shown == expected
    assert planned.visual_tokens == planned.shown[0] * planned.shown[1] // 28**2
    assert planned.image.size == (width, height)


def test_no_pixel_is_decoded() -> None:
    source = header_only(9000, 9000)
    assert planner().plan(job(source=source)).error is None
    with pytest.raises(ImageError):
        load_native(source.read())


def test_an_image_is_read_once_for_all_questions_resolutions_and_repeats() -> None:
    source, plans = stored(), planner()
    for doc_id in range(3):
        for resolution in EIGHT:
            for repeat in range(2):
                plans.plan(job(doc_id, resolution, source, repeat=repeat))
    assert source.reads == 1


def test_a_later_session_looks_at_the_images_anew() -> None:
    first = planner().plan(job(source=Stored("a", stored(56, 56).data)))
    second = planner().plan(job(source=Stored("a", stored(84, 84).data)))
    assert (first.image.size, second.image.size) == ((56, 56), (84, 84))
    assert first.key != second.key


def test_the_image_is_known_by_the_hash_of_its_stored_bytes() -> None:
    source = stored()
    assert planner().plan(job(source=source)).image.hash == source_hash(source.data or b"")


class TestEqualWork:
    @pytest.mark.parametrize(("width", "height", "distinct"), [(300, 200, 2), (1000, 700, 5), (2000, 1500, 6), (6000, 4000, 8)])
    def test_a_small_image_shares_its_trajectory_at_every_resolution_above_its_own_size(
        self, width: int, height: int, distinct: int
    ) -> None:
        keys = [plan(width, height, r).key for r in EIGHT]
        assert keys == keys[:distinct] + [keys[distinct - 1]] * (8 - distinct)
        assert len(set(keys)) == distinct

    def test_is_found_by_content_not_by_place(self) -> None:
        data = stored().data
        here, there = planner().plan(job(source=Stored("a.png", data))), planner().plan(job(source=Stored("b.png", data)))
        assert here.key == there.key

    def test_does_not_depend_on_the_task_or_row_that_asks(self) -> None:
        a, b = (
            job(1, "2560", stored()),
            job(1, "4k", stored(), benchmark="other", category="x", cluster="y", boxes=((0, 0, 1, 1),)),
        )
        assert planner().plan(a).key == planner().plan(replace(b, doc_id=99)).key

    def test_differs_where_anything_that_the_model_could_tell_apart_differs(self) -> None:
        base = job(source=stored())
        keys = [
            planner().plan(base).key,
            planner(checkpoint="d").plan(base).key,
            planner().plan(job(1, source=stored())).key,
            planner().plan(job(source=stored(seed=1))).key,
            planner().plan(job(source=stored(84, 56))).key,
            planner().plan(replace(base, repeat=1)).key,
            planner().plan(replace(base, source=None)).key,
            *(planner(protocol).plan(base).key for protocol in PROTOCOLS.values() if protocol != COF),
            planner(replace(COF, max_turns=5)).plan(base).key,
            planner(replace(COF, temperature=0.1)).plan(base).key,
        ]
        assert len(set(keys)) == len(keys)


def test_every_setting_of_a_protocol_is_in_its_digest() -> None:
    digests = {
        protocol_digest(p) for p in (*PROTOCOLS.values(), replace(COF, enlarge=1.0), replace(COF_FORCED, turn_patterns=("a",)))
    }
    assert len(digests) == len(PROTOCOLS) + 2
    assert protocol_digest(replace(COF)) == protocol_digest(COF)


class TestUnreadable:
    @pytest.mark.parametrize(
        ("source", "said"),
        [
            (Stored("gone.jpg", None), "gone.jpg does not exist"),
            (Stored("a", b""), "are no image"),
            (Stored("b", b"not an image"), "are no image"),
            (Stored("c", (stored().data or b"")[:20]), "no image|damaged"),
            (header_only(20_000, 50), "more than 200 times as long as wide"),
            (header_only(50, 20_000), "more than 200 times as long as wide"),
            (header_only(20_000, 20_000), "[Aa]t most 178,956,970|more than 178,956,970"),
        ],
        ids=["missing", "empty", "text", "cut", "wide", "tall", "huge"],
    )
    def test_images_are_planned_as_errors_of_their_own(self, source: Stored, said: str) -> None:
        plans = [planner().plan(job(d, r, source, repeat=i)) for d in range(2) for r in ("224", "4k") for i in range(2)]
        assert len({p.key for p in plans}) == 8
        for planned in plans:
            assert planned.error
            assert re.search(said, planned.error)
            assert (planned.shown, planned.visual_tokens) == ((0, 0), 0)
            assert planned.row.trajectory == planned.key

    def test_images_have_the_same_key_in_the_next_session(self) -> None:
        assert planner().plan(job(source=Stored("x", None))).key == planner().plan(job(source=Stored("x", None))).key

    def test_images_are_looked_at_again_once_they_are_mended(self) -> None:
        source, plans = Stored("x", None), planner()
        assert plans.plan(job(source=source)).error
        source.data = stored().data
        assert plans.plan(job(source=source)).error is None


def test_a_question_without_an_image_has_no_shown_image() -> None:
    planned = planner(DIRECT).plan(job(resolution="native"))
    assert (planned.error, planned.shown, planned.visual_tokens, planned.image.hash) == (None, (0, 0), 0, "")


def test_a_row_says_which_trajectory_answers_which_question() -> None:
    planned = planner().plan(job(5, "448", stored(), repeat=2))
    row = planned.row
    assert (row.task, row.doc_id, row.question_id, row.benchmark) == ("cof_vstar_448", 5, "5", "vstar")
    assert (row.resolution, row.repeat, row.trajectory) == ("448", 2, planned.key)


class TestSummary:
    def test_counts_rows_and_new_work_in_the_order_of_the_sweep(self) -> None:
        sources = [header_only(300, 200, "small"), header_only(6000, 4000, "large")]
        plans = [planner().plan(job(d, r, s)) for d, s in enumerate(sources) for r in ["native", *reversed(EIGHT)]]
        points = summarize(plans)
        assert [p.resolution for p in points] == [*EIGHT, NATIVE.name]
        assert [p.rows for p in points] == [2] * 9
        assert [p.distinct for p in points] == [2, 2, 1, 1, 1, 1, 1, 1, 0]
        assert sum(p.distinct for p in points) == len({p.key for p in plans})

    def test_tokens_are_the_mean_over_the_images_that_can_be_shown(self) -> None:
        plans = [planner().plan(job(d, "224", s)) for d, s in enumerate((header_only(224, 224), Stored("gone", None)))]
        (point,) = summarize(plans)
        assert (point.visual_tokens, point.unreadable, point.rows) == (64.0, 1, 2)

    def test_of_unreadable_images_alone_has_no_tokens(self) -> None:
        (point,) = summarize([planner().plan(job(source=Stored("gone", None)))])
        assert (point.visual_tokens, point.unreadable, point.distinct) == (0.0, 1, 1)

    def test_keeps_benchmarks_apart(self) -> None:
        plans = [
            planner().plan(job(d, r, stored(), benchmark=b)) for d in (0, 1) for b in ("vstar", "alpha") for r in ("4k", "224")
        ]
        assert [(p.benchmark, p.resolution, p.rows) for p in summarize(plans)] == [
            (b, r, 2) for b in ("alpha", "vstar") for r in ("224", "4k")
        ]

    def test_of_nothing_is_empty(self) -> None:
        assert summarize([]) == []


@pytest.mark.parametrize("cluster", ["image {}", "the same for all"])
def test_the_order_groups_by_image_and_goes_up_in_size(cluster: str) -> None:
    sources = [header_only(3000, 2000 + 100 * i, str(i)) for i in range(5)]
    plans = [
        planner().plan(job(10 * i + q, r, s, cluster=cluster.format(s.name)))
        for r in EIGHT
        for q in (0, 1)
        for i, s in enumerate(sources)
    ]
    random.Random(0).shuffle(plans)
    ordered = in_order(plans)
    assert sorted(map(id, ordered)) == sorted(map(id, plans))
    assert len([*groupby(p.image.hash for p in ordered)]) == len(sources)
    for _, group in groupby(ordered, key=lambda p: p.job.doc_id):
        shown = [p.shown for p in group]
        assert len(shown) == 8
        assert shown == sorted(shown)
