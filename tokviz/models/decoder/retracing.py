"""Adds visual tokens to one layer's MLP where the read-out of the layer before is uncertain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from tokviz.errors import ModelError
from tokviz.mitigation import Retrace
from tokviz.mitigation.memvr import uncertainty, with_picture
from tokviz.mitigation.middle_heads import in_depth
from tokviz.models.families.parts import final_norm, mlp_of
from tokviz.models.families.state_versions import leaving, returned_states
from tokviz.models.loaded import Loaded
from tokviz.options import within


class Retracing:
    """One retracing, bound to one lane; at most one layer of a forward is changed."""

    def __init__(
        self,
        retrace: Retrace,
        decoder: nn.Module,
        word_logits: Callable[[torch.Tensor], torch.Tensor],
        tokens: torch.Tensor,
    ) -> None:
        """Describe the lane.

        Args:
            retrace: what to do.
            decoder: the text decoder.
            word_logits: from states after the final norm [d] to word logits [v].
            tokens: [m, d], the visual tokens as they enter layer 0.
        """
        self.retrace, self.decoder, self.word_logits = retrace, decoder, word_logits
        self.tokens = tokens
        self.layers = len(decoder.layers)  # type: ignore[arg-type]
        why = f"the language model has {self.layers} layers"
        first, last = (
            in_depth(published, self.layers) if asked is None else asked
            for published, asked in ((5, retrace.first), (16, retrace.last))
        )
        self.first = within("first_layer", first, 0, self.layers - 1, why)
        self.last = last
        self.waiting: int | None = None
        "Layer whose MLP is changed in this forward, before it has run."
        self.done = False
        self.forwards = 0
        self.changed: list[int] = []
        "The layer that was changed, for each forward in which one was."

    def hooks(self) -> list[Any]:
        """Install the hooks of one forward; the caller removes the handles."""
        self.waiting, self.done = None, False
        self.forwards += 1
        handles = []
        for number in range(self.first + 1, min(self.last, self.layers - 1)):
            block, following = self.decoder.layers[number], self.decoder.layers[number + 1]  # type: ignore[index]
            mlp = mlp_of(following)
            if not isinstance(mlp, nn.Module):
                raise ModelError("this model's layers have no MLP under a known name.")
            handles.append(block.register_forward_hook(self._read_out(number)))
            handles.append(mlp.register_forward_hook(self._mix(number + 1)))
        return handles

    def effect(self, title: str) -> str:
        """Say in how many forwards a layer was changed."""
        if not self.changed:
            return f"{title} changed no layer in this answer: what follows is the plain one."
        layers = ", ".join(map(str, sorted(set(self.changed))))
        return (
            f"{title} added the picture at {len(self.changed)} of {self.forwards} steps, in layer "
            f"{layers}."
        )

    def _read_out(self, number: int) -> Callable[..., None]:
        def read(module: nn.Module, args: Any, output: Any) -> None:
            if self.done:
                return
            states = leaving(self.decoder, returned_states(output)[..., 0, -1, :])
            # not called as a module: no hook may see this read-out
            normed = final_norm(self.decoder).forward(states)
            if uncertainty(self.word_logits(normed)) > self.retrace.threshold:
                self.waiting, self.done = number + 1, True

        return read

    def _mix(self, number: int) -> Callable[..., Any]:
        def mix(module: nn.Module, args: Any, output: Any) -> Any:
            if self.waiting != number:
                return None
            self.waiting = None
            self.changed.append(number)
            own = output[0] if isinstance(output, tuple) else output
            made = with_picture(args[0], own, self.tokens, self.retrace.ratio)
            return (made, *output[1:]) if isinstance(output, tuple) else made

        return mix


def retracing_of(retrace: Retrace | None, loaded: Loaded, tokens: torch.Tensor) -> Retracing | None:
    """Return the retracing of a lane whose m visual tokens are these [m, d]; None without one."""
    if retrace is None:
        return None
    family, model = loaded.family, loaded.model
    return Retracing(retrace, family.decoder(model), partial(family.word_logits, model), tokens)
