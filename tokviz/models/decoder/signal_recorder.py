"""What a stage in the language model needs of the layers before it, kept in the prefill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from tokviz.errors import MissingSignal
from tokviz.models.attention_call import AttentionCall
from tokviz.models.decoder.alive import AliveRows
from tokviz.models.families.parts import attention_of, mlp_of, mlp_output
from tokviz.models.families.shared_keys import removing_layers
from tokviz.models.families.state_versions import entering, given_states
from tokviz.reduction.transprune import transition

TRANSITION_FROM = 6 / 32
"TransPrune sums transitions from this share of the depth on (layer 6 of 32)."


class SignalRecorder:
    """Collects layer by layer what a later stage needs."""

    def __init__(
        self,
        rows: AliveRows,
        decoder: nn.Module,
        wanted: set[str],
        stages: Sequence[int],
        variant: str,
    ) -> None:
        """Begin with nothing collected.

        Args:
            rows: which rows are alive.
            decoder: the text decoder.
            wanted: names of SIGNALS.
            stages: the layers before which the method decides.
            variant: of TransPrune's transitions, see `transition`.
        """
        self.rows, self.decoder, self.wanted = rows, decoder, wanted
        self.stages, self.variant = list(stages), variant
        self.calls: dict[int, AttentionCall] = {}
        self.embedded: torch.Tensor | None = None
        self.text_mass: list[torch.Tensor] = []
        self.transitions: torch.Tensor | None = None
        self.neurons: torch.Tensor | None = None
        self.entered: torch.Tensor | None = None
        "[rows, d] that entered the layer before a stage."

    def read_call(self, call: AttentionCall) -> None:
        """Keep the calls of the last two layers; record the text rows' share on the image."""
        layer = int(call.module.layer_idx)
        self.calls = {i: c for i, c in self.calls.items() if i == layer - 1} | {layer: call}
        if "llm_text_mass" in self.wanted and layer == len(self.text_mass):
            local = self.rows.local()
            rows = after(local, call.query.shape[2])
            # [h, text rows, visual tokens] -> summed over tokens, mean over heads and rows
            self.text_mass.append(call.rows(rows)[0][..., local].sum(-1).mean())

    def hooks(self) -> Iterator[Any]:
        """Install the hooks that the wanted signals need, one by one.

        Yields:
            Their handles, which the caller removes.

        Raises:
            MissingSignal: a wanted signal does not exist in this model.
        """
        layers: Any = self.decoder.layers
        if "llm_text_score" in self.wanted:
            yield layers[0].register_forward_pre_hook(self._embedded, with_kwargs=True)
        if "llm_transition" in self.wanted:
            first = round(TRANSITION_FROM * removing_layers(self.decoder))
            for block in layers[first : max(self.stages)]:
                for module in (attention_of(block), mlp_of(block)):
                    yield from self._transition_hooks(module)
        for stage in self.stages:
            if "llm_hidden_before" in self.wanted:
                before = layers[stage - 1]
                yield before.register_forward_pre_hook(self._entered, with_kwargs=True)
            if "llm_shared_neurons" in self.wanted:
                down = mlp_output(layers[max(stage - 1, 0)])
                if down is None:
                    raise MissingSignal("this model's MLPs have no single output matrix to watch.")
                yield down.register_forward_pre_hook(self._neurons)

    def forget(self, kept: torch.Tensor) -> None:
        """Drop the sums of removed tokens after a stage; `kept` [m'] indexes the visual tokens."""
        if self.transitions is not None:
            self.transitions = self.transitions[kept]

    def _embedded(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.embedded = entering(module, args, kwargs)[0]

    def _entered(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.entered = entering(module, args, kwargs)[0]

    def _neurons(self, module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self.neurons = args[0][0]

    def _transition_hooks(self, module: nn.Module) -> list[Any]:
        entered: list[torch.Tensor] = []

        def before_module(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
            entered[:] = [given_states(args, kwargs)[0]]

        def after_module(_: nn.Module, args: Any, output: Any) -> None:
            changed = (output[0] if isinstance(output, tuple) else output)[0]
            added = transition(entered[0], changed, self.rows.local(), self.variant)
            old = self.transitions
            self.transitions = added if old is None else old + added

        return [
            module.register_forward_pre_hook(before_module, with_kwargs=True),
            module.register_forward_hook(after_module),
        ]


def after(visual: torch.Tensor, rows: int) -> torch.Tensor:
    """Return the rows after the last visual token; all rows if there is none."""
    first = int(visual[-1]) + 1 if len(visual) else 0
    return torch.arange(first, rows, device=visual.device)
