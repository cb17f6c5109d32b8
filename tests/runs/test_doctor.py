"""`cof-eval doctor`: what it finds of data, servers and judges in every state, before anything is generated."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from fake_server import ChatRequest, Fault, image_pad, scripted, serve, tiny_checkpoint
from PIL import Image

from cof_eval.agent.protocols import COF
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.resolution import parse_resolution
from cof_eval.core.settings import ModelSettings
from cof_eval.runs.doctor import examine
from cof_eval.runs.finding import Level

pytestmark = pytest.mark.slow

OK, WARNING, FAILED = Level.OK, Level.WARNING, Level.FAILED


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "vstar", count=4, seed=2)


def found(tiny: Path, data: Path, *resolutions: str, limit: int | None = None, **settings: Any) -> dict[str, tuple[Level, str]]:
    """What doctor finds, by what was looked at."""

    async def run() -> dict[str, tuple[Level, str]]:
        findings = examine(
            ModelSettings(**{"pretrained": str(tiny), "engine": "openai"} | settings),
            COF,
            benchmarks=[("vstar", data)],
            resolutions=[parse_resolution(name) for name in resolutions or ("224",)],
            limit=limit,
        )
        return {finding.what: (finding.level, finding.says) async for finding in findings}

    return asyncio.run(run())


def healthy(tiny: Path, **options: Any) -> Any:
    return serve(**{"models": [tiny.name], "image_pad": image_pad(tiny)} | options)


def closed_url() -> str:
    """A base URL where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def test_a_healthy_set_up_is_told_with_its_costs_and_asked_for_three_replies(tiny: Path, scenes: Path) -> None:
    with healthy(tiny) as server, serve() as judge:
        findings = found(tiny, scenes, "224", "448", base_url=server.url, judge_url=judge.url)
    assert {level for level, _ in findings.values()} == {OK}
    assert findings["data of vstar"][1].startswith("4 questions, 8 distinct rollouts, at least ")
    assert findings["image format"][1] == "images travel as bmp"
    assert findings["coordinates"][1] == "8 scripted zooms of cof show what they point at"
    assert (
        findings["judge"][1]
        == "equivalence, served as 'served' (served name only); it decides a right and a wrong pair rightly"
    )
    assert [asked.body["max_tokens"] for asked in server.log] == [1, 1, COF.max_new_tokens]
    assert [len(asked.images) for asked in server.log] == [COF.max_images, 1, 1]
    assert findings["reply, tried"] == (OK, "a call is read")
    assert len(judge.judged) == 2


def test_a_limit_counts_only_the_first_questions(tiny: Path, scenes: Path) -> None:
    with healthy(tiny) as server:
        findings = found(tiny, scenes, limit=3, base_url=server.url)
    assert findings["data of vstar"][1].startswith("3 questions, 3 distinct rollouts")


def test_a_server_that_takes_fewer_images_is_found(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, fault=lambda asked: Fault.TOO_MANY_IMAGES if len(asked.images) > 1 else None) as server:
        findings = found(tiny, scenes, base_url=server.url)
    level, says = findings["images, tried"]
    assert level is FAILED
    assert "At most 1 image" in says
    assert "--limit-mm-per-prompt '{\"image\": 6}'" in says


def test_a_server_that_shrinks_the_largest_image_is_found(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, extra_visual=-3) as server:
        findings = found(tiny, scenes, "224", "672", base_url=server.url)
    level, says = findings["pixels at 672, tried"]
    assert level is FAILED
    assert "an image of 812×532 became 548 visual tokens, 551 were predicted" in says


def test_a_server_that_does_not_tell_its_tokens_is_a_warning(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, image_pad=None) as server:
        assert found(tiny, scenes, base_url=server.url)["pixels at 224, tried"][0] is WARNING


def test_a_context_that_is_too_small_for_a_resolution_is_found(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, context=4096) as server:
        findings = found(tiny, scenes, "224", "4k", base_url=server.url)
    assert findings["context at 4k"][0] is FAILED
    assert "4,096 fit" in findings["context at 4k"][1]


