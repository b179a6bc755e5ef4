"""POPE and CHAIR of a model, with all visual tokens and with few.

``python -m benchmarks.hallucination [--scenes N] [--write]`` asks about held-out scenes whether a
thing is there, one that is and one that is not, chosen as POPE's three splits do; then it has every
scene described and counts the things that are not there. --write puts the tables into
docs/hallucination.md. About five minutes on one core.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tokviz
from benchmarks.batched import answers
from benchmarks.measured_model import DESCRIBE, add_model, facts, scenes
from benchmarks.mitigations import (
    METHOD,
    PARTNER,
    RESAMPLES,
    asked,
    by_scene,
    interval,
    resampled,
    scored,
)
from benchmarks.table import machine
from embedded.held_out import FIRST
from embedded.things import NAMES, plural
from embedded.world import Scene
from tokviz.capture import Capture
from tokviz.catalog import POLICIES
from tokviz.evaluation import SPLITS, ChairScores, ObjectList, chair
from tokviz.models.before.prefill_input import make_prefill_input
from tokviz.plans import Plan, plan

PAGE = Path(__file__).parents[1] / "docs/hallucination.md"
SCENES, CHUNK = 100, 25
SHARES = (1, 4, 9, 18)
"""Budgets: all tokens, a quarter, a ninth, an eighteenth of them."""
BLIND = 0
"""In place of a budget: the picture is hidden from the language model altogether."""
MOST_TOKENS = 96
OBJECTS = ObjectList.from_lines(f"{name}, {plural(name)}" for name in NAMES)


def said(
    vlm: Any, pairs: Sequence[tuple[Any, str]], keep: int | None, new_tokens: int
) -> list[str]:
    """Return the greedy answers to (picture, question) pairs; `keep` None = all visual tokens."""
    if keep == BLIND:
        return [blind(vlm, image, text, new_tokens) for image, text in pairs]
    chosen, found = Plan(()) if keep is None else plan(METHOD, keep), []
    for start in range(0, len(pairs), CHUNK):
        with vlm.guarded():
            prefill_inputs = []
            for image, text in pairs[start : start + CHUNK]:
                prepared = vlm.prepare(image, text)
                vision = vlm.encode(prepared, [chosen], Capture.nothing())
                prefill_inputs.append(
                    make_prefill_input(vlm.family, vlm.model, prepared, vision, chosen)
                )
            found += answers(vlm, prefill_inputs, new_tokens)
    return found


def blind(vlm: Any, image: Any, text: str, new_tokens: int) -> str:
    """Return what is answered without the picture."""
    hidden = plan(mitigation="blind")
    return vlm.answer(image, text, hidden, new_tokens, Capture.nothing()).answer.strip()


def pope_lines(vlm: Any, count: int, budgets: Sequence[int]) -> Iterator[str]:
    """Yield one row per split and budget, resampled over whole scenes."""
    questions, images = asked(vlm, count, [*SPLITS, PARTNER])
    keys = sorted({(q.image, q.text) for some in questions.values() for q in some})
    for keep in (*budgets, BLIND):
        pairs = [(images[image], text) for image, text in keys]
        texts = said(vlm, pairs, None if keep == budgets[0] else keep, 1)
        told = dict(zip(keys, texts, strict=True))
        for split, some in questions.items():
            groups = by_scene(some)
            picks = np.random.default_rng(0).integers(0, len(groups), (RESAMPLES, len(groups)))
            whole, draws = scored(some, told), resampled(groups, told, picks)
            cells = [
                f"{100 * getattr(whole, name):.1f} ({interval([getattr(d, name) for d in draws])})"
                for name in ("accuracy", "precision", "recall", "f1", "yes_ratio")
            ]
            yield f"| {split} | {left(keep)} | {policy(keep, budgets)} | {' | '.join(cells)} |"


def chair_lines(vlm: Any, views: Sequence[Scene], budgets: Sequence[int]) -> Iterator[str]:
    """Yield one row per budget, resampled over scenes."""
    there = [{thing.name for thing in view.things} for view in views]
    picks = np.random.default_rng(0).integers(0, len(views), (RESAMPLES, len(views)))
    for keep in (*budgets, BLIND):
        pairs = [(view.image, DESCRIBE) for view in views]
        texts = said(vlm, pairs, None if keep == budgets[0] else keep, MOST_TOKENS)
        whole = chair(texts, there, OBJECTS)
        each = [chair([text], [names], OBJECTS) for text, names in zip(texts, there, strict=True)]
        draws = [added([each[i] for i in pick]) for pick in picks]
        shares: tuple[Callable[[ChairScores], float], ...] = (
            lambda s: s.chair_i, lambda s: s.chair_s, lambda s: s.recall,
        )  # fmt: skip
        cells = [f"{100 * of(whole):.1f} ({interval([of(d) for d in draws])})" for of in shares]
        kept = f"{left(keep)} | {policy(keep, budgets)}"
        yield f"| {kept} | {whole.mentions} | {' | '.join(cells)} |"


def left(keep: int) -> str:
    """Return a budget as the tables say it."""
    return str(keep) if keep else "no picture"


def policy(keep: int, budgets: Sequence[int]) -> str:
    """Return which position ids the visual tokens had: their own, or as FasterVLM leaves them."""
    if keep == BLIND:
        return "–"
    return POLICIES["keep" if keep == budgets[0] else tokviz.METHODS[METHOD].positions]


def added(scores: Sequence[ChairScores]) -> ChairScores:
    """Return the counts of several descriptions together."""
    names = ("descriptions", "with_hallucination", "mentions", "hallucinated", "there", "found")
    return ChairScores(*(sum(getattr(one, name) for one in scores) for name in names))


def page(vlm: Any, count: int) -> str:
    """Measure; return docs/hallucination.md."""
    model = facts(vlm)
    budgets = [max(model.tokens // share, 1) for share in SHARES]
    return "\n".join(
        [
            "# POPE and CHAIR of the embedded model",
            "",
            f"`python -m benchmarks.hallucination --write` writes this page. Measured on {model}:",
            f"held-out scenes {FIRST} to {FIRST + count - 1}, greedy decoding; with fewer visual",
            "tokens FasterVLM chooses them. *No picture*: it is hidden from the language model, so",
            "that the row says what the words alone give. Brackets hold the middle 95 % of 1,000",
            "resamplings of whole scenes.",
            "What mitigations change is [another page](mitigations.md).",
            "",
            "## POPE",
            "",
            "Two questions per scene and split: a thing that is there, and one that is not, drawn",
            "at random, among the most frequent (popular), or among those that most often come",
            "with what is there (adversarial). *Missing partner* asks only where the companion of",
            "a thing is absent: for that companion, and for the thing itself. The official reading",
            "of the answer. In per cent.",
            "",
            "| Split | Tokens | Position ids | Accuracy | Precision | Recall | F1 | Yes |",
            "| --- | ---: | --- | --- | --- | --- | --- | --- |",
            *pope_lines(vlm, count, budgets),
            "",
            "## CHAIR",
            "",
            f'"{DESCRIBE}", one description per scene. CHAIR_i: mentions of things that are not',
            "there, of all mentions; CHAIR_s: descriptions with such a mention; recall: things",
            "there that are mentioned. In per cent.",
            "",
            "| Tokens | Position ids | Mentions | CHAIR_i | CHAIR_s | Recall |",
            "| ---: | --- | ---: | --- | --- | --- |",
            *chair_lines(vlm, scenes(vlm, count), budgets),
            "",
            f"Machine: {machine()}.",
            "",
        ]
    )


def main() -> None:
    """Print the page; with --write put it into docs/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hallucination", description=__doc__)
    add_model(parser)
    parser.add_argument("--scenes", type=int, default=SCENES, help=f"default: {SCENES}")
    parser.add_argument("--write", action="store_true", help="write docs/hallucination.md")
    arguments = parser.parse_args()
    text = page(tokviz.load(arguments.model), arguments.scenes)
    print(text)
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
