"""ZeroGPU runs a function in a forked process and pickles what goes in and what comes out."""

import multiprocessing
import pickle
import sys
import types

import pytest

from components import answering
from components.answering import answer
from components.asking import Request
from components.borrowed import borrowed
from components.models import Models
from components.runs import FULL, RUNS
from tests.components.fake_vlm import FakeVLM
from tests.view.fakes import BLUE, picture

FORK = multiprocessing.get_context("fork")


def forked(function):
    """Stand for spaces.GPU: arguments and results cross a process boundary as bytes."""

    def work(arguments, pipe):
        try:
            for result in function(*pickle.loads(arguments)):
                pipe.send_bytes(pickle.dumps(result))
        finally:
            pipe.close()

    def run(*arguments):
        mine, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=work, args=(pickle.dumps(arguments), theirs))
        process.start()
        theirs.close()
        try:
            while True:
                yield pickle.loads(mine.recv_bytes())
        except EOFError:
            return
        finally:
            process.join(10)

    return run


@pytest.fixture
def zero_gpu(monkeypatch):
    monkeypatch.setattr(answering, "stream", forked(answering.stream))


def test_a_run_in_a_forked_process_is_remembered_outside_of_it(zero_gpu):
    models = Models(load=lambda name: FakeVLM())
    plans = [{"method": "fastervlm", "keep": 9, "options": {}}]
    *_, last = answer(models, Request(picture(BLUE), "what ?", "embedded", plans), "s")
    assert RUNS.get(last.run.name) is last.run
    assert last.run.traces[FULL].answer == "blue dog."
    assert len(last.run.traces) == 2


def test_models_cross_as_a_name():
    models = Models(load=lambda name: FakeVLM())
    assert pickle.loads(pickle.dumps(models)) is models


def test_on_zero_gpu_the_work_is_borrowed_for_a_time_that_grows_with_it(monkeypatch):
    asked = []
    fake = types.ModuleType("spaces")
    fake.GPU = lambda duration: asked.append(duration) or (lambda function: function)
    monkeypatch.setitem(sys.modules, "spaces", fake)
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    borrowed(answering.seconds_needed)(answering.stream)

    def seconds(lanes, limit):
        request = Request(None, "", "", limit=limit)
        return asked[0](None, request, None, [None] * lanes, None)

    assert 10 <= seconds(0, 16) < seconds(3, 16) < seconds(3, 64) < 120


def test_elsewhere_the_work_is_done_in_place(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert borrowed(answering.seconds_needed)(answering.stream) is answering.stream
