"""Stage one of model 2: the tower learns to see in 24 x 24 patches, before any background.

The first model's tower, shown the same things over a gradient, is the teacher: behind the projector
a fine patch must say what the coarse patch around it says there, so that the first model's decoder
can read it at once. The read-outs of ``losses`` say what a patch shows, as they did before.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from embedded.batches import Batches, Pictures, loader, select, to_pixel_values
from embedded.growth import coarse_patch, with_finer_patches
from embedded.labels import IGNORE
from embedded.losses import Heads, choose_patches, picture_losses, run_tower, weighted
from embedded.optim import build_optimizers, rate
from embedded.runs import Run
from embedded.state import State
from embedded.train_tower import read_outs, replayed
from embedded.vocabulary import build_tokenizer
from embedded.world import VARIED

logger = logging.getLogger(__name__)
FINE = 24
"""Patches along a side."""
PICTURES = Pictures(VARIED, FINE, bare=True)


@dataclass(frozen=True)
class TowerPlan:
    """What the stage is made of."""

    steps: int = 500
    """Steps in all."""
    batch: int = 16
    """Pictures in a step."""
    lr: float = 1.2e-3
    """Peak learning rate."""
    visible: int = 168
    """Patches that the tower looks at, those on things first."""
    full_from: float = 0.9
    """Share of the steps after which it looks at all of them, with a third of the pictures."""
    repeated: float = 0.3
    """Share of scenes that must hold several things of one name."""


def first_model(folder: Path) -> LlavaForConditionalGeneration:
    """Load the first model of a run, frozen.

    Raises:
        FileNotFoundError: the run has none.
    """
    place = folder / "first"
    if not (place / "config.json").is_file():
        raise FileNotFoundError(
            f"{place} must hold the first model. Train it with 'python -m embedded.train OTHER' "
            f"and write it with 'python -m embedded.export OTHER/answers.pt {place}'."
        )
    model = LlavaForConditionalGeneration.from_pretrained(place, dtype=torch.float32)
    return model.eval().requires_grad_(False)


def new_state(folder: Path) -> State:
    """Start from the first model's weights, made finer, with new read-outs."""
    tokenizer = build_tokenizer()
    model = with_finer_patches(first_model(folder))
    model.requires_grad_(False)
    return State(model, Heads(model.config.text_config.hidden_size, tokenizer), tokenizer)


def train_fine_tower(folder: Path, plan: TowerPlan = TowerPlan()) -> None:
    """Run the stage, or take it up where it was stopped."""
    run, teacher, state = Run(folder, "tower"), first_model(folder), new_state(folder)
    if run.done.exists():
        return
    if saved := run.newest():
        state.take(saved)
    parts = state.model.model
    modules = [parts.vision_tower, parts.multi_modal_projector, state.heads]
    for module in modules:
        module.requires_grad_(True)
    optimizers = state.optimizers(lambda: build_optimizers(modules, plan.lr))
    count = -(-(plan.steps - state.step) // 2)
    data = Batches(state.tokenizer, plan.batch, count, "train", 10**7 + state.step, False,
                   plan.repeated, PICTURES)  # fmt: skip
    for item in replayed(loader(data)):
        began = time.monotonic()
        visible = plan.visible
        if state.step >= plan.full_from * plan.steps:
            item = {key: value[: plan.batch // 3] for key, value in item.items()}
            visible = FINE * FINE
        losses = tower_losses(state, teacher, item, visible)
        weighted_all(losses).backward()
        state.update(optimizers, modules, plan.lr * rate(state.step, plan.steps, 50))
        if state.step % 10 == 0:
            told = " ".join(f"{key} {value.item():.3f}" for key, value in losses.items())
            took = time.monotonic() - began
            logger.info("tower %d/%d %.1f s/step %s", state.step, plan.steps, took, told)
        if state.step % 100 == 0:
            logger.info("tower %d val %s", state.step, check_fine_tower(state, teacher))
        if run.due():
            run.save(state.content(optimizers), state.step)
        if state.step >= plan.steps:
            break
    run.save(state.content(optimizers), state.step, last=True)


def tower_losses(
    state: State, teacher: LlavaForConditionalGeneration, item: dict, visible: int
) -> dict[str, Tensor]:
    """Weigh what the tower says of some patches of a batch."""
    keep = choose_patches(item["cover"], visible)
    target, known = taught(teacher, item)
    rows = torch.arange(len(keep))[:, None]
    target, known = target[rows, keep], known[rows, keep]
    chosen = select(item, keep)
    seen = run_tower(state.model, to_pixel_values(item["pixels"]), keep)
    losses = picture_losses(state.model, state.heads, chosen, seen)
    projected = state.model.model.multi_modal_projector(seen[0][:, 1:])
    losses["teacher"] = (projected - target)[known].square().mean() / target[known].var()
    return losses


@torch.no_grad()
def taught(teacher: LlavaForConditionalGeneration, item: dict) -> tuple[Tensor, Tensor]:
    """Ask the teacher about the coarse patch around each fine one.

    Returns:
        Projected features [b, 576, d], and where the fine patch shows what the coarse one shows,
        [b, 576] bool.
    """
    hidden, _ = run_tower(teacher, to_pixel_values(item["bare"]))
    coarse = coarse_patch(FINE)
    features = teacher.model.multi_modal_projector(hidden[:, 1:])[:, coarse]
    squares = item["cover"].unflatten(1, (FINE // 2, 2, FINE // 2, 2))
    lowest, highest = squares.amin((2, 4)).flatten(1), squares.amax((2, 4)).flatten(1)
    same = (lowest == highest)[:, coarse]
    return features, same & (item["name"] != IGNORE)


def weighted_all(losses: dict[str, Tensor]) -> Tensor:
    """Add up the losses on the picture and the teacher's."""
    own = {key: value for key, value in losses.items() if key != "teacher"}
    return weighted(own) + losses["teacher"]


@torch.no_grad()
def check_fine_tower(
    state: State, teacher: LlavaForConditionalGeneration, pictures: int = 24
) -> dict[str, float]:
    """Measure the read-outs on all patches of held-out things, and the distance to the teacher."""
    item = Batches(state.tokenizer, pictures, 1, "val", text=False, pictures=PICTURES)[0]
    found, _, projected = read_outs(state, item)
    target, known = taught(teacher, item)
    distance = (projected - target)[known].square().mean() / target[known].var()
    return found | {"teacher": round(distance.item(), 3)}
