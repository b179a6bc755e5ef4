"""python -m benchmarks.ray_scaling [--pictures 60] [--rounds 2] [--write]: a sweep on two workers.

Measures the same easy-VQA questions in this process, on Ray with one worker and on Ray with two, in
turns. Every process gets one torch thread. The clock starts when each worker has loaded its model
and measured one picture, and stops when the last row stands on the disk, so that it holds what Ray
costs per unit but not how long it takes to start. It also checks that the answers are the same.

--write puts the table into docs/scaling.md. The default takes about 7 minutes on 2 quiet cores.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.table import Row, markdown
from tokviz.sweeps import running
from tokviz.sweeps.question import Question
from tokviz.sweeps.ray_engine import RayEngine
from tokviz.sweeps.sources import read_questions
from tokviz.sweeps.worker import Terms, Unit, Worker

METHODS = ("fastervlm", "divprune", "fastv")
BUDGETS = (9, "50%")
DOCUMENT = Path(__file__).parents[1] / "docs" / "scaling.md"
HEAD = """# A sweep on two workers

`python -m benchmarks.ray_scaling --write` wrote this page: the same questions measured in one
process, on Ray with one worker and on Ray with two. Every process has one torch thread and the same
priority. Starting and loading are not counted; their line says what they took.

"""


class Here:
    """The engine of this process, with its own clock."""

    called = began = ended = 0.0

    def __call__(self, model: str, units: Sequence[Unit], terms: Terms) -> Generator[list[Any]]:
        """Yield the rows of each question."""
        self.called = time.perf_counter()
        torch.set_num_threads(1)
        worker = Worker(model, terms)
        list(worker.measure(units[0]))
        self.began = time.perf_counter()
        for unit in units:
            yield from worker.measure(unit)
        self.ended = time.perf_counter()


class OnRay(RayEngine):
    """The engine of Ray, with a clock that starts when every worker is warm."""

    called = began = ended = 0.0

    def __call__(self, model: str, units: Sequence[Unit], terms: Terms) -> Generator[list[Any]]:
        """Yield the rows of each unit."""
        self.called = time.perf_counter()
        self.first = units[0]
        yield from super().__call__(model, units, terms)
        self.ended = time.perf_counter()

    def actors(self, model: str, terms: Terms, count: int) -> list[Any]:
        """Start the workers and let each measure one unit."""
        actors = super().actors(model, terms, count)
        self.ray.get([actor.rows.remote(self.first) for actor in actors])
        self.began = time.perf_counter()
        return actors


def timed(engine: Any, questions: Sequence[Question]) -> tuple[float, float, list[str]]:
    """Measure all questions in a fresh folder; return seconds, those before, and the answers."""
    with tempfile.TemporaryDirectory() as folder:
        result = running.sweep(
            questions,
            methods=METHODS,
            budgets=BUDGETS,
            baselines=False,
            max_new_tokens=8,
            out=folder,
            engine=engine,
        )
    if result.failed:
        raise SystemExit(result.failed[0]["error"])
    answers = [row["answer"] for row in result.rows]
    return engine.ended - engine.began, engine.began - engine.called, answers


def questions_about(pictures: int) -> list[Question]:
    """Return the questions about the first so many pictures of easy-VQA."""
    found: dict[tuple[str, ...], list[Question]] = {}
    for question in read_questions("easy-vqa:test"):
        found.setdefault(question.images, []).append(question)
    return [question for group in list(found.values())[:pictures] for question in group]


def rows(pictures: int, rounds: int) -> list[Row]:
    """Measure in turns; return the lines of the table."""
    asked = questions_about(pictures)
    engines = {"this process": Here(), "Ray, 1 worker": OnRay(1), "Ray, 2 workers": OnRay(2)}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    starts: dict[str, list[float]] = {name: [] for name in engines}
    answers: list[list[str]] = []
    for _ in range(rounds):
        for name, engine in engines.items():
            took, start, said = timed(engine, asked)
            seconds[name].append(took)
            starts[name].append(start)
            answers.append(said)
    here, one, two = (median(found) for found in seconds.values())
    count = len(answers[0])
    table = [
        Row(name, f"{count / median(found):.1f} rows/s", each(found))
        for name, found in seconds.items()
    ]
    starting = [f"{name}: {median(found):.1f} s" for name, found in starts.items()]
    same = all(said == answers[0] for said in answers)
    return [
        *table,
        Row("two workers against one", f"{one / two:.2f} times as fast", "2 = linear"),
        Row("Ray against this process", f"{one / here:.2f} times the time", "one worker"),
        Row("starting and loading", "not counted", ", ".join(starting)),
        Row("same answers", "yes" if same else "NO", f"{count} rows, {len(answers)} sweeps"),
    ]


def each(seconds: Sequence[float]) -> str:
    """Return every round's time."""
    return ", ".join(f"{one:.1f} s" for one in seconds)


def main() -> None:
    """Measure, print the table; with --write also write docs/scaling.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_scaling")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write docs/scaling.md")
    arguments = parser.parse_args()
    busy = os.getloadavg()[0]
    note = f"Medians; rounds took turns. Load before the start: {busy:.1f}."
    block = markdown(rows(arguments.pictures, arguments.rounds), note)
    print(block)
    if arguments.write:
        DOCUMENT.write_text(HEAD + block + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
