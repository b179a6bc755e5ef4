"""Nothing of one site is in another: what a server remembers belongs to its `Site`."""

import ast
import base64
from pathlib import Path

import pytest

from components.figures.asked import lane_of_id, run_of
from components.look.saving import server_functions
from components.maps.panel import run_and_lane
from components.runs.journal import Journal
from components.runs.models import Models
from components.runs.runs import FULL, KeptRun, Runs
from components.runs.stops import Stops
from components.runs.stored_examples import StoredExamples
from components.settings import Settings
from components.site import Site
from components.widgets.payload_cache import PayloadCache
from tests.view.fakes import fake_trace, picture

ROOT = Path(__file__).parents[2]
PARTS = {kind.__name__ for kind in (Journal, Models, PayloadCache, Runs, Site, Stops)}


def test_two_sites_share_nothing():
    one, other = Site(), Site()
    run = one.runs.put(KeptRun(picture(), "p", "fake", {FULL: fake_trace()}))
    assert one.run(run.name) is run
    assert other.run(run.name) is None
    with one.stops.run("tab"):
        assert one.stops.running == 1
        assert other.stops.running == 0
    one.stopping.set()
    assert not other.stopping.is_set()


def test_the_room_for_runs_is_what_the_settings_say():
    assert Site(Settings(runs_mb=3)).runs.room == 3 * 2**20


def test_a_name_that_is_no_text_is_no_run():
    for name in (None, 3, [], {"a": 1}, "", "example-nobody"):
        assert Site().run(name) is None


@pytest.mark.parametrize(
    "name", ["dog", "my dog, run 1.5: größer", "a" * 90, "\"'><img src=x onerror=alert(1)>"]
)
def test_an_example_is_found_whatever_its_file_is_called(tmp_path, name):
    """Only letters, digits and - were read: "my dog" was shown, and "no longer kept" when saved."""
    (tmp_path / "traces").mkdir()
    fake_trace().save(tmp_path / "traces" / f"{name}.safetensors")
    site = Site(stored=StoredExamples(tmp_path))
    run = site.stored.all[name].run
    lane = f"{run.name}:{FULL}"
    assert site.lane(lane) == lane_of_id(site, {"id": lane}) == run_and_lane(site, lane)
    assert site.lane(lane) == (run, FULL)
    assert run_of(site, {"run": run.name}) is run
    save_file, *_ = server_functions(site)
    answer = save_file({"id": lane, "kind": "code"})
    assert b"import tokviz" in base64.b64decode(answer["data"])
    assert site.lane(f"{run.name}:1") is site.lane(f"{run.name}:") is site.lane(run.name) is None


def made_on_import(path):
    """The parts of a site that a module makes when it is imported."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr):
            for node in ast.walk(statement):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func).rpartition(".")[2]
                    yield from PARTS & {called}


def test_no_module_makes_a_part_of_a_site_on_import(tmp_path):
    found = {str(p): list(made_on_import(p)) for p in (ROOT / "components").rglob("*.py")}
    assert len(found) > 40
    assert not [path for path, parts in found.items() if parts]
    (tmp_path / "wrong.py").write_text("RUNS = runs.Runs(3)\n")
    assert list(made_on_import(tmp_path / "wrong.py")) == ["Runs"]
