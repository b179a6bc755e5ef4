"""Phases two and four: teach the decoder to answer; the vision tower is frozen.

The reader phase sees 72 of 144 visual tokens and is guided (two heads of layers 1 and 2 are shown
the patches that a named word is about), with a weight that fades to zero. The answers phase has no
guide, and sees now 24 and now all tokens, things first, so that a picture without background is
no surprise. The kinds of question that validation finds weak are asked more often.
"""

import logging
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from embedded.batches import Batches, loader, select, to_pixel_values
from embedded.losses import choose_patches, picture_losses, run_tower, weighted
from embedded.model import TOKENS
from embedded.optim import build_optimizers, rate
from embedded.questions import KINDS
from embedded.reader import Reading, read
from embedded.state import State

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReaderPhase:
    """The settings of one phase of reading."""

    name: str
    """Name of the checkpoint file."""
    steps: int
    """Steps in all."""
    batch: int
    """Pictures in a step."""
    lr: float
    """Peak learning rate."""
    guide_until: float = 0.0
    """Share of the steps over which the guide fades out."""
    half_until: float = 0.0
    """Share of the steps that see some of the visual tokens; later every other step sees all."""
    visible: tuple[int, ...] = (72,)
    """The numbers of visual tokens of these steps."""
    first: int = 10**6
    """Number of the first training batch; every phase has its own stretch of scenes."""


def train_reader(state: State, out: Path, plan: ReaderPhase) -> None:
    """Run one phase of reading; checks every 100 steps and saves every 200."""
    parts = state.model.model
    modules = [parts.language_model, parts.multi_modal_projector, state.heads]
    parts.language_model.requires_grad_(True)
    parts.vision_tower.requires_grad_(False)
    optimizers = state.optimizers(lambda: build_optimizers(modules, plan.lr))
    start = plan.first + state.step
    data = Batches(state.tokenizer, plan.batch, plan.steps - state.step, start=start)
    began = time.monotonic()
    for item in loader(data):
        progress = state.step / plan.steps
        strength = max(0.0, 1 - progress / plan.guide_until) if plan.guide_until else 0.0
        some = progress < plan.half_until or state.step % 2
        count = random.choice(plan.visible) if some else TOKENS
        reading, picture = step_losses(state, item, count, strength > 0)
        answers = functional.cross_entropy(reading.logits, reading.targets)
        (answers + strength * reading.guide_loss + 0.3 * picture).backward()
        warmup = min(100, plan.steps // 6)
        state.update(optimizers, modules, plan.lr * rate(state.step, plan.steps, warmup))
        if state.step % 25 == 0:
            logger.info(
                "%s %d %.0f s answers %.3f picture %.3f guide %.3f mass %.2f", plan.name,
                state.step, time.monotonic() - began, answers.item(), picture.item(),
                reading.guide_loss.item(), reading.guide_mass.item(),
            )  # fmt: skip
        if state.step % 100 == 0:
            found = check_reader(state)
            logger.info("%s %d val %s", plan.name, state.step, found)
            data.weights.copy_(torch.tensor([0.4 + 3 * (1 - found[kind]) for kind in KINDS]))
        if state.step % 50 == 0 or state.step == plan.steps:
            state.save(out / f"{plan.name}.pt", optimizers)


def step_losses(state: State, item: dict, count: int, guided: bool) -> tuple[Reading, Tensor]:
    """Look at a batch and read its questions; also weigh the losses on the picture alone."""
    keep = torch.arange(TOKENS).expand(len(item["pixels"]), -1)
    pixel_values = to_pixel_values(item["pixels"])
    if count < TOKENS:
        keep = choose_patches(item["cover"], count)
    with torch.no_grad():
        seen = run_tower(state.model, pixel_values)
    hidden = torch.cat([seen[0][:, :1], seen[0][:, 1:][torch.arange(len(keep))[:, None], keep]], 1)
    losses = picture_losses(state.model, state.heads, select(item, keep), (hidden, seen[1]))
    features = state.model.model.multi_modal_projector(hidden[:, 1:])
    reading = read(state.model, state.tokenizer, features, keep, item, guided)
    return reading, weighted(losses)


@torch.no_grad()
def check_reader(state: State, pictures: int = 56, first: int = 0) -> dict[str, float]:
    """Measure exact answers per kind on validation scenes, as greedy generation would.

    Teacher forcing does no harm here: an answer is greedy-exact if and only if every token is
    the most likely one behind the right ones before it.
    """
    item = Batches(state.tokenizer, pictures, 1, split="val", start=first)[0]
    reading, _ = step_losses(state, item, TOKENS, False)
    wrong = reading.logits.argmax(-1) != reading.targets
    missed = {(row, int(item["turn"][row, at])) for row, at in reading.spots[wrong].tolist()}
    tally: dict[str, list[bool]] = defaultdict(list)
    for row, kinds in enumerate(item["kinds"]):
        for turn, kind in enumerate(kinds, start=1):
            tally[kind].append((row, turn) not in missed)
    return {kind: round(sum(marks) / len(marks), 3) for kind, marks in sorted(tally.items())}
