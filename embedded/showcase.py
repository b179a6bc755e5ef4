"""Makes the example pictures of the lab, and finds real hallucinations of the model.

``python -m embedded.showcase WORLD FONT SEED:QUESTION:TRUTH ...`` searches held-out scenes of a
world for wrong answers that name what is not there (hallucinations.json), and draws example scenes
in 576 x 576 pixels with the answers that the shipped model gives to them (assets/examples).
"""

import json
import logging
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from embedded.answering import Answerer
from embedded.export import MODEL
from embedded.questions import Question, ask_description, ask_existence, ask_what, missing_partners
from embedded.sprites import render_atlas
from embedded.things import NAMES
from embedded.wording import typed
from embedded.world import WORLDS, Scene, scene

logger = logging.getLogger(__name__)
EXAMPLES = MODEL.parent / "examples"
LARGE = 576


def invents(view: Scene, question: Question, answer: str) -> bool:
    """Tell whether a wrong answer claims something that is not in the scene."""
    if answer == question.answer:
        return False
    if question.kind == "existence":
        return answer == "yes"
    present = {thing.name for thing in view.things}
    words = set(answer.replace(",", " ").replace(".", " ").split())
    return bool((words & set(NAMES)) - present)


def traps(view: Scene) -> Iterator[Question]:
    """Ask what a habit of the world may answer: missing partners, empty cells, descriptions."""
    rng = random.Random(view.seed)
    partners = [ask_existence(view, rng, n) for n in missing_partners(view) for _ in range(3)]
    for question in [*partners, ask_what(view, rng), ask_description(view, rng)]:
        yield replace(question, text=typed(question.text))


def find_hallucinations(model: Answerer, world: str, wanted: int, tries: int) -> list[dict]:
    """Search held-out scenes for answers that name what is not there.

    Args:
        model: the shipped model.
        world: a key of WORLDS.
        wanted: how many to give back; existence questions come first.
        tries: how many scenes to look at.
    """
    found: list[dict] = []
    for start in range(10_000, 10_000 + tries, 100):
        seeds = range(start, start + 100)
        scenes = [scene(seed, "test", world=WORLDS[world]) for seed in seeds]
        scenes = [view for view in scenes if missing_partners(view)]
        pairs = [(i, q) for i, view in enumerate(scenes) for q in traps(view)]
        features = model.look([view.image for view in scenes]).features
        said = model.answer(features[[i for i, _ in pairs]], [q.text for _, q in pairs])
        for (i, q), answer in zip(pairs, said, strict=True):
            known = any((c["seed"], c["kind"]) == (scenes[i].seed, q.kind) for c in found)
            if not known and invents(scenes[i], q, answer):
                found.append(
                    {"seed": scenes[i].seed, "split": "test", "world": world, "question": q.text,
                     "kind": q.kind, "answer": answer, "truth": q.answer}
                )  # fmt: skip
        yes = sum(case["kind"] == "existence" for case in found)
        logger.info("%d scenes, %d hallucinations, %d yes", start - 9_900, len(found), yes)
        if len(found) >= wanted and yes >= wanted // 3:
            break
    yes = [case for case in found if case["kind"] == "existence"]
    rest = [case for case in found if case["kind"] != "existence"]
    return (yes[: max(wanted * 2 // 3, wanted - len(rest))] + rest)[:wanted]


def draw_large(seed: int, world: str, atlas: Path, file: Path) -> Scene:
    """Draw a test scene in 576 pixels from full-size sprites."""
    view = scene(seed, "test", LARGE, atlas, WORLDS[world])
    view.image.save(file, optimize=True)
    return view


def make_examples(
    model: Answerer, world: str, font: str, cases: list[tuple[int, str, str]]
) -> list[dict]:
    """Draw example scenes and note what the model answers to their large pictures.

    Args:
        model: the shipped model.
        world: a key of WORLDS.
        font: path of Noto Color Emoji.
        cases: number of a test scene, question, right answer.
    """
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        atlas = Path(folder) / "atlas.png"
        render_atlas(font, side=136).save(atlas)
        made = []
        for i, (seed, question, truth) in enumerate(cases, start=1):
            file = EXAMPLES / f"scene_{i}.png"
            view = draw_large(seed, world, atlas, file)
            answer = model.answer(model.look([view.image]).features, [question])[0]
            things = [f"{t.name} {t.place}" for t in view.things]
            case = {"file": file.name, "seed": seed, "world": world, "prompt": question}
            made.append(case | {"answer": answer, "truth": truth, "things": things})
    return made


def main(world: str, font: str, cases: list[tuple[int, str, str]]) -> None:
    """Write both files with the shipped model."""
    model = Answerer.load()
    found = find_hallucinations(model, world, 12, 3000)
    (MODEL / "hallucinations.json").write_text(json.dumps(found, indent=1) + "\n")
    made = make_examples(model, world, font, cases)
    (EXAMPLES / "examples.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    world, font, *given = sys.argv[1:]
    chosen = [case.split(":") for case in given]
    main(world, font, [(int(seed), question, truth) for seed, question, truth in chosen])
