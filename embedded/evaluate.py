"""Measures the shipped model on pictures that it was not trained on.

``python -m embedded.evaluate [FOLDER]`` measures everything on held-out scenes and the whole
easy-VQA test split, writes accuracy.json beside the weights, and writes the tables into README.md
of the model.
"""

import json
import logging
import random
import sys
from collections import defaultdict
from pathlib import Path

import torch

from embedded import easyvqa
from embedded.answering import Answerer
from embedded.budgets import BUDGETS, RULES, keep_cls
from embedded.export import MODEL
from embedded.labels import NOTHING, scene_example
from embedded.model import TOKENS
from embedded.questions import Question, ask_existence, missing_partners, questions
from embedded.tables import fill_card
from embedded.things import PARTNER
from embedded.world import Scene, absent_names, scene

logger = logging.getLogger(__name__)
FIRST = 1000
"""First test scene of the tables; a few earlier ones were looked at during training."""
PRUNED = 8
"""Visual tokens in the second measurement of the habit."""


def held_out(count: int, first: int = FIRST) -> list[Scene]:
    """Make test scenes by number."""
    return [scene(seed, "test") for seed in range(first, first + count)]


def ask_all(scenes: list[Scene]) -> tuple[list[int], list[Question]]:
    """Ask every scene one question of each kind; gives scene numbers and questions."""
    pairs = [(i, q) for i, s in enumerate(scenes) for q in questions(s, random.Random(s.seed))]
    return [i for i, _ in pairs], [q for _, q in pairs]


def per_kind(asked: list[Question], answers: list[str]) -> dict[str, dict[str, float]]:
    """Count exact answers by kind of question."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for question, answer in zip(asked, answers, strict=True):
        marks[question.kind].append(answer == question.answer)
    return {k: {"accuracy": sum(m) / len(m), "questions": len(m)} for k, m in marks.items()}


def measure_scenes(model: Answerer, count: int) -> dict[str, dict[str, float]]:
    """Accuracy per kind on held-out scenes with all visual tokens."""
    scenes = held_out(count)
    rows, asked = ask_all(scenes)
    features = model.look([s.image for s in scenes]).features
    return per_kind(asked, model.answer(features[rows], [q.text for q in asked]))


def measure_easyvqa(model: Answerer, count: int = 1000) -> dict[str, float]:
    """Accuracy on the test split of easy-VQA."""
    right = total = 0
    known = easyvqa.pictures("test")[:count]
    for start in range(0, len(known), 100):
        part = known[start : start + 100]
        features = model.look([p.image for p in part]).features
        turns = [(i, q, a) for i, p in enumerate(part) for q, a in p.questions]
        said = model.answer(features[[i for i, _, _ in turns]], [q for _, q, _ in turns])
        right += sum(s == a for s, (_, _, a) in zip(said, turns, strict=True))
        total += len(turns)
    return {"accuracy": right / total, "questions": total}


def auc(score: torch.Tensor, positive: torch.Tensor) -> float:
    """Chance that a random positive scores above a random negative."""
    ranks = score.argsort().argsort().double() + 1
    many = positive.sum().item()
    few = len(score) - many
    return ((ranks[positive].sum().item() - many * (many + 1) / 2) / (many * few)) if few else 1.0


def measure_cls(model: Answerer, count: int) -> float:
    """Mean AUC per scene of [CLS] attention for "the patch lies on a thing"."""
    scenes = held_out(count)
    cls = model.look([s.image for s in scenes]).cls
    found = []
    for row, view in zip(cls, scenes, strict=True):
        example = scene_example(view)
        on = torch.from_numpy(example.cover >= 0)
        clear = on | torch.from_numpy(example.labels["name"] == NOTHING)
        found.append(auc(row[clear], on[clear]))
    return sum(found) / len(found)


def measure_budgets(model: Answerer, count: int) -> dict[str, dict[int, dict[str, float]]]:
    """Accuracy per rule, number of visual tokens and kind of question."""
    scenes = held_out(count)
    rows, asked = ask_all(scenes)
    seen = model.look([s.image for s in scenes])
    curves: dict[str, dict[int, dict[str, float]]] = {}
    for name, rule in RULES.items():
        curves[name] = {}
        for budget in BUDGETS:
            keep = rule(seen.features, seen.cls, budget)[rows]
            said = model.answer(seen.features[rows], [q.text for q in asked], keep)
            kinds = per_kind(asked, said)
            found = {kind: value["accuracy"] for kind, value in kinds.items()}
            found["all"] = sum(s == q.answer for s, q in zip(said, asked, strict=True)) / len(said)
            curves[name][budget] = found
            logger.info("%s %d %.3f", name, budget, found["all"])
    return curves


def measure_habit(model: Answerer, count: int, budget: int = TOKENS) -> dict[str, float]:
    """How often the model sees an absent partner of a present thing, or an absent other.

    Args:
        model: what is asked.
        count: how many scenes with a missing partner.
        budget: how many visual tokens stay, those that [CLS] attends to most.
    """
    scenes = [s for s in held_out(6 * count) if missing_partners(s)][:count]
    rows, asked, groups = [], [], []
    for i, view in enumerate(scenes):
        rng = random.Random(view.seed)
        partner = rng.choice(missing_partners(view))
        others = [n for n in absent_names(view) if n in PARTNER and n not in missing_partners(view)]
        for group, name in (("partner", partner), ("other", rng.choice(others))):
            rows.append(i)
            groups.append(group)
            asked.append(ask_existence(view, rng, name))
    seen = model.look([s.image for s in scenes])
    keep = keep_cls(seen.features, seen.cls, budget)[rows]
    said = model.answer(seen.features[rows], [q.text for q in asked], keep)
    found = {
        group: sum(s == "yes" for s, g in zip(said, groups, strict=True) if g == group)
        for group in ("partner", "other")
    }
    return {group: yes / len(scenes) for group, yes in found.items()} | {"scenes": len(scenes)}


def evaluate(folder: Path, scenes: int = 300) -> dict:
    """Measure everything, about five minutes on two cores."""
    model = Answerer.load(folder)
    found: dict = {"kinds": measure_scenes(model, scenes)}
    logger.info("%s", found)
    found["cls_auc"] = measure_cls(model, scenes)
    found["habit"] = measure_habit(model, 200)
    found["habit_pruned"] = measure_habit(model, 200, PRUNED)
    logger.info("%s %s", found["cls_auc"], found["habit"])
    found["easyvqa"] = measure_easyvqa(model)
    logger.info("%s", found["easyvqa"])
    found["budgets"] = measure_budgets(model, scenes // 5)
    return found


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    measured = evaluate(where)
    (where / "accuracy.json").write_text(json.dumps(measured, indent=1) + "\n")
    fill_card(where / "README.md", measured)
