"""Word scores that are no numbers: how a run ends on them."""

from __future__ import annotations

import torch
from torch import nn

from tokviz.errors import ModelError


def not_finite(model: nn.Module) -> ModelError:
    """Return the error for logits that are NaN or infinite, with the number type in it."""
    kind = str(model.dtype).removeprefix("torch.")
    advice = {
        "float16": 'load it with dtype="bfloat16" or dtype="float32", whose range is larger',
        "bfloat16": 'load it with dtype="float32", or fetch its files again',
    }.get(kind, "its weights are damaged or not trained: fetch its files again")
    return ModelError(
        f"the model computed values that are no numbers (NaN or infinite) in {kind}, so its answer "
        f"means nothing: {advice}."
    )


def check_finite(model: nn.Module, logits: torch.Tensor) -> None:
    """Raise ModelError unless every logit is a finite number."""
    if not bool(torch.isfinite(logits).all()):
        raise not_finite(model)
