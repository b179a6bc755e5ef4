"""What tokviz changes on a model while it computes, and puts back as it was afterwards.

Three things: every config names tokviz's attention function, dropout is off, and parameters ask for
no gradient while others are taken. Between two calls the model is its owner's: it can be trained,
its attention function changed, `output_attentions` read. What the owner set meanwhile is what the
next call finds and puts back.

Trap: `set_attn_implementation` checks and warns at every call, so the setting is written where that
function writes it; a config that several modules share is one object.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn
from transformers import PretrainedConfig

from tokviz.models.attention import NAME, register_attention
from tokviz.models.hooks import restored

ATTENTION = "_attn_implementation_internal"


class ModelState:
    """Puts one model into the state that tokviz computes in, and back."""

    def __init__(self, model: nn.Module) -> None:
        """Find the configs and modules; nothing is changed yet."""
        register_attention()
        self.model = model
        self.modules = list(model.modules())
        # a config looks every name up in a table of other names: too slow at every word
        self.held = [vars(config) for config in configs_of(self.modules)]
        "The attributes of each config."
        self.depth = 0
        "Calls that are open: one inside another changes nothing."
        self.undo = ExitStack()
        self.trains = False
        "Whether a module was in training mode when they were looked at last."

    def enter(self, gradients: bool, goes_on: bool = False) -> None:
        """Prepare the model for a call; call it with the model's lock held.

        Args:
            gradients: autograd is on: parameters must not take part.
            goes_on: the call goes on with an answer. The modules are not looked at again then,
                unless the model as a whole is in training mode now: hundreds of them have left the
                processor's cache since the last token, which would take 0.13 ms at each.
        """
        self.depth += 1
        if gradients:
            for parameter in self.model.parameters():
                if parameter.requires_grad:
                    self.undo.enter_context(restored(parameter, "requires_grad", False))
        if self.depth > 1:
            return
        theirs = [(held, held.get(ATTENTION)) for held in self.held if held.get(ATTENTION) != NAME]
        set_attention([(held, NAME) for held, _ in theirs])
        self.undo.callback(set_attention, theirs)
        if not goes_on or self.trains or self.model.training:
            training = [module for module in self.modules if module.training]
            self.trains = bool(training)
            set_training(training, False)
            self.undo.callback(set_training, training, True)

    def leave(self) -> None:
        """End a call; the outermost one puts everything back."""
        self.depth -= 1
        if self.depth == 0:
            undo, self.undo = self.undo, ExitStack()
            undo.close()


def set_attention(functions: list[tuple[dict[str, Any], Any]]) -> None:
    """Set the name of the attention function in the attributes of each config."""
    for held, name in functions:
        held[ATTENTION] = name


def set_training(modules: list[nn.Module], value: bool) -> None:
    """Set the flag `training` alone: PEFT's train() would merge or split weights.

    A module looks for parameters in every attribute that is set, which takes 100 ms in an answer of
    24 words, as hundreds of modules are set at each word. So it is left out here.
    """
    for module in modules:
        object.__setattr__(module, "training", value)


def configs_of(modules: list[nn.Module]) -> list[PretrainedConfig]:
    """Return every config that a module reads its attention function from, each once."""
    found: dict[int, Any] = {}
    for module in modules:
        config = getattr(module, "config", None)
        if isinstance(config, PretrainedConfig):
            found[id(config)] = config
    return list(found.values())
