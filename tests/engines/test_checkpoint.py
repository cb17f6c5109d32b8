"""What a checkpoint's files say, and how one that cannot be used is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import tiny_checkpoint
from fakes import noise

from cof_eval.agent.engine import ImagePart, Message, Role, TextPart
from cof_eval.agent.protocols import COF, PROTOCOLS
from cof_eval.core.errors import CofError, EngineUnusableError, UsageError
from cof_eval.core.resolution import PixelLimits
from cof_eval.core.settings import ModelSettings
from cof_eval.engines import check_engine
from cof_eval.engines.checkpoint import (
    Checkpoint,
    find_adapter,
    find_checkpoint,
    find_served,
    fingerprint,
    load_checkpoint,
    model_type,
)
from cof_eval.engines.served_checkpoint import ServedCheckpoint, load_served

pytestmark = pytest.mark.slow

LIMITS = PixelLimits(28, 3136, 3840 * 3840)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub: as on a machine without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """The checkpoint's files, to be damaged."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def refused(use: Callable[[], object]) -> str:
    """The one line that says why."""
    with pytest.raises(CofError) as caught:
        use()
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestFinding:
    def test_a_folder_is_itself(self, tiny: Path) -> None:
        assert find_checkpoint(str(tiny)) == tiny

    def test_a_folder_without_config_is_no_checkpoint(self, tmp_path: Path) -> None:
        assert "has no config.json" in refused(lambda: find_checkpoint(str(tmp_path)))

    @pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "~/nowhere-at-all", "nowhere", "a/b/c"])
    def test_what_is_neither_a_folder_nor_a_hub_id_is_refused_without_asking_the_hub(self, name: str) -> None:
        assert "no checkpoint at" in refused(lambda: find_checkpoint(name))

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").touch()
        assert "no checkpoint at" in refused(lambda: find_checkpoint(str(tmp_path / "model.safetensors")))

    @pytest.mark.parametrize("name", ["someone/cof-7b", "not a/hub id"])
    def test_a_hub_id_that_cannot_be_fetched_says_what_to_do(self, name: str) -> None:
        message = refused(lambda: find_checkpoint(name))
        assert "could not be fetched from the hub" in message
        assert "pass a local folder" in message

    def test_a_served_checkpoint_may_be_known_by_name_only(self) -> None:
        assert find_served("someone/cof-7b") is None
        assert find_served("/models/on/the/servers/machine") is None

    def test_a_served_checkpoint_whose_folder_is_here_must_be_one(self, tiny: Path, tmp_path: Path) -> None:
        assert find_served(str(tiny)) == tiny
        assert "has no config.json" in refused(lambda: find_served(str(tmp_path)))

    def test_weights_of_a_served_checkpoint_are_not_downloaded(self, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
        asked: list[dict[str, Any]] = []

        def snapshot(name: str, **options: Any) -> str:
            asked.append(options)
            return str(tiny)

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
        assert find_served("someone/cof-7b") == find_checkpoint("someone/cof-7b") == tiny
        served, whole = (options["allow_patterns"] for options in asked)
        assert whole is None
        assert not any(Path("model-00001-of-00004.safetensors").match(pattern) for pattern in served)
        assert any(Path("preprocessor_config.json").match(pattern) for pattern in served)


class TestModelType:
    def test_a_qwen_vl_is_one(self, tiny: Path) -> None:
        assert model_type(tiny) == "qwen2_5_vl"

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ('{"model_type": "llama"}', "holds a 'llama' model; expected a Qwen-VL checkpoint"),
            ('{"model_type": 7}', "holds a 7 model"),
            ("{}", "names no model_type"),
            ("[]", "names no model_type"),
            ('{"model_type"', "names no model_type"),
            ("\xff", "names no model_type"),
        ],
    )
    def test_anything_else_is_refused(self, tmp_path: Path, config: str, message: str) -> None:
        (tmp_path / "config.json").write_bytes(config.encode("latin-1"))
        assert message in refused(lambda: model_type(tmp_path))
        assert message in refused(lambda: load_checkpoint(str(tmp_path)))


