"""The state of a training, its checkpoints, and how a training is resumed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from embedded.losses import Heads
from embedded.model import build_model
from embedded.vocabulary import build_tokenizer


@dataclass
class State:
    """Model, training heads and progress of one phase."""

    model: LlavaForConditionalGeneration
    """The LLaVA being trained."""
    heads: nn.Module
    """Read-outs that only training needs."""
    tokenizer: PreTrainedTokenizerFast
    """Its tokenizer."""
    step: int = 0
    """Steps done in the present phase."""
    saved: list[dict] = field(default_factory=list)
    """Optimizer states of a loaded checkpoint, until `optimizers` restores them."""

    def optimizers(self, build: Callable[[], list]) -> list[torch.optim.Optimizer]:
        """Build the optimizers and restore their states."""
        made = build()
        for optimizer, saved in zip(made, self.saved, strict=False):
            optimizer.load_state_dict(saved)
        self.saved = []
        return made

    def update(self, optimizers: list, modules: list[nn.Module], lr: float) -> None:
        """Clip gradients to norm 1, make a step, reset the gradients and count the step."""
        params = [p for module in modules for p in module.parameters() if p.grad is not None]
        nn.utils.clip_grad_norm_(params, 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1

    def save(self, path: Path, optimizers: list) -> None:
        """Write a checkpoint; the last one is replaced only when the new one is complete."""
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(self.content(optimizers), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def content(self, optimizers: list) -> dict:
        """Collect all that a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "step": self.step,
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        }

    def take(self, content: dict) -> None:
        """Go on from what a checkpoint holds."""
        self.model.load_state_dict(content["model"])
        self.heads.load_state_dict(content["heads"])
        self.step, self.saved = content["step"], content["optimizers"]


def new_state(seed: int = 0) -> State:
    """Start from random weights."""
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed)
    return State(model, Heads(model.config.text_config.hidden_size, tokenizer), tokenizer)


def load_state(path: Path, *, resume: bool) -> State:
    """Read a checkpoint.

    Args:
        path: file written by ``State.save``.
        resume: go on in the same phase; else start the next phase at step 0.
    """
    state = new_state()
    content = torch.load(path, weights_only=True)
    state.model.load_state_dict(content["model"])
    state.heads.load_state_dict(content["heads"])
    if resume:
        state.step, state.saved = content["step"], content["optimizers"]
    return state
