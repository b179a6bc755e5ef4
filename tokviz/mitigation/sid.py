"""SID: contrast with what the model says from the visual tokens that it attends to least."""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.contrasting import subtract
from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, Contrast, EditContext, EditedAttention, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch

PUBLISHED_SHARE = 100 / 576


@mitigation(
    "sid",
    title="SID",
    kinds=("contrast",),
    paper="https://arxiv.org/abs/2408.02032",
    year=2024,
    code="huofushuo/SID",
    licence="none stated",
    depths=(32, 40),
)
def sid(
    *,
    alpha: Annotated[float, Range(0, 5, 0.1)] = 1.0,
    beta: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    layer: Annotated[int, Range(1, 200)] = 2,
    count: Annotated[int | None, Range(1, 4096)] = None,
) -> Recipe:
    """Contrast with the answer from the least attended tokens: (1 + alpha) z - alpha z'.

    Self-introspective decoding. The second run has all visual tokens in the layers before `layer`;
    from it on no row attends to any but the `count` tokens that the last row attended to least in
    the layer before, mean over heads. They are chosen anew for every token of the answer. By
    default these are 100 of 576, in proportion. Words less probable than beta times the best are
    excluded. alpha = 0 is the plain answer. A reduction method before the language model acts in
    both runs; one inside it only in the answer's own. Extra cost: one more prefill, and two decoder
    steps per token.
    """
    contrast = Contrast(
        EditedAttention(
            AttentionEdit(LeastAttended(layer, count), rows="all", first_layer=0, hides=True)
        ),
        lambda own, other, step: subtract(own, other, alpha, beta),
    )
    return Recipe(contrast=contrast if alpha > 0 else None)


class LeastAttended:
    """An edit that hides all visual keys but the least attended ones, from a layer on."""

    def __init__(self, layer: int, count: int | None) -> None:
        """Args: `layer` from which keys are hidden; `count` tokens that stay, None = published."""
        self.layer, self.count = layer, count
        self.hidden: torch.Tensor | None = None
        "bool [keys of a whole cache], keys that are hidden in this forward."
        self.prompt: torch.Tensor | None = None
        "bool [rows of the prompt], visual tokens."
        self.written = 0

    def __call__(self, logits: torch.Tensor, context: EditContext) -> torch.Tensor | None:
        """Choose the keys in the layer before; hide the others from `layer` on."""
        if context.layer < self.layer:
            if context.layer == self.layer - 1:
                # rows come in chunks, so the last call of this layer has the last row
                self.choose(logits[:, -1].softmax(-1).mean(0), context)
            return None
        hidden = self.hidden[-logits.shape[-1] :]  # type: ignore[index]
        shown = logits.masked_fill(hidden, -torch.inf)
        # an image at the very start leaves its own first rows without any key: nobody reads them
        alone = ~torch.isfinite(shown.amax(-1, keepdim=True))
        return torch.where(alone, logits, shown).softmax(-1)

    def choose(self, attention: torch.Tensor, context: EditContext) -> None:
        """Choose by the last row's attention [k]; a key outside a sliding window got none."""
        if context.prefill:
            self.prompt, self.written = context.image, 0
        else:
            self.written += 1
        image = torch.cat([self.prompt, self.prompt.new_zeros(self.written)])  # type: ignore
        padded = attention.new_zeros(len(image))
        padded[-len(attention) :] = attention
        self.hidden = self.chosen(padded, image)

    def chosen(self, attention: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return the visual keys that are hidden, bool [k], from the last row's attention [k]."""
        tokens = image.nonzero()[:, 0]
        published = max(round(PUBLISHED_SHARE * len(tokens)), 1)
        count = min(published if self.count is None else self.count, len(tokens))
        least = attention[tokens].argsort(stable=True)[:count]
        hidden = image.clone()
        hidden[tokens[least]] = False
        return hidden
