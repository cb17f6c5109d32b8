"""The scripts and manifests of `examples/cluster/`: they parse, print the commands that they would run, and those exist."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from guides import ROOT
from test_readme import _parses

from cof_eval.servers.urls import read_url_file

CLUSTER = ROOT / "examples" / "cluster"
SCRIPTS = sorted(path for path in (CLUSTER / "slurm").iterdir() if path.is_file())
MANIFESTS = sorted(CLUSTER.glob("*/*.yaml"))
EXPECTED = {
    "servers.sbatch": ["vllm serve"],
    "evaluate.sbatch": ["exec .venv/bin/cof-eval run"],
    "multi_node.sbatch": ["ray start", "srun", "vllm serve"],
    "router.sh": ["exec vllm-router"],
}
"""The commands of each script that runs some."""


def vllm_flags() -> str:
    """vLLM's own source of its command line; importing it takes too long."""
    found = importlib.util.find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        pytest.skip("vLLM is not installed: its flags are not known (make setup)")
    folder = Path(found.submodule_search_locations[0])
    return "".join(
        path.read_text() for path in (folder / "engine" / "arg_utils.py", *folder.glob("entrypoints/**/cli_args.py"))
    )


def known_to_vllm(flag: str, source: str) -> bool:
    name = flag.removeprefix("--").partition("=")[0]
    fields = re.search(rf"^    {name.replace('-', '_')}: ", source, re.MULTILINE)
    return name in ("host", "port", "model", "served-model-name") or f'"--{name}"' in source or fields is not None


