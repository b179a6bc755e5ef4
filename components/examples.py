"""Stored examples: pictures with questions that are answered and analysed already.

Every `assets/traces/<name>.safetensors` is one; `<name>--<anything>.safetensors` beside it are its
compare lanes. `assets/examples/examples.json` may add a tag or a note, and examples without a trace.
No model is needed to show them.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.runs import FULL, MOST_LANES, RUNS, Run
from components.widget import ASSETS, Widget
from tokviz.errors import TokvizError
from tokviz.images import open_image, preview_jpeg
from tokviz.trace import open_trace
from tokviz.view.encode import data_url

log = logging.getLogger(__name__)

THUMB_SIDE = 160


class Examples(Widget):
    """A row of pictures. Event: pick {example: name}."""

    script = "Examples"
    template = "examples.html"
    emits = ("pick",)


@dataclass
class Example:
    """One stored example."""

    name: str
    run: Run
    tag: str = ""
    note: str = ""
    view: dict[str, Any] = field(default_factory=dict)

    @property
    def analysed(self) -> bool:
        """Return whether there is a trace to show."""
        return FULL in self.run.traces


class Stored:
    """All stored examples, read when they are first needed."""

    def __init__(self, assets: Path = ASSETS) -> None:
        self.assets = assets
        self._examples: dict[str, Example] | None = None

    @property
    def all(self) -> dict[str, Example]:
        """Return name -> example: the listed ones first, in their order."""
        if self._examples is None:
            self._examples = self._read()
        return self._examples

    def _read(self) -> dict[str, Example]:
        traces = self.assets / "traces"
        names = [path.stem for path in sorted(traces.glob("*.safetensors")) if "--" not in path.stem]
        listed = {entry.get("name") or Path(entry["file"]).stem: entry for entry in self._listed()}
        examples = {}
        for name in [*listed, *(name for name in names if name not in listed)]:
            try:
                examples[name] = self._example(name, listed.get(name, {}))
            except (TokvizError, StopIteration):
                log.exception("the example %s was left out", name)
        return examples

    def _listed(self) -> list[dict[str, Any]]:
        path = self.assets / "examples" / "examples.json"
        if not path.is_file():
            return []
        content = json.loads(path.read_text("utf-8"))
        return content["examples"] if isinstance(content, dict) else content

    def _example(self, name: str, entry: dict[str, Any]) -> Example:
        home = self.assets / "traces"
        full = home / f"{name}.safetensors"
        traces = {FULL: open_trace(full)} if full.is_file() else {}
        lanes = sorted(home.glob(f"{name}--*.safetensors"))[:MOST_LANES] if traces else []
        traces |= {number: open_trace(path) for number, path in enumerate(lanes)}
        if entry.get("file"):
            image = open_image(self.assets / "examples" / entry["file"])
        else:
            image = open_image(traces[FULL].images[0])
        prompt = entry.get("prompt") or traces[FULL].prompt
        run = Run(image, prompt, "embedded", traces, name=f"example-{name}", example=name)
        RUNS.pin(run)
        tag = entry.get("tag") or ("a mistake of the model" if entry.get("mistake") else "")
        return Example(name, run, tag, entry.get("note", ""), entry.get("view", {}))

    def value(self, current: str = "") -> dict[str, Any]:
        """Return the value of the example row."""
        items = [
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
        return {"items": items, "current": current}
