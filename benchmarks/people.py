"""python -m benchmarks.people [--people 100] [--runs 1000] [--write]: many visitors at one server.

Starts app.py with the embedded model and lets real clients (gradio_client, and the plain requests
of a browser where an event is the page's own) open the page, open stored examples and ask, all at
once. While they do, others crash: pictures that are none, a model that cannot be loaded, visitors
who leave in the middle. Everybody asks about a picture of their own; an answer counts as right only
if each word and its probability is what the same picture got when it was alone on the server.
At the end one visitor asks `--runs` times and the server's memory is read as it goes.

--write puts the table into docs/load.md. Clients and server share this machine, so latencies hold
the clients' own work too.
"""

import argparse
import json
import os
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import httpx
from gradio_client import Client, handle_file

from benchmarks.page import served
from benchmarks.table import Row, markdown
from embedded.world import scene

QUESTION = "describe the image ."
LOOKS = 4
"""Stored examples that each visitor opens."""
ARRIVING = 10.0
"""Seconds within which everybody comes."""
ASKING = 0.3
"""Share of the visitors who also ask."""
SAMPLES = 20
DOCUMENT = Path(__file__).parents[1] / "docs" / "load.md"
HEAD = """# Many people at once

`python -m benchmarks.people --write` wrote this page. Visitors open the page, open {looks} stored
examples each, and {share:.0%} of them ask about a picture of their own, while others send a broken
picture, ask a model that cannot be loaded, or leave in the middle. Clients and server share the
machine.

"""


@dataclass
class Diary:
    """What happened to everybody."""

    opened: list[float] = field(default_factory=list)
    looked: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    "Places in the queue that were told to somebody who waited."
    wrong: list[str] = field(default_factory=list)
    "Answers and examples that belonged to somebody else."
    errors: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    "What those were told who crashed on purpose."


class Visitor:
    """One browser tab: the page, its own events, and the public endpoint for questions."""

    def __init__(self, address: str, number: int) -> None:
        self.address, self.number = address, number
        self.http = httpx.Client(timeout=300)
        page = self.http.get(address)
        page.raise_for_status()
        self.client = Client(
            address,
            verbose=False,
            analytics_enabled=False,
            download_files=False,
            httpx_kwargs={"timeout": 300},
        )
        self.config = self.client.config

    def event(self, name: str) -> dict[str, Any]:
        """Return the page's first event of this name, as the server announces it."""
        for one in self.config["dependencies"]:
            if any(target[1] == name for target in one["targets"]):
                return one
        raise LookupError(name)

    def look(self, example: str) -> bool:
        """Open a stored example as a click on it does; return whether it is what came back."""
        event = self.event("pick")
        body = {
            "data": [],
            "event_data": {"example": example},
            "fn_index": event["id"],
            "trigger_id": event["targets"][0][0],
            "session_hash": self.client.session_hash,
        }
        answer = self.http.post(f"{self.address}gradio_api/run/predict", json=body)
        answer.raise_for_status()
        return any(
            isinstance(v, dict) and v.get("example") == example for v in answer.json()["data"]
        )

    def ask(self, picture: Path, diary: Diary | None = None, model: str = "") -> dict[str, Any]:
        """Ask about a picture; note the places in the queue that were told."""
        job = self.client.submit(
            handle_file(str(picture)), QUESTION, model, "", 0, {}, api_name="/answer"
        )
        while not job.done():
            rank = job.status().rank
            if diary is not None and rank is not None:
                diary.places.append(rank)
            time.sleep(0.25)
        return job.result()


def fingerprint(record: dict[str, Any]) -> str:
    """Return the answer with each word's probability, which no other picture has."""
    words = [(token["text"], round(token["probability"], 4)) for token in record["full"]["tokens"]]
    return json.dumps(words)


def visit(address: str, number: int, picture: Path | None, alone: str, diary: Diary) -> None:
    """Come, open examples, and ask if there is a picture; write down how it went."""
    dice = random.Random(number)
    time.sleep(dice.random() * ARRIVING)
    try:
        began = time.perf_counter()
        visitor = Visitor(address, number)
        diary.opened.append(time.perf_counter() - began)
        if picture is not None:
            question(visitor, picture, alone, diary)
        for _ in range(LOOKS):
            time.sleep(dice.random())
            example = f"scene_{dice.randrange(1, 7)}"
            began = time.perf_counter()
            if not visitor.look(example):
                diary.wrong.append(f"visitor {number} did not get {example}")
            diary.looked.append(time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001  counted: that is what this is about
        diary.errors.append(f"{type(error).__name__}: {error}"[:200])


def question(visitor: Visitor, picture: Path, alone: str, diary: Diary) -> None:
    """Ask, and compare with what the picture got when nobody else was there."""
    began = time.perf_counter()
    record = visitor.ask(picture, diary)
    took = time.perf_counter() - began
    if "error" in record:
        diary.errors.append(record["error"])
        return
    diary.answered.append(took)
    diary.waited.append(max(0.0, took - record["full"]["seconds"]["total"]))
    if fingerprint(record) != alone:
        diary.wrong.append(f"visitor {visitor.number} got another picture's answer")


def crash(address: str, home: Path, broken_model: str, diary: Diary) -> None:
    """Do what breaks: a picture that is none, a model that is none, leaving in the middle."""
    visitor = Visitor(address, -1)
    bad = home / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + b"not a picture" * 50)
    good = home / "0.png"
    for picture, model in ((bad, ""), (good, broken_model)):
        record = visitor.ask(picture, model=model)
        told = re.sub(r"'/[^']*'", "…", record.get("error", "answered"))
        diary.crashes.append(told[:80])
    for _ in range(3):
        leaver = Visitor(address, -2)
        leaver.client.submit(handle_file(str(good)), QUESTION, "", "", 0, {}, api_name="/answer")
        time.sleep(0.3)
        leaver.http.close()
        leaver.client.close()


