"""On Ray a sweep gives the same rows, and a killed worker loses none."""

import os
import signal
from types import SimpleNamespace

import pytest

from tests.sweeps.test_running import SETTINGS, facts
from tokviz.errors import InputError, ModelError
from tokviz.sweeps import ray_engine
from tokviz.sweeps.ray_engine import RayEngine
from tokviz.sweeps.running import sweep

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, stopped in the end; imported here, because that takes seconds."""
    library = pytest.importorskip("ray")
    yield library
    library.shutdown()


@pytest.mark.weekly
def test_ray_gives_the_same_rows_and_a_killed_worker_loses_none(
    ray, pictures, folder, tmp_path, loaded
):
    asked = {"source": pictures / "questions.csv", "models": [str(folder)], **SETTINGS}
    here = sweep(**asked, out=tmp_path / "here")

    class Deadly(RayEngine):
        """Kills the worker as its first rows come in, while it has the next unit in hand."""

        killed = 0

        def actors(self, *given):
            actors = super().actors(*given)
            ids = [a.__ray_call__.remote(lambda self: os.getpid()) for a in actors]
            self.victim = ray.get(ids)[0]
            return actors

        def __call__(self, *given):
            for rows in super().__call__(*given):
                if not self.killed:
                    os.kill(self.victim, signal.SIGKILL)
                    self.killed += 1
                yield rows

    engine = Deadly(cpus=0.5)
    there = sweep(**asked, out=tmp_path / "there", engine=engine)
    assert engine.killed
    assert facts(there.rows) == facts(here.rows)
    for ours, theirs in zip(here.rows, there.rows, strict=True):
        assert theirs["kl"] == pytest.approx(ours["kl"], abs=1e-4)


@pytest.mark.weekly
def test_a_model_that_no_worker_can_load_is_a_sentence(ray, pictures, tmp_path):
    source, empty = pictures / "questions.csv", tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match="could not be loaded"):
        sweep(source, models=[str(empty)], out=tmp_path / "out", engine=RayEngine(cpus=0.5))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"workers": 3}, r"3 worker\(s\) with 1 CPUs each need 3, Ray has 2: take fewer"),
        ({"gpus": 0.5}, r"with 0.5 GPUs each need 0.5, Ray has 0"),
        ({"workers": 4, "cpus": 0.5}, ""),
    ],
    ids=["cores", "no GPU", "room"],
)
def test_workers_that_would_wait_for_ever_are_refused(monkeypatch, asked, words):
    engine = RayEngine(**asked)
    there = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0})
    monkeypatch.setattr(engine, "ray", there)
    if not words:
        engine.check_room(engine.workers)
        return
    with pytest.raises(InputError, match=words):
        engine.check_room(engine.workers)


def test_without_ray_it_says_what_to_install(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(ray_engine, "import_module", absent)
    with pytest.raises(InputError, match=r"pip install '\.\[ray\]'"):
        RayEngine()


@pytest.mark.parametrize("bad", [{"workers": 0}, {"gpus": -1}, {"cpus": 0}], ids=str)
def test_numbers_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match="got"):
        RayEngine(**bad)
