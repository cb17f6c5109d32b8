"""A whole run on servers that echo all that they were sent: no key, user, password or query is printed or written."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import forked
from fake_server import ChatRequest, FakeServer, serve
from hostile import Mode

from cof_eval.benchmarks.synthetic.scenes import write_scenes

pytestmark = pytest.mark.slow

KEY, JUDGE_KEY, PASSWORD, QUERY = "sk-model-0123456789", "sk-judge-9876543210", "pass-w0rd-of-ann", "query-key-4711"


def hidden(server: FakeServer) -> str:
    """The server's URL with a user and a query."""
    return server.url.replace("http://", f"http://ann:{PASSWORD}@") + f"?api-key={QUERY}"


def everything(folder: Path) -> bytes:
    """The bytes of all files in a folder."""
    return b"\n".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_nothing_secret_is_printed_or_written_whatever_a_server_echoes(tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "scenes", count=2, seed=0)

    def echo(asked: ChatRequest) -> str:
        return f"<answer>{KEY} {PASSWORD} {QUERY}</answer>" if "color" in asked.text else "<answer>A</answer>"

    refusal = Mode(lambda wire: wire.reply(f"no: {KEY} {PASSWORD} {QUERY}".encode(), status="400 Bad Request"), "")
    judge_says = Mode(lambda wire: wire.reply(f"no: {JUDGE_KEY}".encode(), status="400 Bad Request"), "")
    with serve(reply=echo) as open_server, serve(mode=refusal) as echoing, serve(models=["judge"], mode=judge_says) as judge:
        arguments = ["run", "--model", "by-name", "--engine", "openai", "--data", f"vstar={scenes}", "--resolutions", "224"]
        arguments += [
            "--base-url",
            f"{hidden(open_server)},{hidden(echoing)}",
            "--judge-url",
            judge.url,
            "--out",
            str(tmp_path / "run"),
        ]
        arguments += ["--engine-args", '{"retries": 0, "backoff_s": 0.001}', "--verbose"]
        done = forked(*arguments, folder=tmp_path / "cwd", OPENAI_API_KEY=KEY, COF_JUDGE_API_KEY=JUDGE_KEY)
        keys = {headers["Authorization"] for headers in judge.headers}
    assert done.status in (0, 1), done.err
    assert len(open_server.log) + len(echoing.log) > 0
    assert keys == {f"Bearer {JUDGE_KEY}"}
    told = everything(tmp_path / "run") + done.out.encode() + done.err.encode()
    assert b"***" in told
    for secret in (KEY, JUDGE_KEY, PASSWORD, QUERY, "ann:"):
        assert secret.encode() not in told, secret
