"""Phase one: teach the vision tower and projector what, where, which colour and how many.

No language model takes part, only linear read-outs (``losses``), so a step is cheap. For most
of the phase the tower looks at half of the patches, those on things first.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from embedded.batches import Batches, loader, select, to_pixel_values
from embedded.labels import IGNORE, NOTHING
from embedded.losses import choose_patches, picture_losses, run_tower, weighted
from embedded.optim import build_optimizers, rate
from embedded.state import State

logger = logging.getLogger(__name__)
HALF = 72


def train_tower(
    state: State,
    out: Path,
    *,
    name: str,
    steps: int,
    full_from: float,
    batch: int,
    lr: float,
    words: bool,
    repeated: float,
    first: int,
) -> None:
    """Run one phase without the decoder and save a checkpoint every 100 steps.

    Args:
        state: model, heads and tokenizer; changed in place.
        out: folder of the checkpoints.
        name: name of the checkpoint file.
        steps: steps in all; resumes from ``state.step``.
        full_from: share of the steps after which every patch is seen.
        batch: pictures in a step.
        lr: peak learning rate.
        words: whether the decoder's word table learns too.
        repeated: share of scenes that must hold several things of one name.
        first: number of the first training scene of the phase.
    """
    parts = state.model.model
    modules = [parts.vision_tower, parts.multi_modal_projector, state.heads]
    modules += [parts.language_model.embed_tokens] if words else []
    parts.vision_tower.requires_grad_(True)
    parts.language_model.requires_grad_(words)
    optimizers = state.optimizers(lambda: build_optimizers(modules, lr))
    count = -(-(steps - state.step) // (2 if full_from else 1))
    data = Batches(state.tokenizer, batch, count, "train", first + state.step, False, repeated)
    began = time.monotonic()
    for item in replayed(loader(data)) if full_from else loader(data):
        keep = None
        if state.step < full_from * steps:
            keep = choose_patches(item["cover"], HALF)
            item = select(item, keep)
        losses = picture_losses(
            state.model, state.heads, item,
            run_tower(state.model, to_pixel_values(item["pixels"]), keep),
        )  # fmt: skip
        weighted(losses).backward()
        state.update(optimizers, modules, lr * rate(state.step, steps, 100))
        if state.step % 50 == 0:
            values = " ".join(f"{key} {value.item():.3f}" for key, value in losses.items())
            logger.info("%s %d %.0f s %s", name, state.step, time.monotonic() - began, values)
        if state.step % 100 == 0:
            logger.info("%s %d val %s", name, state.step, check_tower(state))
            state.save(out / f"{name}.pt", optimizers)
    state.save(out / f"{name}.pt", optimizers)


def replayed(fresh: Iterable[dict], memory: int = 64) -> Iterator[dict]:
    """Follow each fresh batch by an older one: rendering costs a third of a step."""
    kept: list[dict] = []
    for item in fresh:
        yield item
        kept = [*kept, item][-memory:]
        yield random.choice(kept)


@torch.no_grad()
def read_outs(
    state: State, item: dict
) -> tuple[dict[str, float], dict[str, torch.Tensor], torch.Tensor]:
    """Measure how often each read-out is right on the patches of the things in a batch.

    Returns:
        Read-out -> share that is right; ``bare`` is that of the words on empty patches. The
        guesses [b, n, classes] of each read-out. And the projected features [b, n, d].
    """
    hidden, _ = run_tower(state.model, to_pixel_values(item["pixels"]))
    projected = state.model.model.multi_modal_projector(hidden[:, 1:])
    words = state.model.model.language_model.norm(projected)
    words = words @ state.model.lm_head.weight[state.heads.word_ids].T
    normed = state.heads.norm(projected)
    guesses = {"name": state.heads.name(hidden[:, 1:]), "words": words}
    guesses |= {key: head(normed) for key, head in state.heads.facts.items()}
    found = {}
    for key, logits in guesses.items():
        truth = item["name" if key == "words" else key]
        on = (truth != IGNORE) & (item["name"] != NOTHING) & (item["cover"] >= 0)
        found[key] = round((logits.argmax(-1) == truth)[on].float().mean().item(), 3)
    on = item["name"] == NOTHING
    found["bare"] = round((words.argmax(-1) == NOTHING)[on].float().mean().item(), 3)
    return found, guesses, projected


@torch.no_grad()
def check_tower(state: State, pictures: int = 96) -> dict[str, float]:
    """Measure read-out accuracy on the patches of held-out things."""
    item = Batches(state.tokenizer, pictures, 1, split="val", text=False)[0]
    found, guesses, _ = read_outs(state, item)
    many = (item["count"] > 1) & (item["cover"] >= 0)
    guess = guesses["count"].argmax(-1)
    found["many"] = round((guess == item["count"])[many].float().mean().item(), 3)
    return found
