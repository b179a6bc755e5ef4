"""What GitHub reads: workflows that call what the Makefile has, and a citation that is current."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import tokviz
from tests.conftest import IN_TURN

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
PLACES = re.compile(r"(?<![\w$.])/(?:home|root|tmp|work|Users|opt|mnt)/|\bhttps?://(?!doi\.org)")
"""A folder of one machine, or an address that only one network knows."""


def targets():
    """What `make` can be asked for."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path):
    """Every step of every job."""
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def test_there_is_one_workflow_for_each_change_and_one_for_each_week():
    events = {path.stem: set(read(path)[True]) for path in WORKFLOWS}  # YAML reads `on` as True
    assert events["checks"] == {"push", "pull_request"}
    assert "schedule" in events["weekly"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_only_what_the_makefile_has(path):
    commands = [step["run"] for step in steps(path) if "run" in step]
    assert commands
    for command in commands:
        made = re.fullmatch(r"make ([a-z-]+)", command)
        assert made or command.split()[0] in ("git", ".venv/bin/python"), command
        assert not made or made[1] in targets(), command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_ends_some_time(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


def test_tests_run_on_the_oldest_and_on_a_newer_python():
    versions = read(FOLDER / "workflows/checks.yml")["jobs"]["tests"]["strategy"]["matrix"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f">={versions['python'][0]}" == oldest
    assert versions["python"] == ["3.11", "3.12", "3.13"]


def test_nothing_for_github_names_a_place_on_one_machine():
    for path in FOLDER.rglob("*"):
        if path.is_file():
            assert not PLACES.search(path.read_text(encoding="utf-8")), path
    assert PLACES.search("cd /home/me/tokviz")


@pytest.mark.parametrize(
    "path", [*FOLDER.rglob("*.yml"), ROOT / "CITATION.cff"], ids=lambda p: p.name
)
def test_every_file_is_yaml(path):
    assert isinstance(read(path), dict)


def test_the_citation_is_of_this_version_and_says_what_the_readme_says():
    citation, readme = read(ROOT / "CITATION.cff"), (ROOT / "README.md").read_text()
    assert str(citation["version"]) == tokviz.__version__
    assert citation["title"] in readme
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_make_check_leaves_out_what_the_markers_say():
    """Every marker that `make check` leaves out is registered, and explained to contributors."""
    (chosen,) = re.findall(r'^quick-tests:.*\n\t.*-m "(.*)"', (ROOT / "Makefile").read_text(), re.M)
    left_out = set(re.findall(r"not (\w+)", chosen))
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert left_out == {"browser", "slow", "matrix", "weekly"}
    assert left_out <= {line.split(":")[0] for line in options["markers"]}
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(f"| `{name}` |" in guide for name in left_out)
    assert options["timeout"] <= 120


def test_a_walk_through_all_families_is_marked_by_itself(request):
    """The hook in tests/conftest.py gives the marker; here it is asked what it did."""
    items = request.session.items
    walking = [item for item in items if IN_TURN & set(item.fixturenames)]
    assert all(item.get_closest_marker("matrix") for item in walking)
    driving = [item for item in items if "browser" in item.path.parts]
    assert all(item.get_closest_marker("browser") for item in driving)


@pytest.mark.slow
def test_a_test_that_hangs_fails_by_its_name(tmp_path):
    """The pinned plugin, with the settings of pyproject.toml but a limit of one second."""
    (tmp_path / "test_it.py").write_text("import time\ndef test_hangs():\n    time.sleep(60)\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c"]
    more = [ROOT / "pyproject.toml", "--rootdir", tmp_path, "--timeout", "1", tmp_path]
    done = subprocess.run(
        [*command, *more], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Failed: Timeout" in done.stdout
    assert "test_hangs" in done.stdout
