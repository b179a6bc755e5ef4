"""python -m benchmarks.attack [--visitors 100] [--pictures 100] [--write]: many ask, one attacks.

Starts app.py with the embedded model. Visitors of as many addresses upload a picture and ask at
once; on a busy machine fewer `--pictures` than visitors save the time of asking each picture alone
first. Meanwhile another process sends the hostile files and requests of the tests, in a
loop. An answer is lost if it did not come, or was not what the picture gets alone. It is late if
more people were answered before it than the queue had said.

--write puts the table into docs/load_attack.md.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.page import served
from benchmarks.table import Row, markdown
from embedded.world import scene
from tests.hostile_files import encoded, pictures, traces
from tests.hostile_requests import BODIES, INPUTS, PATHS, POSTS

QUESTION = "describe the image ."
PATIENCE_S = 600.0
"""Seconds after which a visitor gives up."""
ATTACK_PATIENCE_S = 20.0
"""The attacker does not wait longer for an answer: a stream may stay open for ever."""
DOCUMENT = Path(__file__).parents[1] / "docs" / "load_attack.md"
HEAD = """# Many people during an attack

`python -m benchmarks.attack --write` wrote this page: visitors of as many addresses ask at once,
while another process sends the hostile files and requests of the tests in a loop. Clients and
server share the machine.

"""


@dataclass
class Visit:
    """What one visitor saw."""

    began: float = 0.0
    ended: float = 0.0
    places: list[int] = field(default_factory=list)
    "Places in the queue that were told, from 0 on."
    promised: float | None = None
    "Seconds that were told at first."
    text: str = ""
    "The answer, or the error."


def client(address: str, visitor: str, patience: float) -> httpx.Client:
    """Return a client whose requests come from an address of its own, as a proxy writes it."""
    kept = httpx.Limits(max_keepalive_connections=0)  # the server closes idle connections
    head = {"x-forwarded-for": visitor}
    return httpx.Client(base_url=address, timeout=patience, headers=head, limits=kept)


def upload(http: httpx.Client, data: bytes, name: str) -> dict[str, Any] | None:
    """Upload a file; return it as an input, None where the upload was refused."""
    got = http.post("/gradio_api/upload", files={"files": (name, data)})
    if got.status_code != 200:
        return None
    return {"path": got.json()[0], "meta": {"_type": "gradio.FileData"}}


def visit(address: str, number: int, picture: bytes, question: str = QUESTION) -> Visit:
    """Ask as one visitor; return what was seen."""
    seen, session = Visit(), secrets.token_hex(8)
    with client(address, f"10.0.{number // 250}.{number % 250}", PATIENCE_S) as http:
        try:
            events = http.get("/config").json()["dependencies"]
            fn_index = next(e["id"] for e in events if e["api_name"] == "answer")
            data = [upload(http, picture, "mine.png"), question]
            body = {"data": data, "fn_index": fn_index, "session_hash": session}
            seen.began = time.monotonic()
            http.post("/gradio_api/queue/join", json=body).raise_for_status()
            listen(http, session, seen)
        except (httpx.HTTPError, ValueError) as error:
            seen.text = f"{type(error).__name__}: {error}"
    seen.ended = time.monotonic()
    return seen


def listen(http: httpx.Client, session: str, seen: Visit) -> None:
    """Read what the queue says until the answer is there."""
    with http.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        for line in stream.iter_lines():
            message = json.loads(line[5:]) if line.startswith("data:") else {}
            if message.get("msg") == "estimation":
                seen.places.append(message["rank"])
                seen.promised = seen.promised or message["rank_eta"]
            elif message.get("msg") == "process_completed":
                output = message["output"]
                found = output["data"][0] if message["success"] else output
                seen.text = found["full"]["answer"] if "full" in found else str(found["error"])
                return


def hostile() -> list[tuple[str, bytes]]:
    """Return the names and bytes of all hostile files."""
    named = [("a.png", one) for one in pictures()]
    return named + [("t.safetensors", one) for one in traces()]


def attack(
    address: str, files: Sequence[tuple[str, bytes]], over: Callable[[], bool], sent: Any = None
) -> None:
    """Send every hostile file and request again and again, until it is over.

    Args:
        address: of the server.
        files: what is uploaded, under which name.
        over: says whether to stop.
        sent: a shared number that counts the requests, or nothing.
    """
    with client(address, "10.9.9.9", ATTACK_PATIENCE_S) as http:
        events = http.get("/config").json()["dependencies"]
        uploads = [e["id"] for e in events if any(t[1] == "upload" for t in e["targets"])]
        for step in itertools.count():
            for act in acts(http, step, files[step % len(files)], uploads):
                if over():
                    return
                # an unknown stream may stay open, an answer be broken off
                with contextlib.suppress(httpx.HTTPError):
                    act()
                if sent is not None:
                    sent.value += 1


def acts(
    http: httpx.Client, step: int, file: tuple[str, bytes], uploads: Sequence[int]
) -> list[Callable[[], Any]]:
    """Return the requests of one round."""
    place: dict[str, Any] = {}

    def post(path: str, body: Any) -> Any:
        return http.post(path, json=body)

    def put_up() -> None:
        place["file"] = upload(http, file[1], file[0])

    def trace() -> None:
        event = uploads[step % len(uploads)]
        body = {"data": [place.get("file")], "fn_index": event, "session_hash": "evil"}
        post("/gradio_api/run/predict", body)

    return [
        put_up,
        trace,
        lambda: post("/gradio_api/call/answer", {"data": [place.get("file"), "what ?"]}),
        lambda: post("/gradio_api/call/answer", {"data": INPUTS[step % len(INPUTS)]}),
        lambda: http.get(PATHS[step % len(PATHS)]),
        lambda: post(POSTS[step % len(POSTS)], BODIES[step % len(BODIES)]),
    ]


def overtaken(visits: Sequence[Visit]) -> list[int]:
    """Return, for each visit, by how many answers more than the queue had said it came later.

    The question that is answered at the moment of joining has no place any more: one is added.
    """
    found = []
    for one in visits:
        before = sum(one.began < other.ended < one.ended for other in visits)
        told = one.places[0] + 1 if one.places else 1
        found.append(max(0, before - told))
    return found


def crowd(address: str, number: int, question: str, image: Callable[[int], bytes]) -> list[Visit]:
    """Let visitors ask all at once."""
    with ThreadPoolExecutor(number) as pool:
        asked = [pool.submit(visit, address, n, image(n), question) for n in range(number)]
        return [one.result() for one in asked]


def picture_of(number: int) -> bytes:
    """Return one of the pictures, no two of which are alike."""
    return encoded(scene(number, "test").image)


def until_set(address: str, over: Any, sent: Any) -> None:
    """Attack from a process of its own."""
    attack(address, hostile(), over.is_set, sent)


def rows(visits: Sequence[Visit], alone: Sequence[Visit], sent: int, took: float) -> list[Row]:
    """Return the table's lines."""
    lost = [v.text for v, a in zip(visits, alone, strict=True) if v.text != a.text]
    waited = sorted(v.ended - v.began for v in visits)
    rises = sum(b > a for v in visits for a, b in itertools.pairwise(v.places))
    late, told = overtaken(visits), [v for v in visits if v.promised]
    ratios = sorted((v.ended - v.began) / (v.promised or 1) for v in told) or [0.0]
    within = sum(ratio <= 1 for ratio in ratios)
    spread = f"{statistics.median(ratios):.2f} (least {ratios[0]:.2f}, most {ratios[-1]:.2f})"
    return [
        Row("visitors", str(len(visits)), f"asked at once, all answered after {took:.0f} s"),
        Row("hostile requests", str(sent), "files, wrong inputs, paths and bodies meanwhile"),
        Row("answers lost or wrong", str(len(lost)), "; ".join(sorted(set(lost)))[:200] or "none"),
        Row("answers later than the queue said", str(sum(n > 0 for n in late)),
            f"by at most {max(late)} answers; a place told later was higher {rises} times"),
        Row("waited", f"{statistics.median(waited):.1f} s", f"most {waited[-1]:.1f} s"),
        Row("answered within the time told at first", f"{within} of {len(told)}",
            f"waited / told: median {spread}; the time is meant as an upper limit"),
    ]  # fmt: skip


