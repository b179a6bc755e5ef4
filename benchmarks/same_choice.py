"""Which methods decide the same on a model? `python -m benchmarks.same_choice`

Two methods that give the same W on every question and at every budget are one row of evidence, not
two: docs/accuracy.md marks them with what this writes to docs/same_choice.json. Compared are the
whole W (which token stands for which, and with what weight) and where it acts, on a few held-out
scenes and test pictures. Every method decides on two of the questions; those that agree there with
another one decide on all. No answer is written: the tower runs once per picture, and only methods
inside the language model read the prompt. A few minutes on one core.
"""

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import tokviz
from benchmarks.measured_model import add_model, facts
from benchmarks.questions import Asked, see
from tokviz.capture import Capture
from tokviz.errors import TokvizError
from tokviz.matrix import Reduction
from tokviz.models.before.prefill_input import make_prefill_input
from tokviz.models.runs.run import Run
from tokviz.plans import Plan
from tokviz.trace.stages import StageRecord

PAGE = Path(__file__).parents[1] / "docs" / "same_choice.json"
QUESTIONS, SHARES = 3, (50, 25, 11)
"""Questions from each of the two sources, and budgets in per cent."""
ORACLE = "relevance"
"""Has seen the answer: no method."""


def groups(vlm: Any, names: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """Return the methods that decided alike everywhere, two or more each, and those that decide.

    Args:
        vlm: the model.
        names: of the methods to compare.
    """
    asked = see(vlm, QUESTIONS, QUESTIONS, [tokviz.plan(name, 1) for name in names])
    first = alike(vlm, [asked[0], asked[-1]], names)
    refused = first.pop(hashlib.sha256().digest(), [])
    found = []
    for some in first.values():
        if len(some) > 1:
            found += [same for same in alike(vlm, asked, some).values() if len(same) > 1]
    return sorted(sorted(same) for same in found), sorted(set(names) - set(refused))


def alike(vlm: Any, asked: Sequence[Asked], names: Sequence[str]) -> dict[bytes, list[str]]:
    """Return digest of all decisions -> the methods that made them."""
    found: dict[bytes, list[str]] = defaultdict(list)
    for name in tqdm(names, unit="method"):
        found[choices(vlm, asked, name)].append(name)
    return found


def choices(vlm: Any, asked: Sequence[Asked], name: str) -> bytes:
    """Return a digest of all that a method decided, question by question, budget by budget."""
    digest = hashlib.sha256()
    for number, one in enumerate(asked):
        for share in SHARES:
            keep = max(1, one.prepared.asked.layout.n * share // 100)
            for record in decisions(vlm, one, tokviz.plan(name, keep)):
                what = (number, share, record.place, record.layer, record.effect)
                digest.update(repr(what).encode())
                digest.update(decided(record.reduction))
    return digest.digest()


def decisions(vlm: Any, asked: Asked, chosen: Plan) -> list[StageRecord]:
    """Return what a plan decided on one question; nothing where it was refused."""
    try:
        if chosen.at("tower") or chosen.at("before"):
            with vlm.guarded():
                made = make_prefill_input(
                    vlm.family, vlm.model, asked.prepared, asked.vision, chosen
                )
            return made.records
        run = Run(vlm, asked.prepared, asked.vision, {}, chosen, Capture.nothing())
        run.advance(run.read_prompt, strict=True)
    except TokvizError:
        return []
    return [*run.prefill_input.records, *run.lane.stages.records()]


def decided(done: Reduction) -> bytes:
    """Return a W as bytes, weights to six digits; and what each key head of a cache keeps."""
    weights = np.round(np.asarray(done.weights, np.float64), 6)
    entries = np.stack([done.rows, done.cols]).astype(np.int32)
    heads = b"" if done.heads is None else done.heads.into.astype(np.int32).tobytes()
    return entries.tobytes() + weights.tobytes() + heads


def main() -> None:
    """Write the groups, and which methods were compared."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_choice", description=__doc__)
    add_model(parser)
    parser.add_argument("--page", type=Path, default=PAGE, help="where the groups are written")
    arguments = parser.parse_args()
    vlm = tokviz.load(arguments.model)
    names = sorted(name for name in tokviz.METHODS if name != ORACLE)
    found, compared = groups(vlm, names)
    page = {
        "model": asdict(facts(vlm)),
        "alike": found,
        "compared": compared,
        "refused": sorted(set(names) - set(compared)),
    }
    arguments.page.write_text(json.dumps(page, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