def dry(script: str, folder: Path, servers: str = "", **environment: str) -> tuple[list[str], str]:
    """The commands that a script prints instead of running them, and the list of servers afterwards."""
    listed = folder / "servers.txt"
    listed.write_text(servers)
    variables = {"DRY_RUN": "1", "GRACE_S": "0", "CLUSTER": str(CLUSTER / "slurm"), "SERVERS": str(listed)}
    done = subprocess.run(
        ["bash", str(CLUSTER / "slurm" / script)],
        env=os.environ | variables | environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), listed.read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_sound_shell(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--shell=bash", "--external-sources", str(script)], cwd=ROOT, check=True)
    assert script.name == "common.sh" or (script.name in EXPECTED and os.access(script, os.X_OK))


@pytest.mark.parametrize("script", EXPECTED)
def test_a_dry_run_prints_the_commands_and_leaves_no_server_behind(script: str, tmp_path: Path) -> None:
    other = "http://10.0.0.9:8000/v1\n"
    printed, listed = dry(script, tmp_path, other)
    assert listed == other
    for command in EXPECTED[script]:
        assert any(line.startswith(command) for line in printed), printed
    for line in printed:
        if "cof-eval" in line:
            _parses(shlex.split(line.removeprefix("exec ")))


def test_the_router_gets_every_server_of_the_list(tmp_path: Path) -> None:
    printed, _ = dry("router.sh", tmp_path, "# two\nhttp://a:8000/v1 # one\n\nhttp://b:8001/v1\n")
    assert printed[0].strip().endswith("--worker-urls http://a:8000 http://b:8001")


def test_servers_that_join_and_leave_at_once_keep_the_list_whole(tmp_path: Path) -> None:
    listed = tmp_path / "servers.txt"
    work = f"source {CLUSTER}/slurm/common.sh; " + " ".join(
        f"(list_with http://10.0.0.{n}:8000/v1; [ {n % 2} = 1 ] || list_without http://10.0.0.{n}:8000/v1) &" for n in range(12)
    )
    subprocess.run(["bash", "-c", f"{work} wait"], env=os.environ | {"SERVERS": str(listed)}, check=True, timeout=60)
    assert set(read_url_file(listed)) == {f"http://10.0.0.{n}:8000/v1" for n in range(1, 12, 2)}


def test_every_flag_of_vllm_exists(tmp_path: Path) -> None:
    source = vllm_flags()
    printed = [line for script in EXPECTED for line in dry(script, tmp_path)[0] if line.startswith("vllm serve")]
    words = [word for line in printed for word in shlex.split(line)] + [arg for c in containers() for arg in c.get("args", [])]
    flags = [word for word in words if word.startswith("--") and " " not in word.partition("=")[0]]
    assert len(set(flags)) >= 8
    assert [flag for flag in flags if not known_to_vllm(flag, source)] == []


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def containers() -> Iterator[dict[str, Any]]:
    for path in CLUSTER.glob("kubernetes/*.yaml"):
        for each in documents(path):
            yield from each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


SPECS: Mapping[str, tuple[str, set[str]]] = {
    "Service": ("v1", {"clusterIP", "publishNotReadyAddresses", "selector", "ports"}),
    "ConfigMap": ("v1", set()),
    "StatefulSet": ("apps/v1", {"serviceName", "podManagementPolicy", "replicas", "selector", "template"}),
    "Job": ("batch/v1", {"backoffLimit", "template"}),
}
"""By kind, its version and the keys of its `spec` that are used here."""


@pytest.mark.parametrize("path", sorted(CLUSTER.glob("kubernetes/*.yaml")), ids=lambda path: path.name)
def test_manifests_have_the_shape_of_their_kind(path: Path) -> None:
    for each in documents(path):
        version, keys = SPECS[each["kind"]]
        assert each["apiVersion"] == version
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", each["metadata"]["name"])
        assert set(each.get("spec", {})) == keys
        pod = each.get("spec", {}).get("template", {})
        volumes = {volume["name"] for volume in pod.get("spec", {}).get("volumes", [])}
        for container in pod.get("spec", {}).get("containers", []):
            assert {"name", "image", "resources"} <= set(container)
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        if each["kind"] == "StatefulSet":
            assert each["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]


def test_the_job_evaluates_the_servers_that_the_manifests_start(tmp_path: Path) -> None:
    kinds = {each["kind"]: each for path in CLUSTER.glob("kubernetes/*.yaml") for each in documents(path)}
    servers, job = kinds["StatefulSet"], kinds["Job"]["spec"]["template"]["spec"]
    (name, text), *_ = kinds["ConfigMap"]["data"].items()
    (tmp_path / name).write_text(text)
    host = f"{servers['metadata']['name']}-{{}}.{kinds['Service']['metadata']['name']}"
    expected = tuple(f"http://{host.format(n)}:8000/v1" for n in range(servers["spec"]["replicas"]))
    assert read_url_file(tmp_path / name) == expected
    mounted = {volume["name"]: volume.get("configMap", {}).get("name") for volume in job["volumes"]}
    assert mounted["servers"] == kinds["ConfigMap"]["metadata"]["name"]
    command = job["containers"][0]["args"][0].rpartition("exec ")[2]
    assert f"--base-url @/servers/{name}" in command
    _parses(shlex.split(command))


def test_ray_serves_what_the_comment_evaluates() -> None:
    path = CLUSTER / "ray" / "serve.yaml"
    (application,) = documents(path)[0]["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    (model,) = application["args"]["llm_configs"]
    assert set(model) == {"model_loading_config", "accelerator_type", "deployment_config", "engine_kwargs"}
    source = vllm_flags()
    assert all(known_to_vllm(f"--{name.replace('_', '-')}", source) for name in model["engine_kwargs"])
    command = re.search(r"^#\s+(cof-eval .*)$", path.read_text(), re.MULTILINE)
    assert command
    _parses(shlex.split(command[1]))
    assert f"--served-name {model['model_loading_config']['model_id']}" in command[1]


def test_the_page_names_every_file() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text()
    for path in (*SCRIPTS, *MANIFESTS):
        assert path.name == "common.sh" or path.relative_to(ROOT).as_posix() in page