def crowd(address: str, people: int, home: Path, broken_model: str) -> tuple[Diary, float]:
    """Let everybody come at once; return what happened and the seconds it took."""
    asking = max(1, round(people * ASKING))
    pictures = [home / f"{number}.png" for number in range(asking)]
    for number, path in enumerate(pictures):
        scene(number, "test").image.save(path)
    first = Visitor(address, 0)
    alone = [fingerprint(first.ask(path)) for path in pictures]
    if len(set(alone)) < len(alone):
        raise SystemExit("two pictures have the same answer: a mix-up would not be seen")
    diary, began = Diary(), time.perf_counter()
    breaker = threading.Thread(target=crash, args=(address, home, broken_model, diary))
    breaker.start()
    with ThreadPoolExecutor(people) as pool:
        for number in range(people):
            mine = number if number < asking else None
            picture = None if mine is None else pictures[mine]
            pool.submit(visit, address, number, picture, "" if mine is None else alone[mine], diary)
    breaker.join()
    took = time.perf_counter() - began
    if fingerprint(first.ask(pictures[0])) != alone[0]:
        diary.wrong.append("after the crowd the first picture has another answer")
    return diary, took


def memory(address: str, home: Path, runs: int) -> Iterator[tuple[int, float]]:
    """Ask again and again; yield (runs so far, MiB that the server holds)."""
    visitor, server = Visitor(address, 0), listener(urlparse(address).port or 0)
    for number in range(runs + 1):
        if number % max(1, runs // SAMPLES) == 0:
            yield number, resident(server)
        if number < runs:
            picture = handle_file(str(home / "0.png"))
            visitor.client.predict(picture, QUESTION, "", "", 0, {}, api_name="/answer")


def listener(port: int) -> int:
    """Return the process that listens on a port of this machine (Linux)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {
        line.split()[9]
        for line in lines
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
    }
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target[8:-1] in inodes and target.startswith("socket:["):
            return int(link.parts[2])
    raise SystemExit(f"nothing listens on port {port}")


def resident(process: int) -> float:
    """Return the MiB of memory that a process holds (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def told(seconds: Sequence[float]) -> str:
    """Return median, 95th percentile and maximum as text."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    high = ordered[round(0.95 * (len(ordered) - 1))]
    return f"{statistics.median(ordered):.2f} s (95 %: {high:.2f}, most {ordered[-1]:.2f})"


def rows(diary: Diary, people: int, took: float) -> Iterator[Row]:
    """Yield the lines about the crowd."""
    asked = max(1, round(people * ASKING))
    yield Row("visitors", str(people), f"came within {ARRIVING:.0f} s, all gone after {took:.0f} s")
    yield Row("page opened", told(diary.opened), "page, configuration, client ready")
    how = f"{len(diary.looked)} of {people * LOOKS}, while the model was busy"
    yield Row("stored example opened", told(diary.looked), how)
    how = f"{len(diary.answered)} of {asked} questions; embedded model, one at a time"
    yield Row("answer there", told(diary.answered), how)
    how = f"places told: up to {max(diary.places, default=0)}"
    yield Row("of which waiting", told(diary.waited), how)
    yield Row("somebody else's picture or answer", str(len(diary.wrong)), "words and probabilities")
    yield Row(
        "errors", str(len(diary.errors)), "; ".join(sorted(set(diary.errors)))[:200] or "none"
    )
    how = "; ".join(diary.crashes)[:300] + "; three visitors left in the middle"
    yield Row("crashed on purpose", str(len(diary.crashes) + 3), f"{how}; the next was answered")


def remembered(samples: Sequence[tuple[int, float]], took: float) -> Row:
    """Return the line about memory."""
    line = ", ".join(f"{runs}: {mib:.0f}" for runs, mib in samples)
    half = [mib for runs, mib in samples if runs >= samples[-1][0] / 2]
    grown = f"{half[-1] - half[0]:+.0f} MiB in the second half"
    return Row(f"memory over {samples[-1][0]} runs", grown, f"MiB after runs: {line}; {took:.0f} s")


def main() -> None:
    """Measure, print the table; with --write also write docs/load.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.people")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="write docs/load.md")
    arguments = parser.parse_args()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        broken = home / "broken-model"
        broken.mkdir()
        (broken / "config.json").write_text('{"model_type": "llava"}')
        os.environ["TOKVIZ_MODELS"] = f"embedded,{broken}"
        with served() as address:
            diary, took = crowd(address, arguments.people, home, str(broken))
            table = list(rows(diary, arguments.people, took))
            began = time.perf_counter()
            samples = list(memory(address, home, arguments.runs))
            table.append(remembered(samples, time.perf_counter() - began))
    note = f"Other work on the machine before the start: load {busy:.1f}."
    block = markdown(table, note)
    print(block)
    for line in diary.wrong:
        print(line)
    if arguments.write:
        DOCUMENT.write_text(HEAD.format(looks=LOOKS, share=ASKING) + block + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