def test_another_model_than_the_runs_is_a_warning(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, models=["another"]) as server:
        assert found(tiny, scenes, base_url=server.url)["served model"][0] is WARNING


def test_each_of_several_servers_is_tried_and_a_silent_one_told(tiny: Path, scenes: Path) -> None:
    with healthy(tiny) as first, healthy(tiny) as second:
        findings = found(tiny, scenes, base_url=f"{first.url},{closed_url()},{second.url}")
        assert [len(first.log), len(second.log)] == [3, 3]
    assert findings["engine openai"][0] is OK
    with healthy(tiny) as alone:
        findings = found(tiny, scenes, base_url=f"{alone.url},{closed_url()}")
    assert findings["server"][0] is WARNING
    assert "no OpenAI-compatible server answers" in findings["server"][1]


def test_no_server_is_one_failure_and_data_and_judge_are_looked_at_all_the_same(tiny: Path, scenes: Path) -> None:
    findings = found(tiny, scenes / "nowhere", base_url=closed_url(), judge_url=closed_url())
    assert {what: level for what, (level, _) in findings.items()} == {
        "data of vstar": FAILED,
        "engine openai": FAILED,
        "judge": FAILED,
    }
    assert all("\n" not in says for _, says in findings.values())


def test_images_that_cannot_be_shown_are_counted(tiny: Path, scenes: Path) -> None:
    first = sorted(scenes.rglob("*.jpg"))[0]
    first.write_bytes(b"no image")
    with healthy(tiny) as server:
        level, says = found(tiny, scenes, "224", "448", base_url=server.url)["data of vstar"]
    assert level is WARNING
    assert "; 1 images cannot be shown, the first: " in says


def test_one_thin_image_is_counted_and_everything_else_is_looked_at(tiny: Path, scenes: Path) -> None:
    first = sorted(scenes.rglob("*.jpg"))[0]
    Image.new("RGB", (3000, 3)).save(first)
    with healthy(tiny) as server:
        findings = found(tiny, scenes, "224", "448", base_url=server.url)
    assert findings["data of vstar"][0] is WARNING
    assert "; 1 images cannot be shown, the first: " in findings["data of vstar"][1]
    assert {"coordinates", "images, tried", "judge"} <= set(findings)


def test_bad_rows_are_counted_apart_from_questions(tiny: Path, scenes: Path) -> None:
    with (scenes / "test_questions.jsonl").open("a") as rows:
        rows.write('{"image": 7}\n')
    with healthy(tiny) as server:
        level, says = found(tiny, scenes, base_url=server.url)["data of vstar"]
    assert level is WARNING
    assert says.startswith("4 questions, 4 distinct rollouts")
    assert "1 of 5 rows cannot be asked and do not count; the first: " in says


def test_without_a_judge_undecided_answers_stay_unscored_and_strict_needs_none(tiny: Path, scenes: Path) -> None:
    with healthy(tiny) as server:
        assert found(tiny, scenes, base_url=server.url)["judge"][0] is WARNING
        assert found(tiny, scenes, base_url=server.url, judge="strict")["judge"] == (OK, "strict, rules only")


@pytest.mark.parametrize(("label", "says"), [("1", "replied '1' to a wrong answer"), ("0", "replied '0' to a right answer")])
def test_a_judge_that_always_says_the_same_is_found_out(tiny: Path, scenes: Path, label: str, says: str) -> None:
    with healthy(tiny) as server, serve(label=lambda prompt: label) as judge:
        level, text = found(tiny, scenes, base_url=server.url, judge_url=judge.url)["judge"]
    assert level is FAILED
    assert says in text


def test_an_engine_in_process_is_looked_at_without_its_weights(tiny: Path, scenes: Path) -> None:
    findings = found(tiny, scenes, engine="transformers")
    assert findings["engine transformers"][0] is OK
    assert "images, tried" not in findings


def test_a_checkpoint_that_is_none_is_found(scenes: Path, tmp_path: Path) -> None:
    assert found(tmp_path, scenes, engine="transformers")["engine transformers"][0] is FAILED


