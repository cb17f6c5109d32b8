"""Model arguments as lmms-eval hands them over, environment variables, and who may read those."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from cof_eval.core.errors import UsageError
from cof_eval.core.settings import (
    KeepImages,
    ModelSettings,
    api_key,
    data_folder,
    judge_api_key,
    judge_url,
    parse_model_args,
    use_data_folder,
    world_size,
)

PACKAGE = Path(__file__).resolve().parents[2] / "cof_eval"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COF_RUN", "COF_JUDGE_URL", "COF_DATA_VSTAR", "OPENAI_API_KEY", "COF_JUDGE_API_KEY", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def parsed(**arguments: Any) -> ModelSettings:
    return parse_model_args({"pretrained": "a/b", **arguments})


class TestModelArguments:
    def test_defaults_are_those_of_the_record(self) -> None:
        assert parsed() == ModelSettings(pretrained="a/b")

    def test_an_unknown_argument_lists_the_known_ones(self) -> None:
        with pytest.raises(UsageError, match=r"unknown model argument max_pixel, tensor; known: base_url, .*, max_pixels, .*"):
            parsed(max_pixel=1, tensor=2)

    def test_a_missing_checkpoint_is_said(self) -> None:
        with pytest.raises(UsageError, match="pretrained is missing"):
            parse_model_args({})

    def test_none_means_not_given(self) -> None:
        assert parsed(lora=None, seed=None, engine_args=None) == parsed()

    @pytest.mark.parametrize("value", [8, "8", 8.0, "8.0"])
    def test_numbers_come_as_lmms_eval_guesses_them(self, value: object) -> None:
        assert parsed(concurrency=value, max_pixels=value, seed=value) == parsed(concurrency=8, max_pixels=8, seed=8)

    @pytest.mark.parametrize("name", ["concurrency", "max_pixels", "seed"])
    @pytest.mark.parametrize("value", ["many", 1.5, "nan", float("nan"), float("inf"), "-inf", True, [3], ""])
    def test_what_is_no_whole_number_is_refused(self, name: str, value: object) -> None:
        with pytest.raises(UsageError, match=f"model argument {name}=.* is no whole number"):
            parsed(**{name: value})

    @pytest.mark.parametrize("name", ["concurrency", "max_pixels"])
    @pytest.mark.parametrize("value", [0, -1])
    def test_what_must_be_positive_is(self, name: str, value: int) -> None:
        with pytest.raises(UsageError, match=f"model argument {name}={value} must be at least 1"):
            parsed(**{name: value})

    @pytest.mark.parametrize("value", ["none", "crops", "all"])
    def test_images_to_keep_are_named(self, value: str) -> None:
        assert parsed(keep_images=value).keep_images is KeepImages(value)

    def test_other_images_to_keep_are_refused(self) -> None:
        with pytest.raises(UsageError, match="keep_images='some' is unknown; known: none, crops, all"):
            parsed(keep_images="some")

    @pytest.mark.parametrize("name", [2024, "null", "true", "1e3", "none"])
    def test_names_that_look_like_something_else_stay_names(self, name: object) -> None:
        settings = parsed(run=name, served_name=name, lora=name)
        assert settings.run == settings.served_name == settings.lora == str(name)

    @pytest.mark.parametrize(
        "values",
        [{"engine_args": {1: 2}}, {"protocol_args": [["a", 1]]}, {"keep_images": 3}, {"seed": "1" * 5000}],
    )
    def test_any_other_value_is_refused_in_one_line(self, values: dict[str, Any]) -> None:
        with pytest.raises(UsageError) as refused:
            parsed(**values)
        assert next(iter(values)) in str(refused.value) and "\n" not in str(refused.value)


ENGINE_ARGS: dict[str, Any] = {
    "tensor_parallel_size": 2,
    "limit_mm_per_prompt": {"image": 6, "video": 0},
    "mm_processor_kwargs": {"max_pixels": 1003520, "nested": [1, [2, 3], {"a": "b,c=d}"}]},
    "dtype": "bfloat16",
    "enforce_eager": True,
}


class TestJsonArguments:
    @pytest.mark.parametrize("name", ["engine_args", "protocol_args"])
    def test_a_mapping_is_taken_as_it_is(self, name: str) -> None:
        assert getattr(parsed(**{name: ENGINE_ARGS}), name) == ENGINE_ARGS

    @pytest.mark.slow
    def test_protocol_settings_survive_lmms_evals_parser_too(self) -> None:
        split = pytest.importorskip("lmms_eval.utils").simple_parse_args_string
        settings = parse_model_args(split('pretrained=a/b,protocol_args={"max_turns": 3, "temperature": 0.5},run=x'))
        assert (settings.protocol_args, settings.run) == ({"max_turns": 3, "temperature": 0.5}, "x")

    @pytest.mark.slow
    @pytest.mark.parametrize("quote", ["", "'"])
    @pytest.mark.parametrize("before", ["", "protocol=cof,"])
    @pytest.mark.parametrize("after", ["", ",seed=3"])
    def test_json_with_commas_and_braces_survives_lmms_evals_parser(self, quote: str, before: str, after: str) -> None:
        split = pytest.importorskip("lmms_eval.utils").simple_parse_args_string
        given = split(f"pretrained=a/b,{before}engine_args={quote}{json.dumps(ENGINE_ARGS)}{quote}{after}")
        settings = parse_model_args(given)
        assert settings.engine_args == ENGINE_ARGS
        assert settings.seed == (3 if after else 0)

    @pytest.mark.parametrize("value", ["{", "dtype=float32", "", "{'a': 1}", "{a: 1}"])
    def test_what_is_no_json_is_refused_with_an_example(self, value: str) -> None:
        with pytest.raises(UsageError, match=r"engine_args is not JSON .* expected for instance"):
            parsed(engine_args=value)

    @pytest.mark.parametrize("value", ["[1]", "3", "null", '"a"', 3, [1]])
    def test_json_that_is_no_object_is_refused(self, value: object) -> None:
        with pytest.raises(UsageError, match="is no JSON object"):
            parsed(engine_args=value)


class TestEnvironment:
    def test_the_run_folder_and_the_judge_come_from_it_unless_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COF_RUN", "runs/x")
        monkeypatch.setenv("COF_JUDGE_URL", "http://judge/v1")
        assert (parsed().run, parsed().judge_url) == ("runs/x", "http://judge/v1")
        given = parsed(run="runs/y", judge_url="http://other/v1")
        assert (given.run, given.judge_url) == ("runs/y", "http://other/v1")
        assert judge_url() == "http://judge/v1"

    def test_empty_variables_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("COF_RUN", "COF_JUDGE_URL", "COF_DATA_VSTAR", "OPENAI_API_KEY"):
            monkeypatch.setenv(name, "")
        assert (parsed().run, parsed().judge_url, judge_url(), data_folder("vstar"), api_key()) == (None,) * 4 + ("EMPTY",)

    def test_data_folders_have_a_variable_a_benchmark(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COF_DATA_VSTAR", "~/vstar")
        assert data_folder("vstar") == Path("~/vstar").expanduser()
        assert data_folder("other") is None

    def test_a_named_data_folder_is_absolute_for_children(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("COF_DATA_VSTAR", "")
        monkeypatch.chdir(tmp_path)
        use_data_folder("vstar", Path("here"))
        assert data_folder("vstar") == tmp_path.resolve() / "here"

    def test_the_key_is_the_users_or_a_placeholder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert api_key() == "EMPTY"
        monkeypatch.setenv("OPENAI_API_KEY", " sk-1\n")
        assert api_key() == "sk-1"

    @pytest.mark.parametrize(("value", "expected"), [("4", 4), ("1", 1), ("", 1), ("many", 1)])
    def test_launchers_say_how_many_processes_there_are(
        self, monkeypatch: pytest.MonkeyPatch, value: str, expected: int
    ) -> None:
        monkeypatch.setenv("WORLD_SIZE", value)
        assert world_size() == expected


READERS = {"environ", "environb", "getenv", "getenvb", "putenv"}


def reads_environment(source: str) -> bool:
    """Whether code touches the environment, however it is imported."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in READERS:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os" and READERS & {alias.name for alias in node.names}:
            return True
    return False


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_settings_reads_environment_variables(path: Path) -> None:
    assert reads_environment(path.read_text(encoding="utf-8")) is (path == PACKAGE / "core" / "settings.py")


