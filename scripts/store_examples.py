"""Answer the example questions with the embedded model and store the runs for the first screen.

`python -m scripts.store_examples` reads assets/examples/examples.json and the model's own
hallucinations (assets/model/hallucinations.json, scenes by number), runs all tokens and three
methods on each, and writes assets/traces. Each trace keeps the times of further rounds, in which
all lanes are timed in turn: run it on a quiet machine, and again whenever the model or the methods
change.
"""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

import tokviz
from components.widgets.widget import ASSETS
from embedded.world import WORLDS, scene
from scripts import store_film
from tokviz.images import open_image
from tokviz.time_ratio import with_repeats

LANES = ("fastervlm", "visionzip", "fastv")
SHARE = 4
"""Lanes keep one token in so many."""
MOST_SCENES, MOST_MISTAKES = 6, 3

log = logging.getLogger(__name__)


def cases(assets: Path) -> Iterator[dict[str, Any]]:
    """Yield the examples: descriptions first, then the other questions, then mistakes."""
    scenes = _read(assets / "examples" / "examples.json")
    scenes.sort(key=lambda entry: not entry["prompt"].lower().startswith("describe"))
    for entry in scenes[:MOST_SCENES]:
        name = Path(entry["file"]).stem
        case = {"name": name, "file": f"examples/{entry['file']}", "prompt": entry["prompt"]}
        case |= {field: entry[field] for field in ("truth", "view") if field in entry}
        yield case | (mistake(entry["truth"]) if entry["answer"] != entry["truth"] else {})
    shown = {entry["seed"] for entry in scenes}
    others = [c for c in _read(assets / "model" / "hallucinations.json") if c["seed"] not in shown]
    for number, found in enumerate(others[:MOST_MISTAKES]):
        name = f"mistake_{number + 1}"
        world = WORLDS[found.get("world", "first")]
        picture = scene(found["seed"], found["split"], world=world).image
        case = {"name": name, "file": f"traces/{name}.png", "prompt": found["question"]}
        view = {"view": {"map": "attention", "words": [0]}}
        yield case | {"image": picture} | view | mistake(found["truth"])


def mistake(truth: str) -> dict[str, str]:
    """Return what marks an example as one that the model gets wrong."""
    note = f"A real mistake of this model: the right answer is “{truth}”."
    return {"tag": "a real mistake", "note": note, "truth": truth}


def _read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else []


def store(vlm: Any, case: dict[str, Any], assets: Path, home: Path) -> dict[str, Any]:
    """Run one case, write its traces, and return its entry of the index."""
    image: Image.Image | None = case.pop("image", None)
    if image is not None:
        image.save(home / f"{case['name']}.png")
    image = image or open_image(assets / case["file"])
    n = vlm.answer([image], case["prompt"], max_new_tokens=1).n
    plans = [None, *(tokviz.plan(name, keep=n // SHARE) for name in LANES)]
    # in turns to the end: every lane's own time is stored
    *_, views = vlm.stream([image], case["prompt"], plans, together_after=None)
    times = vlm.time_plans([image], case["prompt"], plans, store_film.REPEATS)
    for number, view in enumerate(views):
        end = "" if number == 0 else f"--{number}-{LANES[number - 1]}"
        if view.trace is None:
            raise SystemExit(f"{case['name']}{end}: {view.error}")
        with_repeats(view.trace, times[number]).save(home / f"{case['name']}{end}.safetensors")
    log.info("%s: %s -> %s", case["name"], case["prompt"], [view.text for view in views])
    return case


def main(home: Path = ASSETS / "traces") -> None:
    """Write the traces and their index."""
    home.mkdir(parents=True, exist_ok=True)
    vlm = tokviz.load("embedded")
    index = [store(vlm, case, ASSETS, home) for case in cases(ASSETS)]
    (home / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n")
    store_film.main()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    main()
