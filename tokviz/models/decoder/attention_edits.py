"""Attention edits of one lane: which rows and columns an edit gets in each layer, at each step.

Rows and columns are computed in each layer from the rows that are alive there, so an edit works
after reduction steps before and inside the language model without any code for them.
"""

from __future__ import annotations

from typing import Any

import torch

from tokviz.errors import MissingSignal, ModelError
from tokviz.mitigation import AttentionEdit, EditContext
from tokviz.models.attention_call import ROW_CHUNK, AttentionCall
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.families.layer_kinds import (
    attending_layers,
    layers_without_attention,
    named_layers,
)
from tokviz.options import within


class Editing:
    """One attention edit, bound to one lane."""

    def __init__(self, edit: AttentionEdit, stages: DecoderStages, width: int) -> None:
        """Args: `stages` of the lane; `width` of the language model."""
        self.edit, self.stages, self.width = edit, stages, width
        self.layers = len(stages.decoder.layers)  # type: ignore[arg-type]
        self.without = layers_without_attention(stages.decoder)
        self.last = attending_layers(stages.decoder)[-1]
        "The last layer that has attention."
        if edit.hides and self.without:
            raise MissingSignal(
                "this mitigation hides tokens from attention, and in this model "
                f"{named_layers(self.without)}: such a layer reads every token, hidden or not. "
                "Choose another mitigation."
            )
        if not edit.last_layer_only:
            why = f"the language model has {self.layers} layers"
            within("first_layer", edit.first_layer, 0, self.layers - 1, why)
        self.visual: torch.Tensor = stages.visual_at_start
        self.memory: dict[int, dict[str, Any]] = {}
        self.measured: dict[str, Any] = {}
        self.seen: set[int] = set()
        self.edited: set[int] = set()
        "Layers whose attention was shown to the edit, and those where it was changed."

    def apply(
        self, call: AttentionCall, layer: int, written: int, phi: torch.Tensor | None = None
    ) -> None:
        """Edit one attention call, unless the edit skips this layer.

        Args:
            call: of a decoder layer, for a batch of one.
            layer: its number.
            written: tokens of the answer that have been read so far, this call's included.
            phi: [rows] sink statistic at the layer's input, in the prefill.
        """
        if layer < self.edit.first_layer and not self.edit.last_layer_only:
            return
        if self.edit.last_layer_only and layer != self.last:
            return
        # bool [rows alive], then one False per answer token: [keys]. A cache with a sliding window
        # has dropped the oldest keys, so only the last ones count.
        alive = torch.isin(self.stages.rows_at(layer), self.visual)
        image = torch.cat([alive, alive.new_zeros(written)])[-call.key.shape[2] :]
        if not image.any():
            return
        if call.sinks is not None:
            raise ModelError(
                "this model's attention has learned sinks, which no method that edits attention "
                "was made for: choose a mitigation that leaves attention as it is."
            )
        for rows in self.rows(alive, call.query.shape[2], not written).split(ROW_CHUNK):
            context = self.context(call, layer, image, rows, written, phi)
            weights = self.edit.change(call.logits(rows)[0], context)
            self.seen.add(layer)
            if weights is not None:
                self.edited.add(layer)
                call.replace_rows(rows, weights)

    def effect(self, title: str) -> str:
        """Say in how many layers attention was edited."""
        if not self.edited:
            return f"{title} edited no attention in this answer: what follows is the plain one."
        done = f"{title} edited attention in {len(self.edited)} of {len(self.seen)} layers"
        if not self.without:
            return f"{done}."
        return (
            f"{done} that have attention; it cannot edit the others, which read the picture too: "
            f"{named_layers(self.without)}."
        )

    def rows(self, alive: torch.Tensor, queries: int, prefill: bool) -> torch.Tensor:
        """Return the query rows that the edit changes, ascending."""
        # the queries of a prompt are its last rows: all of them, or one (see `shared_keys`)
        after = after_image(alive) - (len(alive) - queries)
        first = {"last": queries - 1, "after_image": after, "all": 0}
        start = max(first[self.edit.rows], 0) if prefill else 0
        return torch.arange(start, queries, device=alive.device)

    def context(
        self,
        call: AttentionCall,
        layer: int,
        image: torch.Tensor,
        rows: torch.Tensor,
        written: int,
        phi: torch.Tensor | None,
    ) -> EditContext:
        """Return the description of some query rows of a call that the edit gets."""
        columns = torch.arange(len(image), device=image.device)
        queries = call.query.shape[2]
        before = 0 if written else len(image) - queries  # rows of the prompt that are no queries
        first = 0 if written else max(after_image(image) - before, 0)
        text = torch.arange(first, queries, device=image.device)
        return EditContext(
            layer=layer,
            image=image,
            answer=columns >= len(image) - written,
            visual_rows=image.new_zeros(len(rows)) if written else image[rows + before],
            prefill=not written,
            phi=phi if self.edit.needs_sinks else None,
            width=self.width,
            text=lambda: call.rows(text)[0],
            memory=self.memory.setdefault(layer, {}),
            measured=self.measured,
            layers=self.layers,
        )


def after_image(image: torch.Tensor) -> int:
    """Return the index after the last visual token, from a bool mask with at least one True."""
    return int(image.nonzero()[-1]) + 1
