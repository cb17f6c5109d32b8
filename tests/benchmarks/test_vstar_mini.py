"""vstar_mini: equal seeds give equal sets, boxes are exact, and nothing but the picture of the target tells the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cof_eval.benchmarks import BENCHMARKS, vstar_mini
from cof_eval.benchmarks.synthetic.questions import DIRECT, LEAST_GAP, RELATIVE, SIDES, SceneQuestion, make_questions
from cof_eval.benchmarks.synthetic.world import ASPECT, COLOURS, LARGEST, NATIVE, SMALLEST, Scene, paint, pixel_box
from cof_eval.benchmarks.vstar_mini import TEST_COUNT, TEST_SEED, TRAINING, write_folder
from cof_eval.cli.scenes import main
from cof_eval.core.errors import DataError
from cof_eval.core.images import load_native
from cof_eval.core.resolution import RESOLUTIONS, PixelLimits, shown_size

MANY = 1_600
FEW = 12
"""Pictures to draw where their number proves nothing."""


Set = list[SceneQuestion]


@pytest.fixture(scope="module")
def asked() -> Set:
    return make_questions(MANY, seed="guessing")


@pytest.fixture(scope="module")
def fresh() -> Set:
    """As many questions from another seed."""
    return make_questions(MANY, seed="guessed")


def of(asked: Set, category: str) -> Set:
    return [one for one in asked if one.category == category]


def letters(asked: Set) -> np.ndarray:
    return np.array([one.right for one in asked])


def guessed(train: Set, test: Set, features: Callable[[SceneQuestion], list[float]]) -> int:
    """How many letters of a fresh set a linear classifier tells right."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=300))
    classifier.fit(np.array([features(one) for one in train]), letters(train))
    return int((classifier.predict(np.array([features(one) for one in test])) == letters(test)).sum())


def interval(right: int, asked: Set) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(right, len(asked), alpha=0.01, method="wilson")
    return low, high


def words(one: SceneQuestion) -> list[float]:
    """Which colours and sides the question names, in its order, and which stand at which option."""
    known = [*COLOURS, *SIDES]
    said = [word for word in one.question.replace("?", "").split() if word in known]
    return [float(word == name) for word in (*said, *one.options) for name in known]


def standing(one: SceneQuestion) -> list[float]:
    """Where the targets are and how large they look, in the question's order, and how these go together."""
    plain = [value for t in one.targets for value in (t.x, t.y, np.log(t.side), float(t.round))]
    return [*plain, *(a * b for i, a in enumerate(plain) for b in plain[i:])]


def ground(one: SceneQuestion) -> list[float]:
    """The picture without its plates, at 16x12 px."""
    return list(np.asarray(paint(Scene((), one.scene.clutter), (64, 48)).reduce(4), dtype=float).mean(axis=-1).ravel())


@pytest.mark.slow
@pytest.mark.parametrize("features", [words, standing, ground])
@pytest.mark.parametrize("category", [DIRECT, RELATIVE])
def test_a_classifier_without_the_targets_picture_finds_chance(
    asked: Set, fresh: Set, category: str, features: Callable[[SceneQuestion], list[float]]
) -> None:
    train, test = of(asked, category), of(fresh, category)
    low, high = interval(guessed(train, test, features), test)
    assert low <= 1 / len(test[0].options) <= high


@pytest.mark.slow
def test_a_classifier_that_sees_what_is_asked_does_not_find_chance(asked: Set, fresh: Set) -> None:
    def told(one: SceneQuestion) -> list[float]:
        return [float(option == one.targets[0].dot) for option in one.options]

    train, test = of(asked, DIRECT), of(fresh, DIRECT)
    assert interval(guessed(train, test, told), test)[0] > 0.9


def test_letters_answers_and_sizes_are_balanced() -> None:
    for category, options in ((DIRECT, 4), (RELATIVE, 2)):
        some = of(make_questions(TEST_COUNT, seed="balance"), category)
        right = Counter(one.right for one in some)
        answers = Counter(one.options[one.right] for one in some)
        assert len(right) == options
        assert max(right.values()) - min(right.values()) <= 4
        assert max(answers.values()) - min(answers.values()) <= 4
        sides = sorted(one.targets[0].side for one in some)
        assert sides[0] >= SMALLEST and sides[-1] <= LARGEST
        assert np.median(sides) == pytest.approx((SMALLEST * LARGEST) ** 0.5, rel=0.1)


def test_equal_seeds_give_equal_questions_and_others_give_others() -> None:
    assert make_questions(40, seed="a") == make_questions(40, seed="a")
    grounds = [
        {one.scene.clutter for one in make_questions(60, seed=seed)} for seed in (TEST_SEED, f"{TRAINING}/{TEST_SEED}", "a")
    ]
    assert not grounds[0] & grounds[1]
    assert not grounds[0] & grounds[2]