class TestFingerprint:
    def test_it_does_not_depend_on_the_path(self, tiny: Path, copy: Path) -> None:
        assert fingerprint(copy) == fingerprint(tiny)

    def test_every_single_byte_of_the_weights_counts(self, tiny: Path, copy: Path) -> None:
        weights = (copy / "model.safetensors").read_bytes()
        seen = {fingerprint(tiny)}
        for position in (0, 77_777, len(weights) // 2, len(weights) - 1):
            changed = bytearray(weights)
            changed[position] ^= 1
            (copy / "model.safetensors").write_bytes(changed)
            seen.add(fingerprint(copy))
        assert len(seen) == 5

    def test_the_configuration_counts(self, tiny: Path, copy: Path) -> None:
        (copy / "chat_template.jinja").write_text("{{ messages }}")
        assert fingerprint(copy) != fingerprint(tiny)

    def test_a_readme_and_folders_do_not(self, tiny: Path, copy: Path) -> None:
        (copy / "README.md").write_text("A model.")
        (copy / "runs.json").mkdir()
        assert fingerprint(copy) == fingerprint(tiny)

    def test_a_changed_megabyte_of_a_large_file_and_its_end_count(self, tmp_path: Path) -> None:
        size = (1 << 26) + 12_345
        file = tmp_path / "model.safetensors"

        def with_bytes_at(position: int, count: int) -> str:
            with file.open("wb") as f:
                f.truncate(size)
                f.seek(position)
                f.write(b"\1" * count)
            return fingerprint(tmp_path)

        seen = [with_bytes_at(0, 0), with_bytes_at(5_000_000, 1 << 20), with_bytes_at(size - 1, 1), with_bytes_at(size, 1)]
        assert len(set(seen)) == 4

    def test_weights_can_be_left_out(self, tiny: Path, copy: Path) -> None:
        (copy / "model.safetensors").unlink()
        assert fingerprint(copy, weights=False) == fingerprint(tiny, weights=False) != fingerprint(tiny)


class TestLoading:
    def test_limits_context_and_image_token_are_the_checkpoints(self, tiny: Path) -> None:
        checkpoint = load_checkpoint(str(tiny))
        assert (checkpoint.limits, checkpoint.context) == (LIMITS, 131_072)
        assert checkpoint.processor.tokenizer.convert_ids_to_tokens(checkpoint.image_token_id) == "<|image_pad|>"

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({}, LIMITS),
            ({"max_pixels": 1_003_520}, replace(LIMITS, max_pixels=1_003_520)),
            ({"min_pixels": 50_176, "max_pixels": 1_003_520.0}, PixelLimits(28, 50_176, 1_003_520)),
            ({"size": {"shortest_edge": 6272, "longest_edge": 1_003_520}}, PixelLimits(28, 6272, 1_003_520)),
            ({"size": {"longest_edge": 1_003_520}, "max_pixels": 401_408}, replace(LIMITS, max_pixels=401_408)),
            ({"size": None, "do_resize": True}, LIMITS),
        ],
    )
    def test_the_engines_processor_arguments_replace_limits(
        self,
        tiny: Path,
        arguments: dict[str, Any],
        expected: PixelLimits,
    ) -> None:
        assert load_checkpoint(str(tiny), arguments).limits == expected

    @pytest.mark.parametrize(
        "arguments", [{"max_pixels": "many"}, {"max_pixels": None}, {"max_pixels": 100}, {"size": 7}, [1], {"min_pixels": 0}]
    )
    def test_processor_arguments_that_cannot_be_met_are_refused(self, tiny: Path, arguments: Any) -> None:
        message = refused(lambda: load_checkpoint(str(tiny), arguments))
        assert message.startswith("engine_args: mm_processor_kwargs=")

    @pytest.mark.parametrize("name", ["processor_config.json", "tokenizer.json", "tokenizer_config.json", "config.json"])
    @pytest.mark.parametrize("content", [None, "", "{", '{"a": 1}'], ids=["missing", "empty", "cut", "other"])
    def test_a_damaged_processor_is_one_line(self, copy: Path, name: str, content: str | None) -> None:
        file = copy / name
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
        try:
            load_checkpoint(str(copy))  # some files can be done without
        except CofError as error:
            assert isinstance(error, EngineUnusableError | UsageError)
            assert "\n" not in str(error)

    def test_a_checkpoint_without_any_processor_does_not_load(self, copy: Path) -> None:
        for file in copy.iterdir():
            if file.name not in ("config.json", "model.safetensors"):
                file.unlink()
        assert "does not load" in refused(lambda: load_checkpoint(str(copy)))

    def test_a_prompt_has_one_placeholder_an_image_and_ends_where_the_model_goes_on(self, tiny: Path) -> None:
        image = ImagePart(noise(28, 28), "h", 1)
        prompt = load_checkpoint(str(tiny)).render(
            (
                Message(Role.SYSTEM, (TextPart("S"),)),
                Message(Role.USER, (image, TextPart("Q"))),
                Message(Role.ASSISTANT, (TextPart("C"),)),
                Message(Role.USER, (image, TextPart("t"), image)),
            )
        )
        assert prompt.count("<|image_pad|>") == 3
        assert prompt.startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|>")
        assert prompt.endswith("<|im_start|>assistant\n")

    def test_text_is_counted_by_the_tokenizer(self, tiny: Path) -> None:
        assert load_checkpoint(str(tiny)).text_tokens("<answer>12</answer>") == 4


