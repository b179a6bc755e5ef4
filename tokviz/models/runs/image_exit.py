"""Removes all visual tokens before one decoder layer, and scores the answer again.

The tokens are removed, not masked: from that layer on the sequence and the caches are shorter.
Where the last layers read the keys of earlier ones, and the exit is behind such an earlier one,
these layers have its keys of the picture, which are hidden from them. If they compute every row
(Gemma 3n), the rows of the picture stay from there on, and no layer from the exit on sees them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.models.decoder.masks import as_bool
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.decoder.windows import reading_mask, sliding_layers
from tokviz.models.families.shared_keys import last_row_layers, owners, whole_prompt_layers
from tokviz.models.families.state_versions import given_states
from tokviz.models.hooks import hooked
from tokviz.models.runs.teacher_forcing import TeacherForcing
from tokviz.reduction import Stage


class ImageExit(DecoderStages):
    """Removes every visual token from the sequence before one decoder layer."""

    def __init__(self, reading: TeacherForcing, layer: int) -> None:
        """Args: the question, and the layer; the number of layers = nothing is removed."""
        decoder = reading.family.decoder(reading.model)
        count = len(decoder.layers)  # type: ignore[arg-type]
        if not 0 <= layer <= count:
            raise InputError(f"the layer of an exit must be 0 to {count}, got {layer}.")
        position = reading.layout.position.astype(np.int64)
        shared = owners(decoder)
        behind = layer > min(shared.values(), default=count)
        self.hides = behind and not last_row_layers(decoder)
        "The rows of the picture stay, and are hidden from every layer from the exit on."
        removes = layer < count and not self.hides
        super().__init__(
            decoder,
            None,
            [Stage(layer, 0)] if removes else [],
            torch.as_tensor(position, device=reading.loaded.device),
            len(reading.prepared.asked.prompt_ids),
            np.arange(len(position)),
            0,
            reading.family.head_weight(reading.model),
        )
        self.layer, self.reading = layer, reading

    @contextmanager
    def in_prompt(self) -> Iterator[None]:
        """Remove the visual tokens before the layer during the prefill."""
        following = self.reading.family.during_prefill(self.reading.model, self)
        with following, self.during_prefill(), hooked(self._blinding(0)):
            yield

    @contextmanager
    def in_answer(self) -> Iterator[None]:
        """Shorten the masks to the shorter caches while the answer's tokens are read."""
        windows = sliding_layers(self.decoder)
        whole = whole_prompt_layers(self.decoder)
        hooks = [
            (i, partial(self._slide, windows[i]) if i in windows else self._fit)
            for i in range(self.layer, whole if self.stages else 0)
        ]
        new = self.reading.answer.shape[1] - 1
        with hooked(chain(self._installed(hooks), self._blinding(new))):
            yield

    def _blinding(self, new: int) -> Iterator[Any]:
        """Hide the image in the layers after the exit that have keys of it.

        Args:
            new: tokens of the answer among the keys.
        """
        layers: Any = self.decoder.layers
        hide = partial(self._blind, self.length + new)
        for layer in range(self.layer, len(layers)):
            if self.hides or self.owners.get(layer, layer) < self.layer:
                yield layers[layer].register_forward_pre_hook(hide, with_kwargs=True)

    def _blind(
        self, keys: int, module: Any, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[tuple, dict]:
        rows = given_states(args, kwargs).shape[-2]
        place = torch.arange(keys, device=self.visual_at_start.device)
        given = kwargs.get("attention_mask")
        # [keys] against the last rows [rows, 1] -> [1, 1, rows, keys]
        sees = (place <= place[-rows:, None])[None, None] if given is None else as_bool(given)
        sees = sees.index_fill(-1, self.visual_at_start, False)
        if rows == self.length:  # no row may be left without any key; none reads these rows
            sees[..., self.visual_at_start, self.visual_at_start] = True
        return args, {**kwargs, "attention_mask": sees}

    def _slide(
        self, window: int, module: Any, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[tuple, dict]:
        # all tokens of the answer are read in one forward: [1, new, d]
        new = given_states(args, kwargs).shape[-2]
        mask = reading_mask(self.alive[None], self.length, 0, new, window)
        return args, {**kwargs, "attention_mask": mask}

    def _fit(self, module: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
        mask = kwargs.get("attention_mask")
        # The library builds one mask for all layers by the cache of the first with attention. If
        # that cache is already short (the exit is at or before that layer), the mask fits. A
        # layer without attention has no mask over keys.
        if mask is None or mask.ndim == 2 or mask.shape[-1] < self.length + mask.shape[-2]:
            return args, kwargs
        new = torch.arange(self.length, mask.shape[-1], device=mask.device)
        return args, {**kwargs, "attention_mask": mask[..., torch.cat([self.alive, new])]}

    def _carry_out(self, layer: int, hidden: torch.Tensor, kwargs: dict) -> torch.Tensor:
        stays = torch.ones(hidden.shape[-2], dtype=torch.bool, device=hidden.device)
        stays[self.visual] = False
        self.done.append((layer, Reduction.select(np.zeros(0, np.int64), len(self.visual)), 0.0))
        self.alive, self.visual = self.alive[stays], self.visual[:0]
        self.index = self.index[:0]
        return hidden[..., stays, :]