def test_every_variable_that_users_set_is_in_the_table() -> None:
    tree = ast.parse((PACKAGE / "core" / "settings.py").read_text(encoding="utf-8"))
    table = ast.get_docstring(tree) or ""
    read = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names = {name for text in read if (name := text.partition("=")[0]).isupper() and name.startswith(("COF_", "OPENAI_"))}
    assert {"COF_RUN", "COF_DATA_"} <= names
    assert [name for name in names if f"`{name}" not in table] == []


class TestKeys:
    MODEL = "http://ann:pw@a:8000/v1;http://b:8000/v1?x=1"

    @pytest.mark.parametrize(
        ("judge", "key"),
        [
            ("http://a:8000/v1", "sk-model"),
            ("http://b:8000/other,http://a:8000/v1", "sk-model"),
            ("http://a:8001/v1", "EMPTY"),
            ("https://a:8000/v1", "EMPTY"),
            ("http://a:8000/v1,http://c:8000/v1", "EMPTY"),
            (None, "EMPTY"),
        ],
    )
    def test_the_models_key_goes_to_no_other_server(self, judge: str | None, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-model")
        assert judge_api_key(judge, self.MODEL) == key
        assert judge_api_key(judge) == "EMPTY"
        monkeypatch.setenv("COF_JUDGE_API_KEY", "sk-judge")
        assert judge_api_key(judge, self.MODEL) == "sk-judge"

    @pytest.mark.parametrize("key", ["sk-\n1", "sk-\x00", "schl\u00fcssel"])
    def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.environ", {"OPENAI_API_KEY": key})
        with pytest.raises(UsageError, match="OPENAI_API_KEY holds characters") as caught:
            api_key()
        assert key not in str(caught.value)
