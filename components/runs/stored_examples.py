"""Stored examples: pictures with questions that are answered and analysed already.

`assets/traces/index.json` lists them; `<name>.safetensors` is the full answer, and
`<name>--<number>-<method>.safetensors` beside it are its compare lanes. No model is needed to show
them. `python -m scripts.store_examples` makes them.
"""

import logging
from dataclasses import dataclass, field
from filecmp import cmp
from glob import escape
from pathlib import Path
from typing import Any

from PIL import Image

from tokviz.errors import InputError, TokvizError, TraceError
from tokviz.film import Film, open_film
from tokviz.film.choice import CHOICES
from tokviz.images import open_image, preview_jpeg
from tokviz.shipped_files import ASSETS
from tokviz.trace import Trace, open_trace
from tokviz.trace.trace_io import BadTrace, parse
from tokviz.view.encode import data_url

from ..widgets.payload_cache import CachedPayload, PayloadCache
from .lane_request import MAX_LANES
from .pictures import SOURCES, Sent, Shown, as_list, check_count
from .runs import FULL, KeptRun

log = logging.getLogger(__name__)

THUMB_SIDE = 160
RUN_PREFIX = "example-"
"""The run of an example is named after it, with this in front."""


@dataclass
class Example:
    """One stored example."""

    name: str
    run: KeptRun
    tag: str = ""
    note: str = ""
    truth: str = ""
    "The right answer, where it is known."
    view: dict[str, Any] = field(default_factory=dict)


def listed_entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of an index.json; wrong ones are left out and logged."""
    try:
        found = parse(path.read_bytes()) if path.is_file() else []
    except (OSError, BadTrace) as error:
        log.warning("%r was left out: %s", path.name, error)
        return []
    entries = found if isinstance(found, list) else [found]
    sound = [entry for entry in entries if is_entry(entry)]
    if len(sound) < len(entries):
        log.warning("%r: %d entries were left out", path.name, len(entries) - len(sound))
    return sound


def is_entry(entry: Any) -> bool:
    """Return whether an entry has a name and every field has the right type."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    texts = all(isinstance(entry.get(name, ""), str) for name in ("file", "tag", "note", "truth"))
    return texts and isinstance(entry.get("view", {}), dict) and is_inside(entry["name"])


def is_inside(name: str) -> bool:
    """Return whether a name leads to a file in its own folder."""
    return bool(name) and Path(name).name == name


