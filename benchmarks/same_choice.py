"""Which methods decide the same on the embedded model? `python -m benchmarks.same_choice`

Two methods that give the same W on every question and at every budget are one row of evidence, not
two: docs/accuracy.md marks them with what this writes to docs/same_choice.json. Compared are the
whole W (which token stands for which, and with what weight) and where it acts, on a few held-out
scenes; a few minutes on one core.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tokviz
from benchmarks.methods import scene_questions
from tokviz.capture import Capture
from tokviz.errors import TokvizError
from tokviz.matrix import Reduction
from tokviz.models.runs.run import Run

PAGE = Path(__file__).parents[1] / "docs" / "same_choice.json"
QUESTIONS, SHARES = 4, (50, 25, 11)
ORACLE = "relevance"
"""Has seen the answer: no method."""


def groups() -> list[list[str]]:
    """Return the names of methods that decided alike everywhere, two or more each."""
    vlm = tokviz.load("embedded")
    found: dict[str, Any] = {name: hashlib.sha256() for name in tokviz.METHODS if name != ORACLE}
    for image, text, _ in scene_questions(QUESTIONS):
        for name in list(found):
            for one in decisions(vlm, image, text, name):
                found[name].update(one)
    alike: dict[str, list[str]] = defaultdict(list)
    for name, digest in found.items():
        alike[digest.hexdigest()].append(name)
    nothing = hashlib.sha256().hexdigest()
    alike.pop(nothing, None)
    return sorted(sorted(names) for names in alike.values() if len(names) > 1)


def decisions(vlm: Any, image: Any, text: str, name: str) -> Iterator[bytes]:
    """Yield what a method decided on one question, one budget after the other."""
    with vlm.guarded():
        prepared = vlm.prepare([image], text)
    for share in SHARES:
        plan = tokviz.plan(name, keep=max(1, prepared.asked.layout.n * share // 100))
        try:
            with vlm.guarded():
                shared = vlm.encode(prepared, [plan], Capture.nothing())
            run = Run(vlm, prepared, shared, {}, plan, Capture.nothing())
            run.advance(run.start, strict=True)
        except TokvizError:
            continue
        for record in (*run.prefill_input.records, *run.lane.stages.records()):
            yield repr((record.place, record.layer, record.effect)).encode()
            yield decided(record.reduction)


def decided(done: Reduction) -> bytes:
    """Return a W as bytes, weights to six digits."""
    weights = np.round(np.asarray(done.weights, np.float64), 6)
    entries = np.stack([done.rows, done.cols]).astype(np.int32)
    return entries.tobytes() + weights.tobytes()


def main() -> None:
    """Write the groups."""
    found = groups()
    PAGE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
