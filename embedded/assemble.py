"""How does a batch of rows become what the decoder reads? Look, choose, lay the front."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from embedded.batches import to_pixel_values
from embedded.guiding import guide_keys
from embedded.labels import LABELS, NOTHING
from embedded.losses import run_tower
from embedded.sinks import massive_loss, visual_sink_loss, visual_sinks, word_loss
from embedded.subwords import first_piece
from embedded.visible import Front, Policy, choose, lay_front

NAMED = 256
"""Visual tokens of a batch that the word table must name."""
BARE = 0.2
"""Weight of a bare one among them."""


@dataclass
class Assembled:
    """What the decoder is given."""

    front: Front
    """In front of the turns."""
    sinks: Tensor
    """Free keys in the front, [rows, f] bool."""
    batch: dict[str, Tensor]
    """The text, with ``guide_keys``."""
    losses: dict[str, Tensor] = field(default_factory=dict)
    """Losses on the visual tokens alone: "lean", "massive" and "words"."""


@torch.no_grad()
def look(model: LlavaForConditionalGeneration, item: dict) -> Tensor:
    """See the pictures of a batch, once: feature layer without [CLS], [pictures, n, d]."""
    if "seen" not in item:
        pixel_values = to_pixel_values(item["pixels"])
        clarity = item["clarity"][:, None, None, None]
        noise = torch.randn_like(pixel_values)
        pixel_values = clarity.sqrt() * pixel_values + (1 - clarity).sqrt() * noise
        item["seen"] = run_tower(model, pixel_values)[0][:, 1:]
    return item["seen"]


def begin_ids(tokenizer: PreTrainedTokenizerFast, pictures: bool) -> Tensor:
    """Give the tokens of "<s>USER: "; without a picture the space belongs to the question."""
    return torch.tensor(tokenizer.encode("USER: " if pictures else "USER:"))


def assemble(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    item: dict,
    policy: Policy,
    keep: Tensor | None = None,
) -> Assembled:
    """Prepare a batch under a policy.

    Args:
        model: the LLaVA.
        tokenizer: its tokenizer.
        item: a batch of ``RowBatches``.
        policy: which visual tokens stay, and where.
        keep: the tokens that stay if they are not to be drawn, ascending, [pictures, k].
    """
    table = model.model.language_model.embed_tokens
    rows = len(item["ids"])
    seeing = "pixels" in item
    before = table(begin_ids(tokenizer, seeing))
    after = table(torch.tensor(tokenizer.encode("\n", add_special_tokens=False)))
    if not seeing:
        none = torch.zeros(rows, 0, 0, dtype=torch.long)
        front = lay_front(before, after, torch.zeros(rows, 0, 0, before.shape[1]), none, 0, True)
        sinks = torch.zeros(rows, front.length, dtype=torch.bool)
        sinks[:, 0] = True
        keys = torch.zeros(*item["guide_at"].shape, front.length, dtype=torch.bool)
        return Assembled(front, sinks, item | {"guide_keys": keys})
    features = model.model.multi_modal_projector(look(model, item))
    total = features.shape[1]
    leaning = visual_sinks(features.detach(), item["name"])
    keep = choose(item["cover"], policy) if keep is None else keep
    kept = features.gather(1, keep[..., None].expand(-1, -1, features.shape[-1]))
    by_row = keep.unflatten(0, (rows, -1))
    front = lay_front(before, after, kept.unflatten(0, (rows, -1)), by_row, total, policy.repack)
    sinks = torch.zeros(rows, front.length, dtype=torch.bool)
    sinks[:, 0] = True
    is_sink = (keep[..., None] == leaning[:, None]).any(-1)
    sinks[:, front.visual] = is_sink.unflatten(0, (rows, -1)).flatten(1)
    keys = guide_keys(item["guide_on"], by_row, front.visual, total)
    losses = {"lean": visual_sink_loss(features, leaning)}
    losses["massive"] = massive_loss(features, leaning)
    losses["words"] = name_some(model, tokenizer, kept, item["name"].gather(1, keep), is_sink)
    return Assembled(front, sinks, item | {"guide_keys": keys}, losses)


def name_some(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    kept: Tensor,
    name: Tensor,
    is_sink: Tensor,
) -> Tensor:
    """Let the word table name some of the kept tokens; visual sinks are let off."""
    pieces = torch.tensor([first_piece(tokenizer, label) for label in LABELS])
    known = ((name >= 0) & ~is_sink).nonzero()
    some = known[torch.randperm(len(known))[:NAMED]]
    at = tuple(some.T)
    weight = torch.where(name[at] == NOTHING, BARE, 1.0)
    return word_loss(model, kept[at], pieces[name[at]], weight)
