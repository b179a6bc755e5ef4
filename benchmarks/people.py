"""python -m benchmarks.people [--people 100] [--runs 1000] [--write]: many visitors at one server.

Starts app.py with the embedded model and lets visitors open the page, open stored examples and ask,
all at once. While they do, others crash: pictures that are none, a model that cannot be loaded,
visitors who leave in the middle; and one presses Stop. Everybody asks about a picture of their own;
an answer counts as right only if each word and its probability is what the same picture got when it
was alone on the server. Then `benchmarks.memory` asks `--runs` times a server of its own.

--write puts table and sentences into docs/load.md. Clients and server share this machine, so
latencies hold the clients' own work too. On two quiet cores the whole takes about ten minutes.
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

from gradio_client import Client, handle_file

from benchmarks import memory
from benchmarks.page import served
from benchmarks.tab import Tab
from benchmarks.table import Row, markdown
from embedded.world import scene

QUESTION = "describe the image ."
LOOKS = 4
"""Stored examples that each visitor opens."""
ARRIVING = 10.0
"""Seconds within which everybody comes."""
ASKING = 0.3
"""Share of the visitors who also ask."""
DOCUMENT = Path(__file__).parents[1] / "docs" / "load.md"
HEAD = """# Many people at once

`python -m benchmarks.people --write` wrote this page. Visitors open the page, open {looks} stored
examples each, and {share:.0%} of them ask about a picture of their own, while others send a broken
picture, ask a model that cannot be loaded, or leave in the middle, and one presses Stop. Clients
and server share the machine.

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
    promised: list[float] = field(default_factory=list)
    "Seconds left that were told to somebody who waited."
    stopped: list[float] = field(default_factory=list)
    "Seconds from pressing Stop to the end of the run."
    wrong: list[str] = field(default_factory=list)
    "Answers and examples that belonged to somebody else."
    errors: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    "What those were told who crashed on purpose."


class Program:
    """A visitor who asks by the public endpoint, as gradio_client does."""

    def __init__(self, address: str) -> None:
        self.client = Client(
            address,
            verbose=False,
            analytics_enabled=False,
            download_files=False,
            httpx_kwargs={"timeout": 300},
        )

    def ask(self, picture: Path, diary: Diary | None = None, model: str = "") -> dict[str, Any]:
        """Ask about a picture; note the places in the queue and the times that were told."""
        job = self.client.submit(
            handle_file(str(picture)), QUESTION, model, "", 0, {}, True, api_name="/answer"
        )
        while not job.done():
            told = job.status()
            if diary is not None and told.rank is not None:
                diary.places.append(told.rank)
            if diary is not None and told.eta is not None:
                diary.promised.append(told.eta)
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
        tab = Tab(address)
        diary.opened.append(time.perf_counter() - began)
        if picture is not None:
            question(Program(address), number, picture, alone, diary)
        for _ in range(LOOKS):
            time.sleep(dice.random())
            example = f"scene_{dice.randrange(1, 7)}"
            tab.config  # noqa: B018  read before the clock starts: a browser has it with the page
            began = time.perf_counter()
            if not tab.look(example):
                diary.wrong.append(f"visitor {number} did not get {example}")
            diary.looked.append(time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001  counted: that is what this is about
        diary.errors.append(f"{type(error).__name__}: {error}"[:200])


def question(program: Program, number: int, picture: Path, alone: str, diary: Diary) -> None:
    """Ask, and compare with what the picture got when nobody else was there."""
    began = time.perf_counter()
    record = program.ask(picture, diary)
    took = time.perf_counter() - began
    if "error" in record:
        diary.errors.append(record["error"])
        return
    diary.answered.append(took)
    diary.waited.append(max(0.0, took - record["full"]["seconds"]["total"]))
    if fingerprint(record) != alone:
        diary.wrong.append(f"visitor {number} got another picture's answer")


def crash(address: str, home: Path, broken_model: str, diary: Diary) -> None:
    """Do what breaks: a picture that is none, a model that is none, leaving in the middle."""
    program = Program(address)
    bad = home / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + b"not a picture" * 50)
    good = home / "0.png"
    for picture, model in ((bad, ""), (good, broken_model)):
        record = program.ask(picture, model=model)
        told = re.sub(r"'/[^']*'", "…", record.get("error", "answered"))
        diary.crashes.append(told[:80])
    for _ in range(3):
        leaver = Program(address)
        leaver.client.submit(handle_file(str(good)), QUESTION, "", "", 0, {}, api_name="/answer")
        time.sleep(0.3)
        leaver.client.close()