def test_training_seeds_cannot_be_the_test_sets() -> None:
    assert not TEST_SEED.startswith(TRAINING)
    sources = (Path(__file__).parents[2] / "training").rglob("*.py")
    assert not [path for path in sources if "TEST_SEED" in path.read_text() or f'seed="{TEST_SEED}"' in path.read_text()]


def test_right_options_are_true_of_the_scene_and_plates_are_told_by_their_colour(asked: Set) -> None:
    for one in asked[:400]:
        colours = [plate.colour for plate in one.scene.plates]
        assert len(set(colours)) == len(colours)
        if one.category == DIRECT:
            assert one.options[one.right] == one.targets[0].dot
            assert one.targets[0].colour not in one.options
        else:
            first, second = one.targets
            assert abs(first.x - second.x) >= LEAST_GAP * 0.99
            assert one.options[one.right] == ("left" if first.x < second.x else "right")


@pytest.mark.slow
def test_boxes_hold_the_plate_to_the_pixel() -> None:
    for one in make_questions(20, seed="boxes"):
        with_, without = (
            paint(one.scene),
            paint(Scene(tuple(p for p in one.scene.plates if p not in one.targets), one.scene.clutter)),
        )
        changed = np.asarray(with_, dtype=int) != np.asarray(without, dtype=int)
        rows, columns = np.nonzero(changed.any(axis=-1))
        boxes = [pixel_box(target, NATIVE) for target in one.targets]
        assert (columns.min(), rows.min()) == (min(b[0] for b in boxes), min(b[1] for b in boxes))
        assert (columns.max() + 1, rows.max() + 1) == (max(b[2] for b in boxes), max(b[3] for b in boxes))


def test_plates_lie_within_the_picture_and_apart(asked: Set) -> None:
    for one in asked[:300]:
        boxes = [plate.corners(NATIVE[0]) for plate in one.scene.plates]
        assert all(x1 >= 0 and y1 >= 0 and x2 <= NATIVE[0] and y2 <= NATIVE[0] * ASPECT for x1, y1, x2, y2 in boxes)
        overlapping = [
            (a, b)
            for i, a in enumerate(boxes)
            for b in boxes[:i]
            if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
        ]
        assert not overlapping


def test_targets_span_what_is_readable_at_224_448_672_and_only_in_a_zoom(asked: Set) -> None:
    limits = PixelLimits(28, 112 * 112, 3840 * 3840)
    shown = {name: shown_size(NATIVE, RESOLUTIONS[name], limits)[0] for name in ("224", "448", "672", "native")}
    assert shown == {"224": 252, "448": 504, "672": 756, "native": 1260}
    least = [min(t.side for t in one.targets) for one in of(asked, DIRECT)]
    share = {name: np.mean([side * width >= 10 for side in least]) for name, width in shown.items()}
    assert 0.15 < share["224"] < share["448"] - 0.15
    assert share["448"] < share["672"] - 0.1
    assert share["672"] < share["native"] - 0.1
    assert share["native"] < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["224", "448", "672", "native"])
def test_the_shown_image_keeps_the_aspect_and_training_shows_the_same_sizes(resolution: str) -> None:
    from training.mini.language import ALL_SIZES

    width, height = shown_size(NATIVE, RESOLUTIONS[resolution], PixelLimits(28, 112 * 112, 3840 * 3840))
    assert width * NATIVE[1] == height * NATIVE[0]
    assert (width, height) in [views.size for views in ALL_SIZES]


@pytest.mark.slow
def test_the_set_without_data_is_drawn_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COF_CACHE", str(tmp_path))
    monkeypatch.setattr(vstar_mini, "TEST_COUNT", FEW)
    first = BENCHMARKS["vstar_mini"].load(None)
    stamps = [Path(item.image.path or "").stat().st_mtime_ns for item in first]
    assert BENCHMARKS["vstar_mini"].load(None) == first
    assert [Path(item.image.path or "").stat().st_mtime_ns for item in first] == stamps
    assert len(first) == FEW
    assert {item.question.benchmark for item in first} == {"vstar_mini"}
    assert load_native(first[0].image.read()).size == NATIVE
    for item, one in zip(first, make_questions(FEW, seed=TEST_SEED), strict=True):
        assert item.question.options == one.options
        assert item.question.answer_text == one.options[one.right]
        assert len(item.question.boxes) == len(one.targets)


def test_a_set_is_written_from_any_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "one"), "--count", "4", "--seed", "7"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'one'}: written\n"
    assert [item.question.text for item in BENCHMARKS["vstar_mini"].load(tmp_path / "one")] == [
        vstar_mini.question_text(one) for one in make_questions(4, seed="7")
    ]
    assert main([str(tmp_path / "none"), "--count", "0"]) == 2
    assert "expected a count of at least 1" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COF_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="choose another place with COF_CACHE"):
        BENCHMARKS["vstar_mini"].load(None)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a set of 0 questions"):
        write_folder(tmp_path, count=0, seed=1)
