"""Has model 2 attention sinks? On <s>, on visual tokens, and what they are good for.

The dimensions are searched for (``tokviz.sink_dims``), not assumed; the threshold of phi is the
lab's. A visual sink is a visual token above it in at least half of the layers from the third on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from embedded.assemble import assemble
from embedded.exams import WHOLE, Examinee, batches, gather, overall
from embedded.row_stream import begin
from embedded.sinks import leaning
from tokviz.sink_dims import find_sink_dims, sink_phi, sink_threshold

SCENES = 8
"""Scenes whose attention is looked at."""
FIRST_LAYER = 2
"""Sinks are looked for from here on, as in the lab."""


@dataclass
class Look:
    """What one prompt showed."""

    states: list[Tensor]
    """Input of every layer, [t, d] each."""
    weights: Tensor
    """Attention, mean over heads, [layers, t, t]."""
    visual: Tensor
    """Which tokens are visual, [t] bool."""


@torch.no_grad()
def looks(examinee: Examinee, scenes: int = SCENES) -> list[Look]:
    """Read one question about each of some scenes with eager attention."""
    decoder = examinee.model.model.language_model
    found = []
    for item in batches(examinee, scenes):
        made = assemble(examinee.model, examinee.tokenizer, item, WHOLE)
        for row in range(len(item["ids"])):
            first = int((item["turn"][row] == 1).sum())
            text = {key: item[key][row : row + 1, :first] for key in ("ids", "turn", "offsets")}
            front = type(made.front)(
                made.front.embeddings[row : row + 1], made.front.positions[row : row + 1],
                made.front.visual,
            )  # fmt: skip
            stream = begin(examinee.model, front, made.sinks[row : row + 1], text)
            decoder.set_attn_implementation("eager")
            out = decoder(
                inputs_embeds=stream.hidden, output_attentions=True, output_hidden_states=True
            )
            decoder.set_attn_implementation("sdpa")
            visual = torch.nn.functional.pad(front.visual, (0, first))
            weights = torch.stack([a[0].mean(0) for a in out.attentions])
            found.append(Look([h[0] for h in out.hidden_states[:-1]], weights, visual))
    return found


def report(examinee: Examinee, scenes: int = SCENES) -> dict:
    """Measure sinks of all kinds."""
    seen = looks(examinee, scenes)
    dims = find_sink_dims([look.states for look in seen])
    bos = torch.stack([look.weights[:, 1:, 0].mean(1) for look in seen]).mean(0)
    found = {
        "sink_dims": list(dims),
        "bos_by_layer": [round(v, 3) for v in bos.tolist()],
        "layers_with_40_percent": round((bos >= 0.4).float().mean().item(), 3),
    }
    if dims:
        found |= visual_report(seen, dims)
    return found | removal(examinee, scenes)


def visual_report(seen: list[Look], dims: tuple[int, ...]) -> dict:
    """Count visual sinks, and the attention of text to the image that lands on them."""
    counts, shares = [], []
    for look in seen:
        threshold = sink_threshold(look.states[0].shape[1])
        layers = look.states[FIRST_LAYER:]
        above = torch.stack([torch.from_numpy(sink_phi(s, dims) > threshold) for s in layers])
        sinks = (above.float().mean(0) >= 0.5) & look.visual
        text = ~look.visual
        text[: int(look.visual.nonzero()[0])] = False
        image = look.weights[FIRST_LAYER:][:, text]
        on_image, on_sinks = image[..., look.visual].sum(-1), image[..., sinks].sum(-1)
        counts.append(int(sinks.sum()))
        shares.append((on_sinks.sum() / on_image.sum()).item())
    return {
        "visual_sinks": round(sum(counts) / len(counts), 2),
        "share_of_image_attention": round(sum(shares) / len(shares), 4),
    }


def removal(examinee: Examinee, scenes: int, count: int = 8) -> dict:
    """Compare answers with all visual tokens and without those that lean to the sink most."""
    whole, without = [], []
    for item in batches(examinee, scenes):
        lean = leaning(examinee.features(item))
        stay = lean.argsort(1)[:, : lean.shape[1] - count].sort(1).values
        whole.append(examinee.marks(item))
        without.append(examinee.marks(item, keep=stay))
    return {
        "accuracy": overall(gather(iter(whole))),
        "accuracy_without_visual_sinks": overall(gather(iter(without))),
    }