def stop(address: str, diary: Diary) -> None:
    """Start a long run (one method at many budgets), press Stop, and wait for its end."""
    tab, pressed = Tab(address), 0.0
    wanted = {"method": "fastervlm", "options": {}}
    for message in tab.queued("sweep", [QUESTION, "embedded", None], wanted):
        if message["msg"] == "process_generating" and not pressed:
            halt = Tab(address)
            halt.session = tab.session
            pressed = time.perf_counter()
            halt.quick("halt", {})
    diary.stopped.append(time.perf_counter() - pressed)


def crowd(address: str, people: int, home: Path, broken_model: str) -> tuple[Diary, float]:
    """Let everybody come at once; return what happened and the seconds it took."""
    asking = max(1, round(people * ASKING))
    pictures = [home / f"{number}.png" for number in range(asking)]
    for number, path in enumerate(pictures):
        scene(number, "test").image.save(path)
    first = Program(address)
    alone = [fingerprint(first.ask(path)) for path in pictures]
    if len(set(alone)) < len(alone):
        raise SystemExit("two pictures have the same answer: a mix-up would not be seen")
    diary, began = Diary(), time.perf_counter()
    others = [
        threading.Thread(target=crash, args=(address, home, broken_model, diary)),
        threading.Thread(target=stop, args=(address, diary)),
    ]
    for other in others:
        other.start()
    with ThreadPoolExecutor(people) as pool:
        for number in range(people):
            mine = number if number < asking else None
            picture = None if mine is None else pictures[mine]
            pool.submit(visit, address, number, picture, "" if mine is None else alone[mine], diary)
    for other in others:
        other.join()
    took = time.perf_counter() - began
    if fingerprint(first.ask(pictures[0])) != alone[0]:
        diary.wrong.append("after the crowd the first picture has another answer")
    return diary, took


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
    yield Row("page opened", told(diary.opened), "the whole page has arrived")
    how = f"{len(diary.looked)} of {people * LOOKS}, while the model was busy"
    yield Row("stored example opened", told(diary.looked), how)
    how = f"{len(diary.answered)} of {asked} questions; embedded model, one at a time"
    yield Row("answer there", told(diary.answered), how)
    how = f"places told: up to {max(diary.places, default=0)}"
    if diary.promised:
        how += f"; time left told {len(diary.promised)} times: up to {max(diary.promised):.0f} s"
    yield Row("of which waiting", told(diary.waited), how)
    how = "from pressing Stop in a keep sweep to the end of the run"
    yield Row("stopped", told(diary.stopped), how)
    yield Row("somebody else's picture or answer", str(len(diary.wrong)), "words and probabilities")
    yield Row(
        "errors", str(len(diary.errors)), "; ".join(sorted(set(diary.errors)))[:200] or "none"
    )
    how = "; ".join(diary.crashes)[:300] + "; three visitors left in the middle"
    yield Row("crashed on purpose", str(len(diary.crashes) + 3), f"{how}; the next was answered")


def sentences(diary: Diary, people: int) -> str:
    """Say what the figures about the crowd mean."""
    asked, wrong = max(1, round(people * ASKING)), len(diary.wrong)
    mixed = "Nobody saw another's picture or answer." if not wrong else f"{wrong} mix-ups!"
    lost = asked - len(diary.answered)
    served_all = "every question was answered" if not lost else f"{lost} questions had no answer"
    return (
        f"{mixed} Of {people} visitors {asked} asked and {served_all}; a stored example took "
        f"{statistics.median(diary.looked):.2f} s in the middle while the model was busy."
    )


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
        with served(
            TOKVIZ_MODELS=f"embedded,{broken}", TOKVIZ_REQUESTS_PER_MINUTE="1000000"
        ) as address:
            diary, took = crowd(address, arguments.people, home, str(broken))
        samples, seconds = memory.measured(home / "0.png", arguments.runs)
    table = [*rows(diary, arguments.people, took), memory.row(samples, seconds)]
    note = f"Other work on the machine before the start: load {busy:.1f}."
    said = f"{sentences(diary, arguments.people)} {memory.sentence(samples)}"
    block = f"{markdown(table, note)}\n\n{said}"
    print(block)
    for line in diary.wrong:
        print(line)
    if arguments.write:
        DOCUMENT.write_text(HEAD.format(looks=LOOKS, share=ASKING) + block + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
