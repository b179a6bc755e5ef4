"""How much does model 2 get right on held-out scenes, whole and pruned?

By teacher forcing over packed rows (see ``check_deep_reader``): exact for questions with one right
answer, and many questions share one look at the picture.
"""

import random
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from embedded import easyvqa
from embedded.answering import cls_attention
from embedded.assemble import assemble, look
from embedded.batches import stack, to_pixel_values
from embedded.budgets import RULES
from embedded.check_deep_reader import marks_of
from embedded.deep_reader import run_layers
from embedded.labels import NOTHING, Example, picture_example
from embedded.packing import Turn, picture_turns
from embedded.row_batches import RowBatches
from embedded.rows import pack_row
from embedded.train_fine_tower import FINE
from embedded.visible import Policy

Marks = dict[str, list[bool]]
FIRST = 1000
"""Number of the first test batch."""
TOGETHER = 4
"""Rows in a batch."""
WHOLE = Policy(FINE * FINE, 0.0, False)


class Examinee:
    """A model with its tokenizer."""

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast):
        """Args: `model` in float32, `tokenizer` its own."""
        self.model, self.tokenizer = model.eval(), tokenizer

    @torch.no_grad()
    def marks(
        self,
        item: dict,
        policy: Policy = WHOLE,
        keep: Tensor | None = None,
        veiled: tuple[int, ...] = (),
        yes_kinds: tuple[str, ...] = ("partner", "scenery"),
    ) -> Marks:
        """Mark every answer of a batch; ``yes_kinds`` tell yes or not instead."""
        made = assemble(self.model, self.tokenizer, item, policy, keep)
        seen = run_layers(self.model, made.front, made.sinks, made.batch, veiled=veiled)
        return marks_of(seen, item, self.tokenizer, yes_kinds)

    @torch.no_grad()
    def features(self, item: dict) -> Tensor:
        """Project the pictures of a batch, [pictures, n, d]."""
        return self.model.model.multi_modal_projector(look(self.model, item))

    @torch.no_grad()
    def cls_attention(self, item: dict) -> Tensor:
        """Measure [CLS] attention to patches in the feature layer, mean over heads, [b, n]."""
        tower = self.model.model.vision_tower
        out = tower(to_pixel_values(item["pixels"]), output_hidden_states=True)
        return cls_attention(self.model, out.hidden_states)


def gather(parts: Iterator[Marks]) -> Marks:
    """Put marks of several batches together."""
    found: Marks = defaultdict(list)
    for marks in parts:
        for kind, values in marks.items():
            found[kind] += values
    return dict(found)


def shares(marks: Marks) -> dict[str, dict[str, float]]:
    """Tell the share of each kind and of how many questions."""
    return {
        kind: {"share": round(sum(found) / len(found), 4), "questions": len(found)}
        for kind, found in sorted(marks.items())
    }


def batches(examinee: Examinee, scenes: int, sort: str = "single") -> Iterator[dict]:
    """Draw test batches with about so many scenes."""
    rows = TOGETHER if sort == "single" else TOGETHER // 2
    data = RowBatches(examinee.tokenizer, -(-scenes // rows), "test", FIRST, sort, rows)
    return (data[i] for i in range(len(data)))


def by_kind(examinee: Examinee, scenes: int, sort: str = "single") -> dict:
    """Accuracy per kind with all visual tokens."""
    return shares(gather(examinee.marks(item) for item in batches(examinee, scenes, sort)))


def overall(marks: Marks) -> float:
    """Share of exact answers, habits left out."""
    found = [m for kind, ms in marks.items() if kind not in ("partner", "scenery") for m in ms]
    return round(sum(found) / len(found), 4)


def under_policies(examinee: Examinee, scenes: int, counts: tuple[int, ...]) -> dict:
    """Accuracy by rule, number of tokens and position policy."""
    found: dict[str, dict[str, dict[str, list[Marks]]]] = {
        rule: {str(c): {"keep": [], "repack": []} for c in counts} for rule in RULES
    }
    for item in batches(examinee, scenes):
        features, cls = examinee.features(item), examinee.cls_attention(item)
        for rule, choose in RULES.items():
            for count in counts:
                keep = choose(features, cls, count)
                for repack in (False, True):
                    marks = examinee.marks(item, Policy(count, 0.0, repack), keep)
                    found[rule][str(count)]["repack" if repack else "keep"].append(marks)
    return {
        rule: {c: {p: overall(gather(iter(m))) for p, m in by.items()} for c, by in counted.items()}
        for rule, counted in found.items()
    }


def rows_of(
    examples: list[Example], turns: list[list[Turn]], tokenizer: PreTrainedTokenizerFast,
) -> dict:  # fmt: skip
    """Pack given turns about given pictures, one picture a row, questions as they are."""
    packed = [pack_row(asked, tokenizer, None, FINE * FINE) for asked in turns]
    batch = {key: stack(row[key] for row, _ in packed) for key in packed[0][0]}
    batch |= {"sort": "single", "kinds": [kinds for _, kinds in packed]}
    batch["pixels"] = stack(e.pixels for e in examples)
    batch["cover"] = stack(e.cover for e in examples)
    batch["name"] = stack(e.labels["name"] for e in examples)
    return batch | {"clarity": torch.ones(len(examples))}


def on_easyvqa(examinee: Examinee, pictures: int) -> dict:
    """Accuracy on the test split of easy-VQA."""
    rng = random.Random(0)
    known = easyvqa.pictures("test")[:pictures]

    def parts() -> Iterator[Marks]:
        for start in range(0, len(known), TOGETHER):
            some = known[start : start + TOGETHER]
            examples = [picture_example(p, FINE) for p in some]
            turns = [list(picture_turns(p, e, rng)) for p, e in zip(some, examples, strict=True)]
            yield examinee.marks(rows_of(examples, turns, examinee.tokenizer))

    return shares(gather(parts()))["easyvqa"]


def by_veil(examinee: Examinee, scenes: int, block: int = 3) -> dict[str, float]:
    """Accuracy when some layers do not see the picture, block by block, and all from one on."""
    layers = len(examinee.model.model.language_model.layers)
    blocks = {f"{i}-{i + block - 1}": tuple(range(i, i + block)) for i in range(0, layers, block)}
    blocks |= {f"{i} on": tuple(range(i, layers)) for i in range(block, layers, block)}
    blocks = {"none": (), **blocks}
    found: dict[str, list[Marks]] = {name: [] for name in blocks}
    for item in batches(examinee, scenes):
        for name, veiled in blocks.items():
            found[name].append(examinee.marks(item, veiled=veiled))
    return {name: overall(gather(iter(marks))) for name, marks in found.items()}


def cls_auc(examinee: Examinee, scenes: int) -> float:
    """Mean AUC per scene of [CLS] attention for "the patch lies on a thing"."""
    found = []
    for item in batches(examinee, scenes):
        scores = examinee.cls_attention(item)
        for score, cover, name in zip(scores, item["cover"], item["name"], strict=True):
            on = cover >= 0
            clear = on | (name == NOTHING)
            found.append(auc(score[clear], on[clear]))
    return round(sum(found) / len(found), 4)


def auc(score: Tensor, positive: Tensor) -> float:
    """Chance that a random positive scores above a random negative."""
    ranks = score.argsort().argsort().double() + 1
    many, few = int(positive.sum()), int((~positive).sum())
    return (ranks[positive].sum().item() - many * (many + 1) / 2) / (many * few) if few else 1.0
