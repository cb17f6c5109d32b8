"""Runs of earlier versions: they go on where their protocol is unchanged, and name the setting that changed where it is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from cof_eval.agent.protocols import PROTOCOLS, Protocol, protocol_digest
from cof_eval.core.errors import RunError
from cof_eval.runs.folder import RunFolder, load_run

OLD = Path(__file__).resolve().parents[2] / "results" / "reference" / "demo" / "sft"

DIGESTS = {
    "cof": "81f0fe1a62347cc12da5e7a05f76bd98",
    "cof_forced": "f53cefd30d32f1c167510cb2fc645027",
    "cof_mini": "242bc5c7af66e320a68ea957193eb93c",
    "deepeyes": "06f04fff8640f9a859ad09131bd46c1f",
    "direct": "07523675f0aaf33266048aae7ab72337",
    "direct_forced": "7c84c72d33f998b7bfb652177e226809",
}
"""Part of every trajectory's key: a protocol that did not change keeps it, whatever settings are added."""


@pytest.mark.parametrize("name", DIGESTS)
def test_a_protocol_that_did_not_change_keeps_its_keys(name: str) -> None:
    assert protocol_digest(PROTOCOLS[name]) == DIGESTS[name]


def test_settings_at_another_value_than_their_default_make_other_keys() -> None:
    changed = {**msgspec.to_builtins(PROTOCOLS["cof"]), "stop": ["</tool_call>"]}
    assert protocol_digest(msgspec.convert(changed, Protocol)) != DIGESTS["cof"]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of a run that was made before most settings existed."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def settings(old: Path, **changes: object) -> dict[str, Any]:
    """What a session of today would say of the same run."""
    recorded = yaml.safe_load((old / "run.yaml").read_text())
    name = recorded["protocol"]["name"]
    return {**recorded, "protocol": {**msgspec.to_builtins(PROTOCOLS[name]), **changes}}


def test_an_old_run_goes_on_under_the_same_protocol(old: Path) -> None:
    with RunFolder(old, settings(old)) as run:
        assert len(run.trajectories) > 100
    assert yaml.safe_load((old / "run.yaml").read_text())["protocol"]["outside"] == "refuse"


def test_an_old_run_under_a_changed_protocol_is_refused_naming_the_setting(old: Path) -> None:
    with pytest.raises(RunError, match=r"protocol.edges was 'truncate', now 'round'"):
        RunFolder(old, settings(old, edges="round"))


def test_an_old_run_still_reports(old: Path) -> None:
    data = load_run(old)
    assert data.settings["protocol"]["outside"] == "refuse"
    assert len(data.rows) == data.expected_rows
