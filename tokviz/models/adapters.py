"""A model wrapped by PEFT: which model is run, so that its adapters count.

Most adapters (LoRA and its kin) sit in the layers of the model itself: the model inside the wrapper
answers as the wrapper does. Those that add tokens to the prompt are carried out by the wrapper, and
an adapter of the output head would be left out where its weights are read: both are refused.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from tokviz.errors import ModelError

MERGE = "Merge it first: model = model.merge_and_unload()."


def without_wrapper(model: nn.Module) -> nn.Module:
    """Return the model inside a wrapper of PEFT, adapters in place; another one as it is.

    Raises:
        ModelError: adapters that act outside the model's own layers.
    """
    if not hasattr(model, "peft_config"):
        return _checked(model)
    wrapped: Any = model
    configs = wrapped.peft_config.values() if hasattr(wrapped.peft_config, "values") else ()
    if any(getattr(config, "is_prompt_learning", False) for config in configs):
        raise ModelError(
            "its adapter adds tokens to the prompt (prompt tuning), which tokviz does not run: "
            "give the model without it, or with an adapter in its layers, such as LoRA."
        )
    tuner = getattr(wrapped, "base_model", None)
    inside = wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else tuner.model  # type: ignore[union-attr]
    return _checked(inside)


def _checked(model: nn.Module) -> nn.Module:
    """Return a model; raise ModelError where an adapter is in its output head."""
    read = getattr(model, "get_output_embeddings", None)
    head = read() if read is not None else None
    if head is not None and hasattr(head, "base_layer") and not getattr(head, "merged", False):
        raise ModelError(
            f"its adapter changes the output head, whose weights tokviz reads. {MERGE}"
        )
    return model