def main() -> None:
    """Measure, print the table; with --write also write docs/load_attack.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack")
    parser.add_argument("--visitors", type=int, default=100)
    parser.add_argument("--pictures", type=int, help="different ones; default: as many")
    parser.add_argument("--write", action="store_true", help="write docs/load_attack.md")
    arguments = parser.parse_args()
    pictures = min(arguments.pictures or arguments.visitors, arguments.visitors)
    busy, spawn = os.getloadavg()[0], multiprocessing.get_context("spawn")
    with served(TOKVIZ_TRUST_PROXY="yes") as place:
        address = place.rstrip("/")
        alone = [visit(address, n, picture_of(n)) for n in range(pictures)]
        over, sent = spawn.Event(), spawn.Value("q", 0)
        attacker = spawn.Process(target=until_set, args=(address, over, sent), daemon=True)
        attacker.start()
        while sent.value < 10:
            time.sleep(0.1)
        first, began = sent.value, time.monotonic()
        visits = crowd(address, arguments.visitors, QUESTION, lambda n: picture_of(n % pictures))
        took, count = time.monotonic() - began, sent.value - first
        over.set()
        attacker.join(2 * ATTACK_PATIENCE_S)
        healthy = httpx.get(f"{address}/healthz").status_code == 200
    right = [alone[n % pictures] for n in range(arguments.visitors)]
    table = rows(visits, right, count, took)
    table.append(Row("the server afterwards", "well" if healthy else "not well", "/healthz"))
    note = (
        f"{pictures} different pictures. Load of the machine (processes that want to run) by other "
        f"work before the start: {busy:.1f}, at the end with all of this: {os.getloadavg()[0]:.1f}."
    )
    block = markdown(table, note)
    print(block)
    if arguments.write:
        DOCUMENT.write_text(f"{HEAD}{block}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
