"""Many visitors ask while somebody sends hostile files and requests: nobody's answer is lost.

`python -m benchmarks.attack` does the same with 100 visitors and the embedded model.
"""

import threading
from types import SimpleNamespace

from benchmarks.attack import attack, crowd, hostile, overtaken
from tests.components.endpoints.conftest import HTTP
from tests.components.endpoints.test_tools import wait_until
from tests.hostile_files import encoded
from tests.view.fakes import BLUE, picture

VISITORS = 5


def test_nobody_s_answer_is_lost_or_late(tools):
    blue, over, sent = encoded(picture(BLUE)), threading.Event(), SimpleNamespace(value=0)
    args = (tools.url, hostile()[::7], over.is_set, sent)
    # a daemon: an attacker that hangs on a stream must not keep the tests from ending
    attacker = threading.Thread(target=attack, args=args, daemon=True)
    attacker.start()
    assert wait_until(lambda: sent.value > 5, 60)
    try:
        visits = crowd(tools.url, VISITORS, "what ?", lambda number: blue)
    finally:
        over.set()
        attacker.join(60)
    assert [one.text for one in visits] == ["blue dog."] * VISITORS
    assert overtaken(visits) == [0] * VISITORS
    assert not any(
        b > a for one in visits for a, b in zip(one.places, one.places[1:], strict=False)
    )
    assert not attacker.is_alive()
    assert HTTP.get(f"{tools.url}/healthz").status_code == 200
