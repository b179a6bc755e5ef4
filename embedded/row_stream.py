"""What runs through the decoder's layers when a batch of rows is read?"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlavaForConditionalGeneration

from embedded.reader import packed_mask
from embedded.visible import Front


@dataclass
class Stream:
    """What runs through the layers."""

    hidden: Tensor
    """[b, t, d]."""
    mask: Tensor
    """[b, 1, t, t] bool."""
    rotary: tuple[Tensor, Tensor]
    """Cosines and sines, [b, t, head]."""
    sinks: Tensor
    """Keys that are free to look at, [b, t] bool."""
    front: int
    """Tokens in front of the turns."""

    def without(self, visual: Tensor) -> "Stream":
        """Take the visual tokens away, [f] bool over the front."""
        stay = torch.ones(self.hidden.shape[1], dtype=torch.bool)
        stay[: len(visual)] = ~visual
        at = stay.nonzero()[:, 0]
        cos, sin = self.rotary
        return Stream(
            self.hidden[:, at], self.mask[:, :, at][..., at], (cos[:, at], sin[:, at]),
            self.sinks[:, at], int((~visual).sum()),
        )  # fmt: skip

    def veiled(self, visual: Tensor) -> Tensor:
        """Give the mask under which text does not see the visual tokens, [f] bool."""
        picture = functional.pad(visual, (0, self.hidden.shape[1] - len(visual)))
        return self.mask & ~(~picture[:, None] & picture[None])


def begin(
    model: LlavaForConditionalGeneration, front: Front, sinks: Tensor, batch: dict[str, Tensor]
) -> Stream:
    """Lay out a batch: front, turns, who may look where.

    Args:
        model: the LLaVA.
        front: what stands in front.
        sinks: free keys in the front, [b, f] bool.
        batch: what ``pack_row`` makes, stacked.
    """
    decoder = model.model.language_model
    used = int((batch["turn"] > 0).sum(1).max())
    hidden = torch.cat([front.embeddings, decoder.embed_tokens(batch["ids"][:, :used])], 1)
    behind = front.positions.amax(1, keepdim=True) + 1 + batch["offsets"][:, :used]
    positions = torch.cat([front.positions, behind], 1)
    free = functional.pad(sinks, (0, used))
    mask = packed_mask(batch["turn"][:, :used], front.length)
    return Stream(hidden, mask, decoder.rotary_emb(hidden, positions), free, front.length)
