"""The run folder: one writer, one identity, every record kept, and readable at any moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from fakes import FaultyDisk, Killer, noise, question, trajectory
from PIL import Image

from cof_eval.agent.protocols import COF
from cof_eval.core.errors import RunError
from cof_eval.core.images import pixel_hash
from cof_eval.core.records import Outcome, Row, Stop, Verdict, to_json, verdict_key
from cof_eval.core.settings import KeepImages
from cof_eval.runs.folder import RESOURCE_ARGS, RunFolder, image_path, load_run, load_settings

SETTINGS: dict[str, Any] = {
    "label": "tiny · cof",
    "model": {"pretrained": "tiny", "fingerprint": "f0"},
    "protocol": msgspec.to_builtins(COF),
    "engine": {"name": "vllm", "engine_args": {"dtype": "float32", "max_num_seqs": 8}, "max_images": 6},
    "seed": 0,
    "judge": {"card": "card", "model": ""},
    "tasks": {"cof_vstar_224": 2},
}


def row(doc_id: int = 0, *, task: str = "cof_vstar_224", key: str = "k", repeat: int = 0) -> Row:
    return Row(task, doc_id, str(doc_id), "vstar", "224", repeat, key, 50_176)


def verdict(model: str = "", outcome: Outcome = Outcome.CORRECT, card: str = "card", answer: str = "B") -> Verdict:
    return Verdict(verdict_key(card, model, question(), answer), card, model, outcome, "judge")


def changed(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """The settings with one of them changed."""
    settings = deepcopy(SETTINGS)
    at = settings
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def make(path: Path, settings: dict[str, Any] = SETTINGS, **options: Any) -> None:
    RunFolder(path, settings, **options).close()


class TestIdentity:
    @pytest.mark.parametrize(
        ("where", "value", "said"),
        [
            (("seed",), 1, "seed was 0, now 1"),
            (("model", "fingerprint"), "f1", "model.fingerprint was 'f0', now 'f1'"),
            (("engine", "name"), "openai", "engine.name was 'vllm', now 'openai'"),
            (("engine", "max_images"), 5, "engine.max_images was 6, now 5"),
            (("engine", "engine_args", "dtype"), "bfloat16", "engine.engine_args.dtype was 'float32', now 'bfloat16'"),
            (("engine", "engine_args"), {}, "engine.engine_args.dtype was 'float32', now None"),
            (("engine", "engine_args", "a"), {"b": [1, 2]}, "engine.engine_args.a was None, now {'b': [1, 2]}"),
            (("protocol", "widen"), 2.0, "protocol.widen was 1.5, now 2.0"),
            (("protocol", "name"), "direct", "protocol.name was 'cof', now 'direct'"),
            (("protocol", "system"), "x" * 100, "now 'xxxxxxxx"),
        ],
    )
    def test_other_settings_are_refused_naming_the_setting_and_both_values(
        self, path: Path, where: tuple[str, ...], value: object, said: str
    ) -> None:
        make(path)
        before = (path / "run.yaml").read_bytes()
        with pytest.raises(RunError, match="was made with other settings") as caught:
            make(path, changed(where, value))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert (path / "run.yaml").read_bytes() == before
        make(path)  # the refusal let go of the folder

    def test_every_difference_is_named(self, path: Path) -> None:
        make(path)
        with pytest.raises(RunError, match=r"model.fingerprint .*; protocol.max_turns .*; seed "):
            make(
                path, {**changed(("protocol", "max_turns"), 2), "seed": 1, "model": {"pretrained": "tiny", "fingerprint": "x"}}
            )

    def test_other_questions_under_the_same_name_are_refused(self, path: Path) -> None:
        RunFolder(path, {**SETTINGS, "data": {"vstar": "d0"}}).close()
        with pytest.raises(RunError, match=r"data\.vstar was 'd0', now 'd1'"):
            RunFolder(path, {**SETTINGS, "data": {"vstar": "d1"}})
        with RunFolder(path, {**SETTINGS, "data": {"hrbench4k": "h0"}}) as run:
            assert run.settings["data"] == {"vstar": "d0", "hrbench4k": "h0"}

    def test_a_session_without_a_judge_never_unscores_what_an_earlier_version_of_the_card_scored(self, path: Path) -> None:
        first = {"card": "c@1", "model": "big"}
        RunFolder(path, {**SETTINGS, "judge": first}).close()
        before = (path / "run.yaml").read_bytes()
        with pytest.raises(RunError, match=r"judged by c:big under another version .*c@1, now c@2.*--judge-url") as caught:
            RunFolder(path, {**SETTINGS, "judge": {"card": "c@2", "model": ""}})
        assert "\n" not in str(caught.value)
        assert (path / "run.yaml").read_bytes() == before
        for later in ({"card": "c@2", "model": "big"}, {"card": "c@2", "model": ""}, {"card": "strict@1", "model": ""}):
            with RunFolder(path, {**SETTINGS, "judge": later}) as run:
                used = run.settings["judge"]
            assert used == (later if later["model"] or "strict" in later["card"] else {"card": "c@2", "model": "big"})

    def test_a_later_session_takes_no_provenance_away(self, path: Path) -> None:
        first = {"notes": ["random weights"], "versions": {"vllm": "1"}, "sessions": [{"commit": "a"}]}
        RunFolder(path, {**SETTINGS, **first, "judge": {"card": "c", "model": "big"}}).close()
        second = {"notes": [], "versions": {"vllm": "2"}, "sessions": [{"commit": "b"}]}
        RunFolder(path, {**SETTINGS, **second, "judge": {"card": "c", "model": ""}}).close()
        settings = load_settings(path)
        assert settings["notes"] == ["random weights", "sessions ran with different versions, see `sessions` in run.yaml"]
        assert settings["versions"] == {"vllm": "1"}
        assert settings["sessions"] == [{"commit": "a"}, {"commit": "b"}]
        assert settings["judge"] == {"card": "c", "model": "big"}

    def test_a_checkpoint_may_lie_elsewhere(self, path: Path) -> None:
        RunFolder(path, SETTINGS).close()
        moved = {**SETTINGS, "model": {"pretrained": "elsewhere/tiny", "fingerprint": "f0"}}
        with RunFolder(path, moved) as run:
            assert run.settings["model"]["pretrained"] == "elsewhere/tiny"

    @pytest.mark.parametrize("name", sorted(RESOURCE_ARGS))
    def test_what_only_says_how_to_compute_may_change(self, path: Path, name: str) -> None:
        make(path)
        make(path, changed(("engine", "engine_args", name), 123))
        assert load_settings(path)["engine"]["engine_args"][name] == 123

    @pytest.mark.parametrize(
        ("name", "value"),
        [("label", "x"), ("judge", {"card": "other", "model": "m"}), ("machine", {}), ("versions", {"python": "4"})],
    )
    def test_what_is_not_the_trajectories_identity_may_change_and_the_last_session_is_recorded(
        self, path: Path, name: str, value: object
    ) -> None:
        make(path)
        make(path, {**SETTINGS, name: value})
        assert load_settings(path)[name] == value

    def test_the_very_settings_that_made_it_are_the_same_after_yaml(self, path: Path) -> None:
        odd = changed(
            ("engine", "engine_args"), {"t": (1, 2), "f": 1e-7, "s": "1e5", "on": "on", "none": None, "u": "ä\n", "b": True}
        )
        make(path, odd)
        make(path, odd)


class TestTasks:
    def test_of_later_sessions_are_added(self, path: Path) -> None:
        make(path)
        make(path, {**SETTINGS, "tasks": {"cof_vstar_448": 3}})
        assert load_settings(path)["tasks"] == {"cof_vstar_224": 2, "cof_vstar_448": 3}
        assert load_run(path).expected_rows == 5

    @pytest.mark.parametrize(("first", "second"), [(2, 191), (191, 2)])
    def test_count_as_many_rows_as_any_session_asked_for(self, path: Path, first: int, second: int) -> None:
        for rows in (first, second):
            make(path, {**SETTINGS, "tasks": {"cof_vstar_224": rows}})
        assert load_run(path).expected_rows == 191

    def test_a_row_is_written_once_over_all_sessions(self, path: Path) -> None:
        for _ in range(2):
            with RunFolder(path, SETTINGS) as run:
                run.add_rows([row(0), row(1), row(0)])
                run.add_rows([row(1), row(1, repeat=1)])
        assert len((path / "rows.jsonl").read_bytes().splitlines()) == 3
        assert load_run(path).rows == (row(0), row(1), row(1, repeat=1))

    def test_a_row_whose_work_changed_replaces_the_earlier_one(self, path: Path) -> None:
        """As when an image that could not be read was mended: the question still counts once."""
        for key in ("unreadable", "readable"):
            with RunFolder(path, SETTINGS) as run:
                run.add_rows([row(0, key=key), row(1, key="other")])
        run_ = load_run(path)
        assert [r.trajectory for r in run_.rows] == ["readable", "other"]
        assert run_.expected_rows == 2


class TestLock:
    def test_a_second_writer_in_the_same_process_is_refused(self, path: Path) -> None:
        with (
            RunFolder(path, SETTINGS),
            pytest.raises(RunError, match="in use by another process; wait for it, or choose another"),
        ):
            make(path)
        make(path)

    @pytest.mark.slow
    def test_a_second_process_is_refused_while_the_first_lives_and_admitted_after_its_sigkill(self, path: Path) -> None:
        program = Path(__file__).parents[1] / "programs" / "hold_run.py"
        first = subprocess.Popen([sys.executable, str(program), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert first.stdin and first.stdout
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="in use by another process"):
            make(path, {"model": "m"})
        assert load_run(path).rows == ()  # reading needs no lock
        first.kill()
        first.wait()
        make(path, {"model": "m"})  # although a worker of the first lives on
        first.stdin.close()
        first.stdout.read()

    @pytest.mark.parametrize("settings", [{**SETTINGS, "seed": 1}, SETTINGS], ids=["other settings", "damaged journal"])
    def test_a_folder_that_was_refused_is_let_go(self, path: Path, settings: dict[str, Any]) -> None:
        make(path)
        (path / "verdicts.jsonl").write_bytes(b"damaged\n")
        with pytest.raises(RunError):
            RunFolder(path, settings)
        (path / "verdicts.jsonl").unlink()
        make(path)


class TestBadFolder:
    def test_one_with_other_files_is_refused_and_not_touched(self, path: Path) -> None:
        path.mkdir()
        (path / "thesis.tex").write_text("x")
        with pytest.raises(RunError, match=r"is not empty \(thesis\.tex, …\) and no run folder; choose another with --out"):
            make(path)
        assert {p.name for p in path.iterdir()} <= {"thesis.tex", ".lock"}

    @pytest.mark.parametrize("place", ["", "below"])
    def test_one_that_cannot_be_made_is_refused(self, path: Path, place: str) -> None:
        path.write_text("a file")
        with pytest.raises(RunError, match=r"cannot use .* as a run folder: .*; choose another with --out"):
            make(path / place)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_one_that_cannot_be_written_is_refused(self, path: Path) -> None:
        path.mkdir(mode=0o500)
        with pytest.raises(RunError, match="cannot use"):
            make(path)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "has format None; this version of cof-eval reads format 1"),
            (b"- 1\n", "has format None"),
            (b"format: 2\n", "has format 2"),
            (b"seed: 1\n", "has format None"),
            (b"format: [1\n", "is damaged: .*; restore it, or start a new run"),
            (b"a: b: c\n", "is damaged"),
            (b"\xff\xfe\x00", "is damaged"),
            (b"label: \xe4\n", "is damaged"),
            (b"\0" * 64, "is damaged"),
        ],
    )
    @pytest.mark.parametrize("use", [make, load_run, load_settings])
    def test_a_run_yaml_that_is_damaged_or_of_another_version_is_named(
        self, path: Path, content: bytes, said: str, use: Callable[[Path], object]
    ) -> None:
        make(path)
        (path / "run.yaml").write_bytes(content)
        with pytest.raises(RunError, match=rf"run\.yaml {said}") as caught:
            use(path)
        assert "\n" not in str(caught.value)
        assert (path / "run.yaml").read_bytes() == content

    @pytest.mark.parametrize("use", [load_run, load_settings])
    def test_one_without_run_yaml_is_no_run_folder(self, path: Path, use: Callable[[Path], object]) -> None:
        for _ in range(2):
            with pytest.raises(RunError, match=r"is no run folder: it has no run\.yaml"):
                use(path)
            path.mkdir(exist_ok=True)
        assert list(path.iterdir()) == []

    @pytest.mark.parametrize("name", ["rows", "trajectories", "verdicts"])
    @pytest.mark.parametrize("use", [make, load_run])
    def test_a_damaged_line_is_named_by_file_and_number(self, path: Path, name: str, use: Callable[[Path], object]) -> None:
        make(path)
        (path / f"{name}.jsonl").write_bytes(b'{"key": 1}\n{}\n')
        with pytest.raises(RunError, match=rf"{name}\.jsonl, line 1 is damaged"):
            use(path)


class TestRunYaml:
    def test_is_replaced_whole_so_a_reader_keeps_what_it_opened(self, path: Path) -> None:
        make(path)
        with (path / "run.yaml").open("rb") as opened:
            make(path, {**SETTINGS, "label": "x" * 10_000})
            assert yaml.safe_load(opened)["label"] == SETTINGS["label"]
        assert {p.name for p in path.iterdir()} == {
            ".lock",
            "run.yaml",
            *(f"{name}.jsonl" for name in ("questions", "rows", "trajectories", "verdicts")),
        }

    def test_that_cannot_be_replaced_is_an_error_and_leaves_nothing_behind(self, path: Path) -> None:
        path.mkdir()
        (path / "run.yaml").symlink_to("run.yaml")  # a link to itself can be neither read nor taken for a file
        with pytest.raises(RunError):
            make(path)
        assert {p.name for p in path.iterdir()} <= {".lock", "run.yaml"}

    def test_half_written_when_the_first_process_died_does_not_make_the_folder_foreign(self, path: Path) -> None:
        path.mkdir()
        (path / ".lock").touch()
        (path / ".run.yaml.123-456.tmp").write_text("format: 1\nlab")
        make(path)
        assert load_run(path).expected_rows == 2

    @pytest.mark.slow
    def test_is_whole_after_sigkill_at_any_moment_and_the_folder_opens_again(self, path: Path) -> None:
        chance = random.Random(0)
        opened = 0
        with Killer("open_until_killed.py") as killer:
            for number in range(100):
                folder = path / str(number // 6)  # the first opening matters most
                said, killed = killer.round(folder, after_words=chance.randrange(2), after_us=int(10 ** chance.uniform(2, 4.3)))
                opened += len(said)
                assert killed
                if said:
                    assert load_settings(folder)["model"] == "m"
                make(folder, {"model": "m"})
        assert opened


class TestImages:
    @pytest.mark.parametrize("keep", KeepImages)
    def test_are_stored_by_hash_as_asked(self, path: Path, keep: KeepImages) -> None:
        image = noise(1500, 300)
        name = pixel_hash(image)
        with RunFolder(path, SETTINGS, keep_images=keep) as run:
            run.keep_image(name, image)
            run.keep_image(name, image)
        stored = [p for p in path.rglob("*") if p.is_file() and "images" in p.parts]
        if keep is KeepImages.NONE:
            assert not (path / "images").exists()
        else:
            exact = keep is KeepImages.ALL
            assert stored == [image_path(path, name, exact=exact)]
            with Image.open(stored[0]) as read:
                assert read.size == ((1500, 300) if exact else (1024, 205))
                assert not exact or read.tobytes() == image.tobytes()

    def test_one_that_cannot_be_written_is_an_error(self, path: Path) -> None:
        with RunFolder(path, SETTINGS) as run:
            (path / "images").write_text("in the way")
            with pytest.raises(RunError, match=r"cannot write .*\.jpg: .*free space and run the same command again"):
                run.keep_image("ab", noise(28, 28))


class TestReading:
    def test_an_empty_run_has_nothing_but_its_settings(self, path: Path) -> None:
        make(path)
        run = load_run(path)
        assert (run.rows, run.trajectories, run.verdicts, run.expected_rows) == ((), {}, {}, 2)
        assert run.settings["label"] == "tiny · cof"

    def test_a_run_killed_before_its_journals_were_made_is_empty(self, path: Path) -> None:
        make(path)
        for file in path.glob("*.jsonl"):
            file.unlink()
        assert load_run(path).expected_rows == 2

    def test_an_unfinished_run_has_rows_without_trajectory_and_trajectories_without_verdict(self, path: Path) -> None:
        with RunFolder(path, SETTINGS) as run:
            run.add_rows([row(0, key="k"), row(1, key="missing")])
            run.add_trajectory(trajectory())
            read = load_run(path)  # while it is written
        assert (len(read.rows), set(read.trajectories), read.verdicts) == (2, {"k"}, {})

    @pytest.mark.parametrize("name", ["rows", "trajectories", "verdicts"])
    def test_a_torn_last_line_is_passed_over_and_left_as_it_is(self, path: Path, name: str) -> None:
        with RunFolder(path, SETTINGS) as run:
            run.add_rows([row(0)])
            run.add_trajectory(trajectory())
            run.add_verdict(verdict())
        whole = load_run(path)
        with (path / f"{name}.jsonl").open("ab") as file:
            file.write(b'{"key": "torn')
        content = (path / f"{name}.jsonl").read_bytes()
        assert load_run(path) == whole
        assert (path / f"{name}.jsonl").read_bytes() == content

    def test_a_later_trajectory_replaces_one_that_failed(self, path: Path) -> None:
        with RunFolder(path, SETTINGS) as run:
            run.add_trajectory(trajectory(stop=Stop.ERROR, answer="", error="engine"))
            assert run.finished("k") is None
            run.add_trajectory(trajectory())
        for found in (load_run(path).trajectories["k"], RunFolder(path, SETTINGS).finished("k")):
            assert found == trajectory()

    @pytest.mark.parametrize("stop", [s for s in Stop if s is not Stop.ERROR])
    def test_what_ended_without_an_error_is_finished(self, path: Path, stop: Stop) -> None:
        with RunFolder(path, SETTINGS) as run:
            run.add_trajectory(trajectory(stop=stop))
            assert run.finished("k") is not None
            assert run.finished("other") is None


class TestVerdicts:
    @pytest.mark.parametrize(
        ("card", "model", "outcome"),
        [
            ("card", "", Outcome.WRONG),
            ("card", "big", Outcome.CORRECT),
            ("card", "small", Outcome.WRONG),  # the rules' verdict, which no judge model was needed for
            ("strict", "big", Outcome.UNSCORED),
            ("other", "", None),
            ("strict", "", Outcome.UNSCORED),
        ],
    )
    def test_are_those_of_the_card_and_judge_model_in_use(
        self, path: Path, card: str, model: str, outcome: Outcome | None
    ) -> None:
        with RunFolder(path, {**SETTINGS, "judge": {"card": card, "model": model}}) as run:
            run.add_trajectory(trajectory())
            run.add_verdict(verdict("", Outcome.WRONG))
            run.add_verdict(verdict("big", Outcome.CORRECT))
            run.add_verdict(verdict("", Outcome.UNSCORED, card="strict"))
        found = load_run(path).verdicts.get("k")
        assert (found.verdict if found else None) == outcome

    def test_of_equal_answers_are_shared_by_their_trajectories(self, path: Path) -> None:
        with RunFolder(path, SETTINGS) as run:
            for key in ("a", "b"):
                run.add_trajectory(trajectory(key=key))
            run.add_trajectory(trajectory(key="c", answer="C"))
            run.add_verdict(verdict())
        assert set(load_run(path).verdicts) == {"a", "b"}

    def test_a_later_one_replaces_one_that_was_unscored(self, path: Path) -> None:
        with RunFolder(path, SETTINGS) as run:
            run.add_trajectory(trajectory())
            run.add_verdict(verdict(outcome=Outcome.UNSCORED))
            run.add_verdict(verdict())
        assert load_run(path).verdicts["k"].verdict is Outcome.CORRECT

    @pytest.mark.parametrize("stop", [s for s in Stop if s is not Stop.ANSWERED])
    def test_of_stops_need_no_record(self, path: Path, stop: Stop) -> None:
        with RunFolder(path, SETTINGS) as run:
            run.add_trajectory(trajectory(stop=stop, answer=""))
            run.add_verdict(verdict(answer=""))  # of an answer that was empty: says nothing about a stop
        found = load_run(path).verdicts["k"]
        assert (found.by, found.verdict) == (f"stop:{stop}", Outcome.UNSCORED if stop is Stop.ERROR else Outcome.WRONG)

    def test_a_run_without_a_judge_setting_still_reads(self, path: Path) -> None:
        with RunFolder(path, {k: v for k, v in SETTINGS.items() if k != "judge"}) as run:
            run.add_trajectory(trajectory(stop=Stop.LENGTH))
        assert load_run(path).verdicts["k"].verdict is Outcome.WRONG


@pytest.mark.parametrize("at", range(6))
def test_a_disk_that_fails_loses_only_what_was_not_acknowledged(path: Path, at: int) -> None:
    add: list[Callable[[RunFolder], None]] = [
        lambda run: run.add_rows([row()]),
        lambda run: run.add_trajectory(trajectory()),
        lambda run: run.add_verdict(verdict()),
    ]
    done = 0
    with RunFolder(path, SETTINGS, disk=FaultyDisk(fail_at=at)) as run:
        for step in add:
            try:
                step(run)
            except RunError as error:
                assert "No space left on device" in str(error)
                break
            done += 1
        assert [len(x) for x in (run.rows, run.trajectories, run.verdicts)] == [int(done > i) for i in range(3)]
    assert done == at // 2
    read = load_run(path)
    assert [len(x) for x in (read.rows, read.trajectories, read.verdicts)] == [int(done > i) for i in range(3)]


def test_a_trajectory_is_one_line_of_the_file_named_in_the_layout(path: Path) -> None:
    with RunFolder(path, SETTINGS) as run:
        run.add_trajectory(trajectory())
        run.add_trajectory(replace(trajectory(), key="l"))
    assert (path / "trajectories.jsonl").read_bytes() == b"".join(
        to_json(t) + b"\n" for t in (trajectory(), trajectory(key="l"))
    )


def served(*weights: str, **replies: dict[str, int]) -> dict[str, Any]:
    """Settings of a served run whose server tells these weights."""
    facts = {"weights": list(weights), "asked": {"http://a/v1": {"owned_by": "vllm"}}, "replies": replies}
    return {**SETTINGS, "engine": {"name": "openai", "served": "m"}, "servers": {"model": facts}}


class TestServers:
    def test_other_weights_under_the_same_name_are_refused_with_the_difference(self, path: Path) -> None:
        make(path, served("/models/step-100"))
        make(path, served("/models/step-100"))
        with pytest.raises(RunError, match="the server's weights were /models/step-100, now /models/step-200"):
            make(path, served("/models/step-200"))

    @pytest.mark.parametrize(("before", "after"), [((), ("/models/a",)), (("/models/a",), ()), ((), ())])
    def test_where_the_server_does_not_tell_the_run_says_so(
        self, path: Path, before: tuple[str, ...], after: tuple[str, ...]
    ) -> None:
        make(path, served(*before))
        assert not any("different weights" in note for note in load_settings(path).get("notes") or [])
        make(path, served(*after))
        assert any("sessions may have used different weights" in note for note in load_settings(path)["notes"])

    def test_what_servers_did_is_added_over_sessions(self, path: Path) -> None:
        refused = {
            "weights": ["/m"],
            "asked": {"http://a/v1": {"left_out": {"top_k": "unknown"}}},
            "replies": {"mended": {"x": 2}},
        }
        with RunFolder(path, served("/m")) as run:
            run.record_servers({"model": refused})
            run.record_servers({"model": {**refused, "replies": {"mended": {"x": 5}}}})  # the whole session's counts again
        with RunFolder(path, served("/m")) as run:
            run.record_servers(
                {"model": {"weights": ["/m"], "asked": {"http://b/v1": {}}, "replies": {"mended": {"x": 1, "y": 1}}}}
            )
        facts = load_settings(path)["servers"]["model"]
        assert facts["replies"] == {"mended": {"x": 6, "y": 1}}
        assert facts["weights"] == ["/m"]
        assert facts["asked"] == {"http://a/v1": {"owned_by": "vllm", "left_out": {"top_k": "unknown"}}, "http://b/v1": {}}
