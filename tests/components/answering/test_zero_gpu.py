"""ZeroGPU runs a function in a forked process and pickles what goes in and what comes out."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlparse

import pytest

from components.answering import answering, streaming
from components.answering.answering import answer
from components.answering.run_request import RunRequest
from components.answering.zero_gpu import on_zero_gpu
from components.runs.lane_request import LaneRequest
from components.runs.models import Models
from components.runs.runs import FULL
from components.runs.stops import Stops
from tests.components.fake_vlm import FakeVLM, fake_site
from tests.view.fakes import BLUE, picture

ROOT = Path(__file__).parents[3]
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
    site, lanes = fake_site(), [LaneRequest("fastervlm", 9)]
    *_, last = answer(site, RunRequest(picture(BLUE), "what ?", "embedded", lanes), "s")
    assert site.run(last.run.name) is last.run
    assert last.run.traces[FULL].answer == "blue dog."
    assert len(last.run.traces) == 2


def test_models_cross_as_a_name():
    models = Models(load=lambda name: FakeVLM())
    assert pickle.loads(pickle.dumps(models)) is models


def test_a_stop_reaches_the_other_process():
    stops = Stops()
    with stops.run("far") as flag:
        far = pickle.loads(pickle.dumps(flag))
        assert not far.is_set()
        stops.stop("far")
        assert far.is_set()
        assert pickle.loads(pickle.dumps(flag)).is_set()
    assert not flag.path.exists()


def test_the_time_grows_with_the_work():
    def seconds(lanes, limit):
        request = RunRequest(None, "", "", limit=limit)
        return streaming.seconds_together(None, request, None, [None] * lanes, None)

    assert 10 <= seconds(0, 16) < seconds(3, 16) < seconds(3, 64) < 120


SPACE = """
import json, sys, types
device = types.ModuleType("patching")  # what pretends to be CUDA, which a CPU build has not got
for name in "enter_mode patch unpatch pack init size move is_in_bad_fork".split():
    setattr(device, name, lambda *given, **named: 0)
sys.modules["spaces.zero.torch.patching"] = device
import spaces
from components.answering.answering import answer
from components.answering.run_request import RunRequest
from components.runs.lane_request import LaneRequest
from components.runs.runs import FULL
from tests.components.fake_vlm import fake_site
from tests.view.fakes import BLUE, picture
from tokviz.errors import TokvizError

site, lanes = fake_site(), [LaneRequest("fastervlm", 9)]
*_, last = answer(site, RunRequest(picture(BLUE), "what ?", "embedded", lanes), "s")
said = [last.run.traces[FULL].answer, last.run.traces[0].reduction.m]
for prompt in ("", "over quota"):
    try:
        list(answer(site, RunRequest(picture(BLUE), prompt, "embedded"), "s"))
    except TokvizError as error:
        said.append(str(error))
print(json.dumps(said))
"""


@pytest.fixture
def device_service():
    """Stands for the service of ZeroGPU that lends devices; the third asking is over quota."""
    asked = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            url = urlparse(self.path)
            asked.append((url.path, dict(parse_qsl(url.query))))
            status, found = 200, {}
            if url.path == "/schedule":
                found = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "x", "allowToken": "t"}
                if sum(path == "/schedule" for path, _ in asked) == 3:
                    status, found = 429, {"left": 5, "wait": 3600}
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *given):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


@pytest.mark.weekly
@pytest.mark.slow
def test_the_real_package_borrows_for_the_time_that_the_work_needs(device_service, tmp_path):
    """`spaces` itself, its forked worker and its errors; the device and its service stand in."""
    address, asked = device_service
    cgroup = tmp_path / "cgroup"
    cgroup.write_text("0::/")
    zero = {"SPACES_ZERO_GPU": "1", "SPACES_ZERO_DEVICE_API_URL": address,
            "ZEROGPU_PROC_SELF_CGROUP_PATH": str(cgroup), "HOME": str(tmp_path)}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", SPACE], env={**os.environ, **zero}, text=True,
                          capture_output=True, cwd=ROOT, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer_, left, empty, quota = json.loads(done.stdout.splitlines()[-1])
    assert (answer_, left) == ("blue dog.", 9)
    assert "empty" in empty
    assert "GPU limit" in quota
    lent = [float(given["durationSeconds"]) for path, given in asked if path == "/schedule"]
    request = RunRequest(None, "", "")
    one, two = (streaming.seconds_together(None, request, None, [None] * n, None) for n in (0, 1))
    assert lent[0] > lent[1] == lent[2]
    assert lent[0] / lent[1] == pytest.approx(two / one, rel=0.1)


def test_elsewhere_the_work_is_done_in_place(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert on_zero_gpu(streaming.seconds_together)(streaming.stream) is streaming.stream
