"""The files that an open repository is expected to have: licence, citation, CI, and an issue form that asks for what helps."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from trove_classifiers import classifiers

import cof_eval

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def loaded(path: Path) -> dict[Any, Any]:
    values = yaml.safe_load(path.read_text())
    assert isinstance(values, dict)
    return values


def test_the_licence_is_named_alike_everywhere() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == CITATION["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]


def test_the_classifiers_exist_and_the_addresses_are_of_one_repository() -> None:
    assert set(PROJECT["classifiers"]) <= set(classifiers)
    assert all(url.startswith(CITATION["repository-code"]) for url in PROJECT["urls"].values())


def test_the_citation_has_all_that_its_schema_asks_for() -> None:
    """Citation File Format 1.2.0: its required keys, for the software and for each reference."""
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    assert CITATION["cff-version"] == "1.2.0" and CITATION["type"] == "software"
    assert CITATION["version"] == PROJECT["version"] == cof_eval.__version__
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in PROJECT["authors"]]
    for reference in CITATION["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert all({"family-names", "given-names"} == set(author) for author in reference["authors"])
    (paper,) = CITATION["references"]
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2505.15436"}]


def test_there_are_workflows_and_forms() -> None:
    assert WORKFLOWS and FORMS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_the_script_of_this_repository_on_the_oldest_python(path: Path) -> None:
    jobs = loaded(path)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert {job["runs-on"] for job in jobs.values()} == {"ubuntu-latest"}
    scripts = [words[1] for step in steps if (words := step.get("run", "").split())[:1] == ["bash"]]
    assert scripts == [".ci/run"] and all((ROOT / script).is_file() for script in scripts)
    (python,) = [step["with"]["python-version"] for step in steps if "python" in step.get("uses", "")]
    assert f">={python}" == PROJECT["requires-python"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_is_whole(path: Path) -> None:
    form = loaded(path)
    assert {"name", "description", "body"} <= set(form)
    names = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(names) == len(set(names)) > 0


def test_a_bug_report_brings_what_doctor_and_version_say() -> None:
    form = loaded(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml")
    required = [part["attributes"]["label"] for part in form["body"] if part.get("validations", {}).get("required")]
    asked = {word for label in required for word in re.findall(r"`(cof-eval [-\w]+)`", label)}
    assert asked == {"cof-eval doctor", "cof-eval --version"}


def test_the_changelog_begins_with_this_version() -> None:
    (first, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first == PROJECT["version"]
