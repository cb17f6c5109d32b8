"""`make judge-server`: the method's flags, a CPU's flags, and memory checked before any weight is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cof_eval.cli.judge_server import _check_installed, check_cpu, check_memory, command, free_memory_gib, tensor_parallel
from cof_eval.core.errors import UsageError
from cof_eval.engines.gpus import Gpu, parse_gpus, weights_gib

pytestmark = pytest.mark.slow

MODEL = "Qwen/Qwen2.5-VL-72B-Instruct"
A100 = Gpu(81_920, 81_000)


@pytest.mark.parametrize(("gpus", "size"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (16, 8)])
def test_tensor_parallel_is_the_largest_power_of_two(gpus: int, size: int) -> None:
    assert tensor_parallel(gpus) == size


def test_the_flags_are_the_methods() -> None:
    words = command(MODEL, "judge", 4, host="127.0.0.1", port=51232)
    flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[1:3] == ["serve", MODEL]
    assert (flags["--served-model-name"], flags["--port"], flags["--tensor-parallel-size"]) == ("judge", "51232", "4")
    assert flags["--limit-mm-per-prompt"] == '{"image": 1}'


@pytest.mark.parametrize(("gpus", "size"), [([A100] * 4, 4), ([A100] * 8, 8), ([Gpu(143_000, 142_000)] * 2, 2)])
def test_a_model_that_fits_is_served(gpus: list[Gpu], size: int) -> None:
    assert check_memory(MODEL, gpus) == size


@pytest.mark.parametrize("gpus", [[A100], [Gpu(24_000, 24_000)] * 4, [A100] * 3 + [Gpu(81_920, 100)]])
def test_too_little_memory_is_one_line_with_what_is_needed(gpus: list[Gpu]) -> None:
    with pytest.raises(UsageError, match="needs about 148 GiB of GPU memory, 134 GiB of it for weights") as caught:
        check_memory(MODEL, gpus)
    assert "\n" not in str(caught.value)


def test_gpus_in_use_are_left_out_where_others_are_free() -> None:
    assert check_memory("x-7B", [Gpu(81_920, 100), A100, A100]) == 2


@pytest.mark.parametrize(("listing", "n"), [("81920, 81000\n24000, 3\n", 2), ("", 0), ("[N/A], [N/A]\n", 0), ("garbage", 0)])
def test_what_nvidia_smi_lists_is_read(listing: str, n: int) -> None:
    assert len(parse_gpus(listing)) == n


def test_a_local_models_weights_are_weighed(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 2**20)
    assert weights_gib(str(tmp_path)) == pytest.approx(2**20 / 2**30)
    assert weights_gib("no-size-in-its-name") is None


def test_a_cpu_gets_a_cache_of_a_fixed_size_and_no_gpu_flags() -> None:
    words = command("small", "judge", 0, host="127.0.0.1", port=1)
    assert words[1:4] == ["serve", "small", "--enforce-eager"]
    flags = dict(zip(words[4::2], words[5::2], strict=True))
    assert (flags["--dtype"], flags["--max-model-len"], flags["--kv-cache-memory-bytes"]) == ("float32", "auto", str(2 * 2**30))
    assert not {"--gpu-memory-utilization", "--tensor-parallel-size"} & flags.keys()


def test_a_cpu_serves_what_fits_its_memory_in_float32() -> None:
    check_cpu("Qwen/Qwen2.5-1.5B-Instruct", 10.0)
    check_cpu("size-unknown", 0.5)
    check_cpu(MODEL, None)
    with pytest.raises(UsageError, match=r"no GPU is found .* needs about 31 GiB of memory; 24 GiB are free") as caught:
        check_cpu("Qwen/Qwen2.5-VL-7B-Instruct", 24.0)
    assert "\n" not in str(caught.value)


def test_free_memory_is_what_the_system_says(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   3145728 kB\n")
    assert free_memory_gib(tmp_path / "meminfo") == 3.0
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\n")
    assert free_memory_gib(tmp_path / "meminfo") is None
    assert free_memory_gib(tmp_path / "absent") is None


def served(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cof_eval.cli.judge_server", *arguments]
    import os

    return subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.skipif(free_memory_gib() is None, reason="this system does not tell how much memory is free")
def test_a_machine_without_a_gpu_says_so_in_one_line() -> None:
    done = served("--model", "nobody/judge-7000B", path="/nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("judge-server: no GPU is found on this machine")
    assert done.stderr.count("\n") == 1


def test_without_vllm_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"vLLM is not installed here .* PROFILE=cpu"):
        _check_installed()
    (tmp_path / "vllm").touch(mode=0o755)
    _check_installed()
    assert command("m", "judge", 1, host="h", port=1)[0] == str(tmp_path / "vllm")


def test_a_card_that_asks_nobody_is_told() -> None:
    assert "names no model" in served("--card", "strict", path="/nowhere").stderr
