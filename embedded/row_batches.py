"""Which rows make a training step of model 2? One sort of row at a time, drawn by share.

``single`` one picture, ``pair`` two, ``blind`` one that is drowned in noise, ``language`` none.
"""

import random

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from embedded import easyvqa
from embedded.batches import HELD_BACK, stack
from embedded.captions import ABSENT_PARTNER
from embedded.labels import Example, picture_example, scene_example
from embedded.packing import Turn, picture_turns
from embedded.rows import pack_row, turns_of_language, turns_of_pair, turns_of_scene
from embedded.train_fine_tower import FINE
from embedded.world import VARIED, scene

SORTS = {"single": (0.68, 8), "pair": (0.16, 5), "blind": (0.08, 6), "language": (0.08, 12)}
"""Share of the steps and rows in a step."""
EASY = 1 / 8
"""Share of easy-VQA pictures among single ones."""


class RowBatches(Dataset):
    """Batch number i of a split."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        steps: int,
        split: str = "train",
        start: int = 0,
        sort: str = "",
        rows: int = 0,
        pairs: float | None = None,
        partners: float = ABSENT_PARTNER,
    ):
        """Args: see the attributes; ``sort`` and ``rows`` fix what else is drawn or by table.

        ``pairs`` is the share of pairs if it is not the table's; the other sorts share the rest.
        ``partners`` is the share of missing partners among absent things that are asked for.
        """
        self.partners = partners
        self.shares = {name: share for name, (share, _) in SORTS.items()}
        if pairs is not None:
            rest = (1 - pairs) / (1 - self.shares["pair"])
            self.shares = {name: share * rest for name, share in self.shares.items()}
            self.shares["pair"] = pairs
        self.tokenizer, self.steps, self.split, self.start = tokenizer, steps, split, start
        self.sort, self.rows = sort, rows

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, number: int) -> dict:
        """Make one batch.

        Returns:
            ``sort``; text as ``pack_row`` makes it, stacked [rows, ...]; ``kinds`` per row; and
            per picture, [rows * pictures, ...]: ``pixels``, ``cover``, ``name``, ``clarity``.
        """
        if number >= self.steps:
            raise IndexError(number)
        rng = random.Random(f"rows {self.split} {self.start + number}")
        sort = self.sort or rng.choices(tuple(self.shares), tuple(self.shares.values()))[0]
        rows = self.rows or SORTS[sort][1]
        first = (self.start + number) * 16
        made = [self.row(sort, first + 2 * i, rng) for i in range(rows)]
        texts = [pack_row(turns, self.tokenizer, rng, FINE * FINE * len(examples))
                 for examples, turns in made]  # fmt: skip
        batch = {key: stack(row[key] for row, _ in texts) for key in texts[0][0]}
        batch |= {"sort": sort, "kinds": [kinds for _, kinds in texts]}
        if examples := [example for examples, _ in made for example in examples]:
            batch["pixels"] = stack(e.pixels for e in examples)
            batch["cover"] = stack(e.cover for e in examples)
            batch["name"] = stack(e.labels["name"] for e in examples)
            clarity = [rng.uniform(0.0, 0.8) if sort == "blind" else 1.0 for _ in examples]
            batch["clarity"] = torch.from_numpy(np.array(clarity, dtype=np.float32))
        return batch

    def row(self, sort: str, seed: int, rng: random.Random) -> tuple[list[Example], object]:
        """Draw the pictures of a row and begin to ask."""
        if sort == "language":
            return [], turns_of_language(rng, blind=False)
        if sort == "single" and rng.random() < EASY and self.split == "train":
            return self.easy_row(rng)
        views = [scene(seed + i, self.split, world=VARIED) for i in range(1 + (sort == "pair"))]
        examples = [scene_example(view, FINE) for view in views]
        if sort == "pair":
            return examples, turns_of_pair((views[0], views[1]), (examples[0], examples[1]), rng)
        if sort == "blind":
            return examples, turns_of_language(rng, blind=True)
        return examples, turns_of_scene(views[0], examples[0], rng, self.partners)

    def easy_row(self, rng: random.Random) -> tuple[list[Example], list[Turn]]:
        """Draw one easy-VQA training picture with all that is asked about it."""
        picture = rng.choice(easyvqa.pictures("train")[:-HELD_BACK])
        example = picture_example(picture, FINE)
        return [example], list(picture_turns(picture, example, rng))