class TestServed:
    """What is read of a served model's checkpoint without transformers is what its processor says."""

    TEXTS = ("", "<answer>12</answer>", "<|im_start|>user\nWhat? é 猫 <|vision_start|><|image_pad|>", "a  b\t\n" * 50)

    def alike(self, folder: Path) -> type:
        here, there = load_served(str(folder)), load_checkpoint(str(folder))
        assert (here.limits, here.context, here.image_token_id) == (there.limits, there.context, there.image_token_id)
        assert [here.text_tokens(text) for text in self.TEXTS] == [there.text_tokens(text) for text in self.TEXTS]
        return type(here)

    def test_as_new_versions_write_it(self, tiny: Path) -> None:
        assert self.alike(tiny) is ServedCheckpoint

    @pytest.mark.parametrize(
        "changes",
        [
            {"min_pixels": 50_176, "max_pixels": 1_003_520, "size": None},
            {"size": {"shortest_edge": 6272, "longest_edge": 1_003_520}},
            {"min_pixels": 3136, "max_pixels": 12_845_056, "size": {"shortest_edge": 3136, "longest_edge": 12_845_056}},
        ],
    )
    def test_as_old_versions_wrote_it(self, copy: Path, changes: dict[str, Any]) -> None:
        kept = json.loads((copy / "processor_config.json").read_text())["image_processor"] | changes
        (copy / "preprocessor_config.json").write_text(json.dumps({k: v for k, v in kept.items() if v is not None}))
        (copy / "processor_config.json").unlink()
        assert self.alike(copy) is ServedCheckpoint

    def test_whatever_is_not_plain_is_left_to_the_processor(self, copy: Path) -> None:
        config = json.loads((copy / "processor_config.json").read_text())
        config["image_processor"] |= {"min_pixels": 6272}
        (copy / "processor_config.json").write_text(json.dumps(config))
        assert self.alike(copy) is Checkpoint

    @pytest.mark.parametrize("name", ["processor_config.json", "tokenizer.json", "tokenizer_config.json", "config.json"])
    @pytest.mark.parametrize("content", [None, "", "{", '{"a": 1}', "[]"], ids=["missing", "empty", "cut", "other", "list"])
    def test_a_damaged_one_is_one_line_or_as_the_processor_has_it(self, copy: Path, name: str, content: str | None) -> None:
        if content is None:
            (copy / name).unlink()
        else:
            (copy / name).write_text(content)
        try:
            self.alike(copy)
        except CofError as error:
            assert "\n" not in str(error)


def settings(**changes: Any) -> ModelSettings:
    return ModelSettings(**({"pretrained": "someone/cof-7b", "engine": "openai", "base_url": "http://x/v1"} | changes))


class TestEngineSettings:
    def test_a_served_model_known_by_name_passes(self) -> None:
        check_engine(settings(), COF)

    @pytest.mark.parametrize("engine", ["vllm", "transformers"])
    def test_engines_without_a_parser_refuse_native_calls(self, engine: str, tiny: Path) -> None:
        asked = settings(engine=engine, base_url=None, pretrained=str(tiny))
        says = refused(lambda: check_engine(asked, PROTOCOLS["tools"]))
        assert "--tool-call-parser" in says
        assert "\n" not in says

    def test_a_local_checkpoint_passes(self, tiny: Path) -> None:
        check_engine(settings(engine="vllm", base_url=None, pretrained=str(tiny), engine_args={"dtype": "float32"}), COF)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"engine": "sglang"}, "unknown engine 'sglang'; known: vllm, openai, transformers"),
            ({"base_url": None}, "needs a base URL"),
            ({"lora": "adapter"}, "no use for lora: serve the adapter"),
            ({"engine_args": {"seed": 1}}, "no engine argument seed"),
            ({"engine": "vllm"}, "no use for base_url"),
            ({"engine": "vllm", "base_url": None, "served_name": "x"}, "no use for served_name"),
            ({"engine": "vllm", "base_url": None, "max_pixels": 10_000}, "no use for max_pixels: use engine_args="),
            ({"engine": "vllm", "base_url": None}, "could not be fetched"),
        ],
    )
    def test_arguments_that_would_be_ignored_are_refused(self, changes: dict[str, Any], message: str) -> None:
        assert message in refused(lambda: check_engine(settings(**changes), COF))

    def test_a_folder_that_is_no_adapter_is_refused(self, tiny: Path, tmp_path: Path) -> None:
        asked = settings(engine="vllm", base_url=None, pretrained=str(tiny), lora=str(tmp_path))
        assert "expected a folder with an adapter_config.json" in refused(lambda: check_engine(asked, COF))
        (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 8}))
        check_engine(asked, COF)
        assert find_adapter(str(tmp_path)) == tmp_path
