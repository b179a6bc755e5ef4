"""Training batches: a background process renders, labels and packs them."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from embedded import easyvqa
from embedded.labels import SIZES, Example, picture_example, scene_example
from embedded.model import GRID
from embedded.packing import pack, picture_turns, scene_turns
from embedded.questions import KINDS
from embedded.world import FIRST, World, draw, repeats, scene

EASY = 1 / 7
"""Share of easy-VQA pictures in a batch."""
HELD_BACK = 200
"""Training pictures of easy-VQA kept for validation."""


@dataclass(frozen=True)
class Pictures:
    """What kind of pictures a batch holds."""

    world: World = FIRST
    """Habits that scenes are drawn by."""
    grid: int = GRID
    """Patches along a side, for the labels."""
    bare: bool = False
    """Also draw every scene over a gradient, for a teacher that knows nothing else."""


class Batches(Dataset):
    """Batch number i of a split: fresh scenes and some easy-VQA pictures.

    Attributes:
        weights: how often each question kind is drawn, shared with the background process so
            that training can ask more of what it gets wrong.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        size: int,
        steps: int,
        split: str = "train",
        start: int = 0,
        text: bool = True,
        repeated: float = 0.0,
        pictures: Pictures = Pictures(),
    ):
        self.pictures = pictures
        self.tokenizer, self.size, self.steps = tokenizer, size, steps
        self.split, self.start, self.text, self.repeated = split, start, text, repeated
        self.weights = torch.ones(len(KINDS)).share_memory_()

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, number: int) -> dict:
        """Make one batch of tensors, see ``collate``."""
        if number >= self.steps:
            raise IndexError(number)
        rng = random.Random(f"batch {self.split} {self.start + number}")
        easy = round(self.size * EASY)
        first = (self.start + number) * self.size
        made = [self.from_scene(first + i, rng) for i in range(self.size - easy)]
        made += [self.from_picture(rng) for _ in range(easy)]
        return collate(made)

    def from_scene(self, seed: int, rng: random.Random) -> tuple[Example, dict, list[str]]:
        """Render, label and ask about one scene, if wanted one with repeated things."""
        if rng.random() < self.repeated:
            seed += 10**8
            while not repeats(seed, self.split, self.pictures.world):
                seed += 10**8
        view = scene(seed, self.split, world=self.pictures.world)
        example = scene_example(view, self.pictures.grid)
        if self.pictures.bare:
            example.bare = np.asarray(draw(view.things, rng))
        if not self.text:
            return example, {}, []
        weights = dict(zip(KINDS, self.weights.tolist(), strict=True))
        return example, *pack(scene_turns(view, example, weights, rng), self.tokenizer, rng)

    def from_picture(self, rng: random.Random) -> tuple[Example, dict, list[str]]:
        """Label and ask about one easy-VQA training picture."""
        known = easyvqa.pictures("train")
        chosen = known[:-HELD_BACK] if self.split == "train" else known[-HELD_BACK:]
        picture = rng.choice(chosen)
        example = picture_example(picture, self.pictures.grid)
        example.bare = example.pixels if self.pictures.bare else None
        if not self.text:
            return example, {}, []
        return example, *pack(picture_turns(picture, example, rng), self.tokenizer, rng)


def collate(made: list[tuple[Example, dict, list[str]]]) -> dict:
    """Stack examples into tensors; pixels stay uint8 until the model needs them."""
    examples = [example for example, _, _ in made]
    batch = {key: stack(e.labels[key] for e in examples) for key in SIZES}
    batch["pixels"] = stack(e.pixels for e in examples)
    if examples[0].bare is not None:
        batch["bare"] = stack(e.bare for e in examples)
    batch["present"] = stack(e.present for e in examples)
    batch["cover"] = stack(e.cover for e in examples)
    for key in made[0][1]:
        batch[key] = stack(row[key] for _, row, _ in made)
    batch["kinds"] = [kinds for _, _, kinds in made]
    return batch


def stack(arrays) -> torch.Tensor:
    """Stack arrays into one tensor."""
    return torch.from_numpy(np.stack(list(arrays)))


def to_pixel_values(pixels: torch.Tensor) -> torch.Tensor:
    """Normalise as the processor does, [b, 192, 192, 3] uint8 to [b, 3, 192, 192] float32."""
    mean, std = torch.tensor(OPENAI_CLIP_MEAN), torch.tensor(OPENAI_CLIP_STD)
    scale, shift = 1 / (255 * std), -mean / std
    return (pixels * scale + shift).permute(0, 3, 1, 2)


def loader(batches: Batches) -> DataLoader:
    """Read batches in order, made ahead by one background process."""
    return DataLoader(batches, batch_size=None, shuffle=False, num_workers=1, prefetch_factor=6)


def select(batch: dict, keep: torch.Tensor) -> dict:
    """Keep the labels of some patches only, as ``keep`` [b, k] names them."""
    return batch | {key: batch[key].gather(1, keep) for key in (*SIZES, "cover")}
