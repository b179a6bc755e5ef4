"""Losses on the visual tokens, with heads that only training uses.

Linear heads name what each patch shows, on the tower's feature layer and after the projector;
the [CLS] token must list everything in the picture; and the decoder's own word table must name
the projected tokens, which is also what makes the logit lens readable on them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from embedded.labels import IGNORE, LABELS, NOTHING, SIZES

WEIGHTS = {"name": 1.0, "words": 0.3, "colour": 0.3, "cell": 0.1, "count": 1.0, "rank": 0.7,
           "cls": 0.3, "pooled": 0.2}  # fmt: skip
BACKGROUND = 0.2
"""Weight of a bare patch in the naming losses; four of five patches are bare."""

LONE = torch.tensor([1.0, 0.3, 1.0, 1.0, 1.0])
"""Weight of each count; most things are the only one of their name."""


class Heads(nn.Module):
    """The linear read-outs of the training; they are not exported."""

    def __init__(self, width: int, tokenizer: PreTrainedTokenizerFast):
        super().__init__()
        self.name = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, SIZES["name"]))
        self.cls = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, NOTHING))
        self.pooled = nn.Linear(width, NOTHING)
        self.norm = nn.LayerNorm(width)
        facts = [key for key in SIZES if key != "name"]
        self.facts = nn.ModuleDict({key: nn.Linear(width, SIZES[key]) for key in facts})
        ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(LABELS)))
        self.register_buffer("word_ids", ids)


def run_tower(
    model: LlavaForConditionalGeneration, pixel_values: Tensor, keep: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run the vision tower, on some patches only if asked.

    Args:
        model: the LLaVA.
        pixel_values: [b, 3, 192, 192].
        keep: ordinals of the patches to look at, [b, k], or None for all.

    Returns:
        Feature layer with [CLS] first, [b, 1 + k, d], and the pooled [CLS], [b, d].
    """
    tower = model.model.vision_tower
    hidden = tower.pre_layrnorm(tower.embeddings(pixel_values))
    if keep is not None:
        index = torch.cat([torch.zeros_like(keep[:, :1]), keep + 1], 1)
        hidden = hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[-1]))
    *layers, last = tower.encoder.layers
    for layer in layers:
        hidden = layer(hidden, attention_mask=None)
    pooled = tower.post_layernorm(cls_row(last, hidden))
    return hidden, pooled


def cls_row(layer: nn.Module, hidden: Tensor) -> Tensor:
    """Compute only the [CLS] row of an encoder layer, [b, d]."""
    attention = layer.self_attn
    normed = layer.layer_norm1(hidden)
    heads = (attention.num_heads, attention.head_dim)
    query = attention.q_proj(normed[:, :1]).unflatten(-1, heads).transpose(1, 2)
    key, value = (
        projection(normed).unflatten(-1, heads).transpose(1, 2)
        for projection in (attention.k_proj, attention.v_proj)
    )
    mixed = functional.scaled_dot_product_attention(query, key, value)
    row = hidden[:, :1] + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return (row + layer.mlp(layer.layer_norm2(row)))[:, 0]


def choose_patches(cover: Tensor, count: int) -> Tensor:
    """Draw patches to look at, those on things first, in ascending order, [b, count]."""
    score = torch.rand(cover.shape) + (cover >= 0)
    return score.topk(count, dim=1).indices.sort(1).values


def naming_loss(logits: Tensor, names: Tensor) -> Tensor:
    """Average cross-entropy over patches with bare ones weighted down."""
    weight = torch.ones(logits.shape[-1])
    weight[NOTHING] = BACKGROUND
    return functional.cross_entropy(
        logits.flatten(0, 1), names.flatten(), weight=weight, ignore_index=IGNORE
    )


def picture_losses(
    model: LlavaForConditionalGeneration,
    heads: Heads,
    batch: dict[str, Tensor],
    seen: tuple[Tensor, Tensor],
) -> dict[str, Tensor]:
    """Compute every loss on the visual tokens.

    Args:
        model: the LLaVA, for its projector and word table.
        heads: the read-outs.
        batch: labels [b, k] per key of ``SIZES`` and ``present`` [b, names].
        seen: what ``run_tower`` returned for the same patches.

    Returns:
        One scalar per key of ``WEIGHTS``, not yet weighted.
    """
    hidden, pooled = seen
    features = hidden[:, 1:]
    projected = model.model.multi_modal_projector(features)
    words = model.model.language_model.norm(projected) @ model.lm_head.weight[heads.word_ids].T
    losses = {
        "name": naming_loss(heads.name(features), batch["name"]),
        "words": naming_loss(words, batch["name"]),
        "cls": listing_loss(heads.cls(hidden[:, 0]), batch["present"]),
        "pooled": listing_loss(heads.pooled(pooled), batch["present"]),
    }
    normed = heads.norm(projected)
    for key, head in heads.facts.items():
        weight = LONE if key == "count" else None
        losses[key] = functional.cross_entropy(
            head(normed).flatten(0, 1), batch[key].flatten(), weight, ignore_index=IGNORE
        )
    return losses


def listing_loss(logits: Tensor, present: Tensor) -> Tensor:
    """Binary cross-entropy for "which names are in the picture", positives weighing 8."""
    return functional.binary_cross_entropy_with_logits(
        logits, present, pos_weight=torch.tensor(8.0)
    )


def weighted(losses: dict[str, Tensor]) -> Tensor:
    """Add up losses with their weights."""
    return torch.stack([WEIGHTS[key] * value for key, value in losses.items()]).sum()
