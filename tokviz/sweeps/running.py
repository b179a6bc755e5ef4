"""Runs a sweep: many images x questions x methods x budgets x models.

    result = tokviz.sweep("questions.csv", methods=["fastervlm", "fastv"], budgets=[16, "25%"])

A stored row is never measured again: a row is identified by its content (`rows.row_key`). So a
stopped sweep continues, and a larger sweep measures only the new rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from tokviz.errors import InputError
from tokviz.models.checkpoints.loading import EMBEDDED
from tokviz.models.runs.streaming import check_length
from tokviz.sweeps.arguments import check_count, check_kinds, check_loading, several, texts
from tokviz.sweeps.films import with_frames
from tokviz.sweeps.flip_traces import store_flips
from tokviz.sweeps.judging import check_truth, object_lines
from tokviz.sweeps.question import Question, digest, file_digest, text_lines
from tokviz.sweeps.row_store import Store, arrow_library
from tokviz.sweeps.rows import Row, row_key, sort_key
from tokviz.sweeps.setting import SMALLER, Setting, settings
from tokviz.sweeps.sources import read_questions
from tokviz.sweeps.summary import report_of
from tokviz.sweeps.worker import Ask, Terms, Unit, Worker
from tokviz.view.sweep_page import page

MAX_ASKS = 16
"Largest number of questions in one unit."
Engine = Callable[[str, Sequence[Unit], Terms], Generator[list[Row]]]
"(model, units, terms) -> rows, those of one question at a time, in any order."


@dataclass(frozen=True)
class Sweep:
    """A finished sweep."""

    folder: Path
    rows: tuple[Row, ...]
    "All rows of the sweep, in a fixed order."
    measured: int
    "Number of rows that were measured now; the others were stored already."
    unasked: frozenset[str] = frozenset()
    "Methods that were added as baselines; a model may be unable to give them."

    @property
    def failed(self) -> list[Row]:
        """Return the rows without an answer, baselines that nobody asked for left out."""
        return [row for row in self.rows if row["error"] and row["method"] not in self.unasked]


def sweep(
    source: str | Path | Sequence[Question],
    *,
    methods: str | Iterable[str] = (),
    budgets: int | str | Iterable[int | str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    mitigations: str | Iterable[str] = (),
    models: str | Iterable[str] = "embedded",
    images: str | Path | None = None,
    prompts: str | Sequence[str] = (),
    kind: str | None = None,
    objects: str | Path | None = None,
    limit: int | None = None,
    frames: int | None = None,
    rate: float | None = None,
    times: Sequence[float] | None = None,
    max_new_tokens: int = 64,
    faithfulness: bool = False,
    baselines: bool | None = None,
    out: str | Path = "sweep",
    engine: Engine | None = None,
    traces: int = 0,
    lab: str = "http://127.0.0.1:7860",
    progress: bool = False,
    **loading: Any,
) -> Sweep:
    """Answer every question with every method, budget and model, and store the results.

    Args:
        source: a folder, a table, `pope:`, `easy-vqa:` or `hub:` (see `tokviz.sweeps.sources`),
            or questions.
        methods: names in METHODS; all tokens are always measured, too. Here and below a single
            value needs no list.
        budgets: visual tokens to keep, counts (64) or shares ("25%").
        options: method or mitigation -> its options.
        mitigations: names in MITIGATIONS; each is combined with every method and with all tokens.
        models: "embedded", Hub ids or folders.
        images: the folder of the images; default that of the table.
        prompts: asked about every picture of a source without questions.
        kind: how answers are judged if the source does not say.
        objects: for CHAIR, a file with one object per line, synonyms after commas; default every
            object that the questions name.
        limit: use only the first so many questions.
        frames: how many frames of each film are shown, 1 to 32; default 8. With this, `rate` or
            `times` an animated GIF or WebP is a film, too.
        rate: instead: frames per second.
        times: instead: the frames at these seconds.
        max_new_tokens: longest answer, 1 to 1024.
        faithfulness: also compare each method's score with the full answer; dozens of forwards
            per question.
        baselines: add the two honest baselines: a smaller picture at every budget, and the answer
            without the picture, so `len(budgets) + 1` more rows per question. None = where there
            are methods, as the command does; False = only what is asked for.
        out: folder of the rows; with the same folder a stopped sweep continues.
        engine: what measures, such as `RayEngine(workers=2)`; None = this process.
        traces: number of flipped questions whose runs are stored for the report's links.
        lab: address of the page that the report's links open.
        progress: show a bar with the time left on stderr.
        **loading: arguments of `tokviz.load`: device, dtype, bits, device_map, revision.

    Raises:
        InputError: a source, method, option or budget that cannot be used, or a full disk.
        ModelError: a model that cannot be loaded.
    """
    arrow_library()
    check_kinds(options, engine, lab, baselines)
    check_loading(loading, sweep)
    limit, traces = check_count("limit", limit, 1), check_count("traces", traces, 0) or 0
    models, prompts = texts("models", models), texts("prompts", prompts)
    methods = texts("methods", methods)
    baselines = bool(methods) if baselines is None else baselines
    asked = settings(methods, budgets, options, mitigations, baselines)
    store = Store(Path(out))
    if isinstance(source, (str, Path)):
        source = read_questions(
            source, images=images, prompts=prompts, kind=kind, limit=limit,
            store=store.folder,
        )  # fmt: skip
    given = several(source)
    strange = [one for one in given if not isinstance(one, Question)]
    if strange:
        raise InputError(
            "a sweep asks about a folder, a table or a list of tokviz.sweeps.question.Question, "
            f"got a list with a {type(strange[0]).__name__}."
        )
    questions = with_frames(given[:limit], frames, rate, times)
    max_new_tokens = check_length(max_new_tokens)
    lines = object_lines(questions) if objects is None else text_lines(Path(objects))
    terms = Terms(max_new_tokens, loading, faithfulness, lines)
    check_questions(questions, terms)
    with store.locked():
        plan = {name: all_rows(questions, asked, name, terms) for name in models}
        result = measure_missing(plan, terms, store, engine or in_process, progress)
        stored = store_flips(result.rows, asked, terms, store, traces, progress)
        report = report_of(result.rows, f"Sweep {store.folder.name}", stored, lab)
        store.write("report.html", page(report).encode("utf-8", "replace"))
    added = frozenset({SMALLER} - {*methods}) if baselines else frozenset()
    return replace(result, unasked=added)


def measure_missing(
    plan: Mapping[str, Sequence[Ask]], terms: Terms, store: Store, engine: Engine, progress: bool
) -> Sweep:
    """Measure the rows that are not stored, store each at once, then write the result."""
    known = store.read()
    keys = [key for asks in plan.values() for ask in asks for key, _ in ask.pending]
    have = {key for key in keys if key in known and not known[key]["again"]}
    bar = tqdm(total=len(keys), initial=len(have), unit="row", disable=not progress)
    with bar, store.writing() as part:
        for model, asks in plan.items():
            units = list(units_of(pending(asks, have)))
            bar.set_postfix_str(f"loading {model[-40:]}" if units else model[-40:])
            with closing(engine(model, units, terms)) as found:
                for rows in found:
                    part.add(rows)
                    known.update((row["key"], row) for row in rows)
                    bar.set_postfix_str(model[-40:], refresh=False)
                    bar.update(len(rows))
    done = tuple(sorted((known[key] for key in keys), key=sort_key))
    store.write_result(done)
    return Sweep(store.folder, done, len(keys) - len(have))


def check_questions(questions: Sequence[Question], terms: Terms) -> None:
    """Raise InputError unless there are questions and all right answers can be used."""
    if not questions:
        raise InputError("there are no questions to ask.")
    objects = terms.object_list
    for question in questions:
        check_truth(question, objects)


def in_process(model: str, units: Sequence[Unit], terms: Terms) -> Generator[list[Row]]:
    """Measure in this process, one unit after the other."""
    if not units:
        return
    worker = Worker(model, terms)
    for unit in units:
        yield from worker.measure(unit)


def all_rows(
    questions: Sequence[Question], asked: Sequence[Setting], model: str, terms: Terms
) -> list[Ask]:
    """Return every question with all settings and the keys of their rows."""
    identity = model_identity(model)
    found: dict[str, Ask] = {}
    for question in questions:
        name = question.digest()
        keys = ((row_key(name, identity, s, terms.identity(question.kind)), s) for s in asked)
        found.setdefault(name, Ask(question, name, tuple(keys)))
    return list(found.values())


def pending(asks: Iterable[Ask], have: set[str]) -> Iterator[Ask]:
    """Yield the questions with the settings that are not measured yet."""
    for ask in asks:
        left = tuple((key, setting) for key, setting in ask.pending if key not in have)
        if left:
            yield Ask(ask.question, ask.digest, left)


def units_of(asks: Iterable[Ask]) -> Iterator[Unit]:
    """Group questions about the same pictures into units, which share a run of the tower."""
    groups: dict[tuple[Any, ...], list[Ask]] = {}
    for ask in asks:
        same = (*map(file_digest, ask.question.images), *ask.question.choice.items())
        groups.setdefault(same, []).append(ask)
    for group in groups.values():
        for start in range(0, len(group), MAX_ASKS):
            yield Unit(tuple(group[start : start + MAX_ASKS]))


def model_identity(model: str) -> str:
    """Return a text that identifies a model: its Hub id, or a hash of its files."""
    folder = EMBEDDED if model == "embedded" else Path(model)
    if not folder.is_dir():
        return model
    files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".jinja"))
    return digest([(path.name, path.stat().st_size, _ends(path)) for path in files])


def _ends(path: Path, size: int = 2**20) -> str:
    """Return a hash of the first and last megabyte of a file: header and weights."""
    with path.open("rb") as file:
        first = file.read(size)
        file.seek(max(path.stat().st_size - size, 0))
        return hashlib.sha256(first + file.read(size)).hexdigest()
