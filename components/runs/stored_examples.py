"""Stored examples: pictures with questions that are answered and analysed already.

`assets/traces/index.json` lists them; `<name>.safetensors` is the full answer, and
`<name>--<number>-<method>.safetensors` beside it are its compare lanes. No model is needed to show
them. `python -m scripts.store_examples` makes them.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokviz.errors import TokvizError
from tokviz.images import open_image, preview_jpeg
from tokviz.trace import open_trace
from tokviz.view.encode import data_url

from ..widgets.payload_cache import CachedPayload, PayloadCache
from ..widgets.widget import ASSETS
from .lane_request import MAX_LANES
from .runs import FULL, KeptRun

log = logging.getLogger(__name__)

THUMB_SIDE = 160
RUN_PREFIX = "example-"
"""The run of an example has the example's name, behind this."""


@dataclass
class Example:
    """One stored example."""

    name: str
    run: KeptRun
    tag: str = ""
    note: str = ""
    view: dict[str, Any] = field(default_factory=dict)


class Stored:
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

    def _read(self, home: Path) -> dict[str, Example]:
        listed = {entry["name"]: entry for entry in self._listed(home / "index.json")}
        stored = [path.stem for path in sorted(home.glob("*.safetensors"))]
        others = [name for name in stored if "--" not in name and name not in listed]
        examples = {}
        for name in [*listed, *others]:
            try:
                examples[name] = self._example(home, name, listed.get(name, {}))
            except TokvizError:
                log.exception("the example %s was left out", name)
        return examples

    def _listed(self, path: Path) -> list[dict[str, Any]]:
        return json.loads(path.read_text("utf-8")) if path.is_file() else []

    def _example(self, home: Path, name: str, entry: dict[str, Any]) -> Example:
        lanes = sorted(home.glob(f"{name}--*.safetensors"))[:MAX_LANES]
        traces = {FULL: open_trace(home / f"{name}.safetensors")}
        traces |= {number: open_trace(path) for number, path in enumerate(lanes)}
        full = traces[FULL]
        image = open_image(self.assets / entry["file"] if entry.get("file") else full.images[0])
        run = KeptRun(
            image, full.prompt, "embedded", traces, f"{RUN_PREFIX}{name}", name, name, self.cache
        )
        run.file = f"assets/{entry['file']}" if entry.get("file") else ""
        tag, note = entry.get("tag", ""), entry.get("note", "")
        return Example(name, run, tag, note, entry.get("view", {}))

    def value(self, current: str = "") -> dict[str, Any]:
        """Return the value of the example row; its small pictures are made once."""
        self._cards = self._cards or self.cache.put({"items": self._small_pictures()})
        return self._cards.with_own(current=current)

    def _small_pictures(self) -> list[dict[str, Any]]:
        return [
            {
                "id": example.name,
                "prompt": example.run.prompt,
                "src": data_url(preview_jpeg(example.run.image, THUMB_SIDE)),
                "tag": example.tag,
                "note": example.note,
            }
            for example in self.all.values()
            if example.run.image is not None
        ]
