"""How does the decoder of model 2 read a row, with few or many visual tokens?

Layers are run one by one, so that some steps may take the visual tokens away behind a layer
(late layers learn to do without them, as in large models: VTW, arXiv 2405.05803) and some layers'
attention may be looked at on the way.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from embedded.guiding import APART, GUIDED, guide_layer, tell_apart
from embedded.labels import IGNORE
from embedded.row_stream import Stream, begin
from embedded.sinks import landing
from embedded.visible import Front

QUERIES = 48
"""Positions whose attention is looked at in a watched layer."""


@dataclass
class Pass:
    """What one pass over a batch of rows gave."""

    logits: Tensor
    """At the answer positions only, [answers, v]."""
    targets: Tensor
    """The right next token there, [answers]."""
    spots: Tensor
    """Row and position of each answer token in the packed text, [answers, 2]."""
    free: dict[int, Tensor] = field(default_factory=dict)
    """Of watched layers: mean share of attention on <s> and visual sinks."""
    on_bos: dict[int, Tensor] = field(default_factory=dict)
    """Of watched layers: mean share on <s> alone."""
    guide_loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    """How far the guided heads look elsewhere."""
    guide_mass: Tensor = field(default_factory=lambda: torch.zeros(()))
    """Mean attention of the guided heads on what they should look at."""
    apart_loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    """How far the head that tells two pictures apart looks elsewhere."""


def run_layers(
    model: LlavaForConditionalGeneration, front: Front, sinks: Tensor, batch: dict[str, Tensor],
    *, watched: tuple[int, ...] = (), blind_from: int | None = None,
    veiled: tuple[int, ...] = (), guided: bool = False,
) -> Pass:  # fmt: skip
    """Read a batch of rows.

    Args:
        model: the LLaVA.
        front: what stands in front of the turns.
        sinks: free keys in the front, [b, f] bool; <s> is one of them.
        batch: text as ``pack_row`` makes it, stacked.
        watched: layers whose attention is measured.
        blind_from: first layer that sees no visual tokens, None for none.
        veiled: layers in which the turns do not see the visual tokens (attention knockout).
        guided: also measure where the guided heads look; ``batch`` then holds ``guide_keys``.
    """
    decoder = model.model.language_model
    stream = begin(model, front, sinks, batch)
    free, on_bos, guides, apart = {}, {}, [], torch.zeros(0)
    for number, layer in enumerate(decoder.layers):
        if number == blind_from:
            stream = stream.without(front.visual)
        if number in watched:
            share, bos = watch(layer, stream)
            free[number], on_bos[number] = share, bos
        if guided and number in GUIDED:
            guides.append(guide_layer(layer, stream, batch))
        if guided and number == APART:
            apart = tell_apart(layer, stream, front.visual)
        mask = stream.veiled(front.visual) if number in veiled else stream.mask
        stream.hidden = layer(stream.hidden, attention_mask=mask, position_embeddings=stream.rotary)
    hidden = decoder.norm(stream.hidden)
    spots = (batch["targets"][:, : hidden.shape[1] - stream.front] != IGNORE).nonzero()
    rows, places = spots.unbind(1)
    logits = model.lm_head(hidden[rows, places + stream.front])
    found = Pass(logits, batch["targets"][rows, places], spots, free, on_bos)
    if any(len(logs) for logs in guides):
        logs = torch.cat(guides)
        found.guide_loss, found.guide_mass = -logs.mean(), logs.detach().exp().mean()
    if len(apart):
        found.apart_loss = -apart.mean()
    return found


def watch(layer: nn.Module, stream: Stream) -> tuple[Tensor, Tensor]:
    """Measure a layer's attention from some turns' tokens to free keys, and to <s> alone."""
    behind = stream.hidden.shape[1] - stream.front
    queries = stream.front + torch.randperm(behind)[:QUERIES]
    share = landing(layer, stream.hidden, stream.rotary, stream.mask, queries, stream.sinks)
    only = torch.zeros_like(stream.sinks)
    only[:, 0] = True
    with torch.no_grad():
        bos = landing(layer, stream.hidden, stream.rotary, stream.mask, queries, only)
    return share.mean(), bos.mean()