class TestUnfetched:
    """Benchmarks that are not on this machine: nothing is downloaded to look at them."""

    @pytest.fixture(autouse=True)
    def hub(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
        """A hub that can be reached, and what was asked of it; an empty cache."""
        import huggingface_hub

        asked: list[str] = []

        def fetch(repository: str, *, local_files_only: bool, **_: object) -> str:
            assert local_files_only, "something was fetched"
            raise huggingface_hub.errors.LocalEntryNotFoundError("not here")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda _, repository, timeout: asked.append(repository))
        return asked

    def unfetched(self, name: str, *resolutions: str, limit: int | None = None) -> tuple[Level, str]:
        async def run() -> tuple[Level, str]:
            with serve() as server:
                findings = examine(
                    ModelSettings(pretrained="by-name", engine="openai", base_url=server.url),
                    COF,
                    benchmarks=[(name, None)],
                    resolutions=[parse_resolution(r) for r in resolutions],
                    limit=limit,
                )
                return {f.what: (f.level, f.says) async for f in findings}[f"data of {name}"]

        return asyncio.run(run())

    def test_published_sizes_tell_the_tokens(self, hub: list[str]) -> None:
        level, says = self.unfetched("vstar", "224", "448")
        assert level is WARNING
        assert says.startswith("not on this machine; a run fetches craigwu/vstar_bench. Expected: 191 questions, about ")
        low, high = (int(word.replace(",", "")) for word in says.split("about ")[1].split(" visual")[0].split(" to "))
        assert 191 * (56 + 224) < low <= high <= 191 * (64 + 256)
        assert "crops aside (from the statistics of vstar_bench" in says
        assert hub == ["craigwu/vstar_bench"]

    def test_where_sizes_are_unknown_the_resolutions_caps_are_the_most(self) -> None:
        assert "800 questions, at most 51,200 visual tokens" in self.unfetched("hrbench8k", "224")[1]
        assert "10 questions, at most 640 visual tokens" in self.unfetched("hrbench8k", "224", limit=10)[1]

    def test_what_is_not_published_is_said_to_be_unknown(self) -> None:
        assert "its costs are unknown until it is fetched" in self.unfetched("zoomgainbench", "224")[1]

    def test_a_hub_that_cannot_be_reached_is_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_: object, **__: object) -> None:
            raise ConnectionError("no route")

        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
        level, says = self.unfetched("vstar", "224")
        assert level is FAILED
        assert "cannot be fetched from the Hugging Face hub (no route); pass --data vstar=PATH" in says


def test_a_server_whose_parser_moves_replies_is_told_with_its_field(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, reply=lambda asked: {"content": None, "reasoning": scripted(asked)}) as server:
        findings = found(tiny, scenes, base_url=server.url)
    assert findings["reply, tried"] == (OK, "a call is read")
    level, says = findings["server, tried"]
    assert level is WARNING
    assert says.startswith("whole texts that the server had moved to `reasoning`")


def test_a_reply_that_lies_where_nothing_can_be_read_fails(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, reply=lambda asked: {"content": None, "audio": {"transcript": "A"}}) as server:
        level, says = found(tiny, scenes, base_url=server.url)["reply, tried"]
    assert level is FAILED
    assert "message.audio" in says


def test_a_server_that_refuses_parts_of_decoding_is_told_before_a_run(tiny: Path, scenes: Path) -> None:
    def fault(asked: ChatRequest) -> tuple[int, str] | None:
        return (400, "Unrecognized request argument supplied: top_k") if "top_k" in asked.body else None

    with healthy(tiny, owner="openai", fault=fault) as server:
        level, says = found(tiny, scenes, base_url=server.url)["server, tried"]
    assert level is WARNING
    assert says.startswith("the server may have used its own top_k: it refused to be told")


def test_shrunk_images_are_proved_by_the_tokens_of_the_prompt(tiny: Path, scenes: Path) -> None:
    with healthy(tiny, owner="library", image_pad=None, seen=lambda asked: 1) as server:
        level, says = found(tiny, scenes, "224", "1920", base_url=server.url)["pixels at 1920, tried"]
    assert level is FAILED
    assert "shrinks images or cuts prompts" in says
