from components.runs.runs import FULL, KeptRun, Runs
from tests.view.fakes import fake_trace, picture


def a_run() -> KeptRun:
    return KeptRun(picture(), "p", "fake", {FULL: fake_trace()})


def test_the_oldest_runs_go_when_room_is_short():
    runs, first, second, third = Runs(room=2 * a_run().size), a_run(), a_run(), a_run()
    for run in (first, second, third):
        runs.put(run)
    assert runs.get(first.name) is None
    assert runs.get(third.name) is third


def test_a_run_that_was_looked_at_is_kept_longer():
    runs, first, second = Runs(room=2 * a_run().size), a_run(), a_run()
    runs.put(first)
    runs.put(second)
    runs.get(first.name)
    runs.put(a_run())
    assert runs.get(first.name) is first
    assert runs.get(second.name) is None


def test_one_run_that_is_too_large_is_still_kept():
    runs, run = Runs(room=1), a_run()
    assert runs.get(runs.put(run).name) is run


def test_names_cannot_be_guessed_from_each_other():
    names = {a_run().name for _ in range(50)}
    assert len(names) == 50
    assert min(map(len, names)) >= 20