class StoredExamples:
    """All stored examples, read when they are first needed."""

    def __init__(self, assets: Path = ASSETS, more: Path | None = None) -> None:
        """Args: our own assets, and a folder of further traces, such as a sweep's."""
        self.assets, self.more, self.cache = assets, more, PayloadCache()
        self._examples: dict[str, Example] | None = None
        self._cards: CachedPayload | None = None

    @property
    def all(self) -> dict[str, Example]:
        """Return name -> example: the listed ones first, in their order."""
        if self._examples is None:
            self._examples = self._read(self.assets / "traces")
            if self.more is not None:
                self._examples |= self._read(self.more)
        return self._examples

    def run(self, name: str) -> KeptRun | None:
        """Return the run of this name if it is a stored example's."""
        if not name.startswith(RUN_PREFIX):
            return None
        example = self.all.get(name.removeprefix(RUN_PREFIX))
        return None if example is None else example.run

    def several(self, names: str) -> list[Example]:
        """Return the examples of a link's text, one or more, in their order.

        Raises:
            InputError: one of them is not here, or there are too many.
        """
        listed = [names] if names in self.all else names.split(SOURCES)
        found = [self.all[name] for name in listed if name in self.all]
        if len(found) < len(listed):
            raise InputError("there is no such example here: click one of those that are shown.")
        check_count(found)
        if len(found) > 1 and any(isinstance(one.run.image, Film) for one in found):
            raise InputError("a film must come alone: ask about it without other pictures.")
        return found

    def picture_file(self, name: str) -> str:
        """Return the path of an example's picture, to be asked about beside others.

        Raises:
            InputError: it is not here, a film, or known only by its trace.
        """
        (example,) = self.several(name) if name in self.all else (None,)
        if example is None or isinstance(example.run.image, list):
            raise InputError("there is no such example here: click one of those that are shown.")
        if isinstance(example.run.image, Film):
            raise InputError("a film must come alone: ask about it without other pictures.")
        if not example.run.file:
            raise InputError(
                "this example has no picture file here, so it cannot stand beside others."
            )
        return str(self.assets / example.run.file.removeprefix("assets/"))

    def picture_of(self, name: str) -> str | None:
        """Return the path of an example's picture; None for a film, or without a file."""
        try:
            return self.picture_file(name)
        except InputError:
            return None

    def with_picture(self, path: str) -> list[str]:
        """Return the examples whose picture a file is: Gradio's copies have the same name."""
        name = Path(path).name
        if not Path(path).is_file():
            return []
        found = [one for one, example in self.all.items() if Path(example.run.file).name == name]
        own = {one: self.picture_of(one) for one in found}
        return [one for one, file in own.items() if file and cmp(file, path, shallow=False)]

    def film(self, name: str) -> Sent:
        """Return the film of a stored example with its own frames; nothing for any other."""
        example = self.all.get(name)
        image = example.run.image if example is not None else None
        if example is None or not isinstance(image, Film) or not example.run.file:
            return Sent()
        file = str(self.assets / example.run.file.removeprefix("assets/"))
        return Sent((file,), True, examples=(name,)).choosing(image.chosen)

    def _read(self, home: Path) -> dict[str, Example]:
        """Return the traces that can be shown; the others are left out and named in the log."""
        listed = {entry["name"]: entry for entry in listed_entries(home / "index.json")}
        stored = [path.stem for path in sorted(home.glob("*.safetensors"))]
        others = [name for name in stored if "--" not in name and name not in listed]
        examples = {}
        for name in [*listed, *others]:
            try:
                examples[name] = self._example(home, name, listed.get(name, {}))
            except TokvizError as error:
                log.warning("the example %r was left out: %s", name, error)
            except Exception:  # noqa: BLE001  any file may lie there; none of them stops the server
                log.exception("the example %r was left out", name)
        return examples

    def _example(self, home: Path, name: str, entry: dict[str, Any]) -> Example:
        if not name.isprintable():
            raise TraceError("its name holds characters that cannot be shown.")
        full = open_trace(home / f"{name}.safetensors")
        if not full.n:
            raise TraceError("it holds no visual tokens, so there is nothing to show.")
        lanes = sorted(home.glob(f"{escape(name)}--*.safetensors"))[:MAX_LANES]
        traces = {FULL: full} | {number: open_trace(path) for number, path in enumerate(lanes)}
        if not entry.get("file") and not full.images:
            raise TraceError("it holds no picture.")
        image = self._pictures(entry, full)
        run = KeptRun(
            image, full.prompt, "embedded", traces, f"{RUN_PREFIX}{name}", name, name, self.cache
        )
        run.file = f"assets/{entry['file']}" if entry.get("file") else ""
        run.truth = entry.get("truth", "")
        tag, note = entry.get("tag", ""), entry.get("note", "")
        return Example(name, run, tag, note, run.truth, entry.get("view", {}))

    def _pictures(self, entry: dict[str, Any], full: Trace) -> Shown:
        """Return an example's picture or film: its file, or the first preview of its trace."""
        if not entry.get("file"):
            return open_image(full.images[0])
        path = self.assets / entry["file"]
        chosen = {name: entry.get(name) for name in CHOICES}
        return open_film(path, **chosen) if full.layout.is_film else open_image(path)

    def value(self, current: str = "") -> dict[str, Any]:
        """Return the value of the example row; its small pictures are made once."""
        self._cards = self._cards or self.cache.put({"items": self._small_pictures()})
        return self._cards.with_own(current=current)

    def _small_pictures(self) -> list[dict[str, Any]]:
        return [
            {
                "id": example.name,
                "prompt": example.run.prompt,
                "src": data_url(preview_jpeg(as_list(example.run.image)[0], THUMB_SIDE)),
                "tag": example.tag,
                "note": example.note,
                "addable": bool(example.run.file) and isinstance(example.run.image, Image.Image),
            }
            for example in self.all.values()
            if example.run.image is not None
        ]
