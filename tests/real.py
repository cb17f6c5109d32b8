"""Running the real thing: the command line as a process, and a vLLM server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
ENGINE_ARGS = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 16}
SERVED_MAX_PIXELS = 2_000_000
"""The served copy of the checkpoint shrinks larger images, as a stock processor does at 4K."""
START_LIMIT_S = 420


def engine_env(**changes: str) -> dict[str, str]:
    """The environment of a process that runs a tiny model on shared CPU cores."""
    return {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        **changes,
    }


def cof_eval(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [str(BIN / "cof-eval"), *map(str, arguments)]
    return subprocess.run(command, env=engine_env(), capture_output=True, text=True, timeout=900, check=False, **options)  # type: ignore[call-overload, no-any-return]


def end_group(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a process and all that it started, and wait for it."""
    if process.poll() is None:
        os.killpg(process.pid, how)
    process.wait(timeout=60)


@dataclass(frozen=True)
class Served:
    """A running vLLM server."""

    url: str
    """Base URL, ending in `/v1`."""
    checkpoint: Path


@contextmanager
def serve_vllm(
    checkpoint: Path, folder: Path, dtype: str = "float32", flags: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """vLLM's own server of a tiny checkpoint, called `tiny`, on a free port: (base URL, process)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(str(BIN / "vllm"), "serve", str(checkpoint), "--served-model-name", "tiny"),
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", dtype, "--enforce-eager", "--max-num-seqs", "16"),
        *("--max-model-len", "32768", "--limit-mm-per-prompt", json.dumps({"image": 6, "video": 0})),
        *("--enable-prompt-tokens-details", "--enable-auto-tool-choice", "--tool-call-parser", "hermes", *flags),
    ]
    log = folder / f"server-{port}.log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=engine_env(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        await_health(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1", server
    finally:
        end_group(server, signal.SIGTERM)


def await_health(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"vLLM's server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def write_adapter(checkpoint: Path, folder: Path) -> Path:
    """A random LoRA adapter that changes what a checkpoint says."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(str(checkpoint))
    layers = r".*language_model.*(q_proj|v_proj|o_proj|down_proj)"
    get_peft_model(model, LoraConfig(r=8, lora_alpha=64, target_modules=layers, init_lora_weights=False)).save_pretrained(
        str(folder)
    )
    return folder
