"""Runs the decoder over packed rows, and computes the guided attention of named words."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from embedded.labels import IGNORE
from embedded.packing import BEFORE

GUIDED_LAYERS = (1, 2)
GUIDED_HEADS = 2
"""The first heads of the guided layers are shown where to look."""


@dataclass
class Reading:
    """The decoder's outputs for a packed batch."""

    logits: Tensor
    """At the answer positions only, [answers, v]."""
    targets: Tensor
    """The right next token there, [answers]."""
    spots: Tensor
    """Row and position of each answer token in the packed text, [answers, 2]."""
    guide_loss: Tensor
    """How far the guided heads look elsewhere; 0 if not guided."""
    guide_mass: Tensor
    """Mean attention mass of the guided heads on what they should look at."""


@dataclass
class LayerInputs:
    """The inputs of the guided layers."""

    calls: list[tuple[nn.Module, Tensor, tuple[Tensor, Tensor]]] = field(default_factory=list)
    """Attention module, its input [b, t, d] and rotary cosines and sines."""


@contextmanager
def record_inputs(
    model: LlavaForConditionalGeneration, layers: tuple[int, ...]
) -> Iterator[LayerInputs]:
    """Record the inputs of some layers' attention; the hooks are removed afterwards."""
    watched = LayerInputs()

    def note(module: nn.Module, args: tuple, kwargs: dict) -> None:
        hidden = kwargs.get("hidden_states", args[0] if args else None)
        watched.calls.append((module, hidden, kwargs["position_embeddings"]))

    decoder = model.model.language_model
    hooks = [
        decoder.layers[i].self_attn.register_forward_pre_hook(note, with_kwargs=True)
        for i in layers
    ]
    try:
        yield watched
    finally:
        for hook in hooks:
            hook.remove()


def packed_mask(turn: Tensor, before: int) -> Tensor:
    """Let each text token see the prefix and the earlier tokens of its own turn.

    Args:
        turn: number of the turn of each text token, 0 for padding, [b, t].
        before: length of the prefix, picture included.

    Returns:
        [b, 1, before + t, before + t] bool, True where the query may look at the key.
    """
    full = functional.pad(turn, (before, 0), value=-1)
    same = full[:, :, None] == full[:, None, :]
    prefix = torch.arange(full.shape[1]) < before
    order = torch.ones(same.shape[1:], dtype=torch.bool).tril()
    return ((same | prefix) & order)[:, None]


def prefix_embeddings(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, features: Tensor
) -> Tensor:
    """Return the embeddings of "<s> user :" and the visual tokens, [b, 3 + k, d]."""
    ids = tokenizer.encode("user :")
    start = model.model.language_model.embed_tokens(torch.tensor(ids))
    return torch.cat([start.expand(len(features), -1, -1), features], 1)


def read(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    features: Tensor,
    keep: Tensor,
    batch: dict[str, Tensor],
    guided: bool = False,
) -> Reading:
    """Run the decoder over a packed batch.

    Args:
        model: the LLaVA.
        tokenizer: its tokenizer.
        features: projected visual tokens, [b, k, d].
        keep: which of the 144 they are, [b, k].
        batch: what ``packing.pack`` makes, stacked.
        guided: also compute where the guided heads look.
    """
    decoder = model.model.language_model
    used = int((batch["turn"] > 0).sum(1).max())
    text = {key: batch[key][:, :used] for key in ("ids", "turn", "positions", "targets")}
    prefix = prefix_embeddings(model, tokenizer, features)
    start = torch.arange(BEFORE).expand(len(keep), -1)
    mask = packed_mask(text["turn"], prefix.shape[1])
    with record_inputs(model, GUIDED_LAYERS if guided else ()) as watched:
        hidden = decoder(
            inputs_embeds=torch.cat([prefix, decoder.embed_tokens(text["ids"])], 1),
            attention_mask=mask,
            position_ids=torch.cat([start, keep + BEFORE, text["positions"]], 1),
            use_cache=False,
        ).last_hidden_state
    spots = (text["targets"] != IGNORE).nonzero()
    rows, places = spots.unbind(1)
    logits = model.lm_head(hidden[rows, places + prefix.shape[1]])
    zero = torch.zeros(())
    loss, mass = guide(watched, batch, keep, mask) if guided else (zero, zero)
    return Reading(logits, text["targets"][rows, places], spots, loss, mass)


def guide(
    watched: LayerInputs, batch: dict[str, Tensor], keep: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Score the attention of the guided heads from named words to what they name.

    Returns:
        Mean of -log(mass on the right keys), and the mean mass.
    """
    before = BEFORE + keep.shape[1]
    right = batch["guide_on"].gather(
        2, functional.pad(keep + 1, (1, 0))[:, None].expand(-1, batch["guide_on"].shape[1], -1)
    )
    valid = (batch["guide_at"] >= 0) & right.any(-1)
    rows, slots = valid.nonzero(as_tuple=True)
    query_at = batch["guide_at"][rows, slots] + before
    allowed = mask[rows, 0, query_at]
    keys = torch.zeros_like(allowed)
    keys[:, 0] = right[rows, slots, 0]
    keys[:, BEFORE:before] = right[rows, slots, 1:]
    masses = []
    for attention, hidden, rotary in watched.calls:
        logs = guided_attention(attention, hidden, rotary, rows, query_at, allowed)
        masses.append(logs.masked_fill(~keys[:, None], -1e9).logsumexp(-1))
    logs = torch.stack(masses)
    return -logs.mean(), logs.detach().exp().mean()


def guided_attention(
    attention: nn.Module, hidden: Tensor, rotary: tuple, rows: Tensor, at: Tensor, allowed: Tensor
) -> Tensor:
    """Recompute log attention of the guided heads for some queries, [queries, heads, t]."""
    width = GUIDED_HEADS * attention.head_dim
    shape = (GUIDED_HEADS, attention.head_dim)
    query, key = (
        functional.linear(hidden, projection.weight[:width]).unflatten(-1, shape).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj)
    )
    query, key = apply_rotary_pos_emb(query, key, *rotary)
    scores = torch.einsum("nhd,nhtd->nht", query[rows, :, at], key[rows]) * attention.scaling
    return scores.masked_fill(~allowed[:, None], -1e9).log_softmax(-1)
