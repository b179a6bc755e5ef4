"""The other side of contrastive decoding: a second lane with its own cache, or an early read-out.

It reads what the mitigation says (a noised image, no image, a few tokens), then every token that
the first lane writes. Attention edits of the first lane never touch it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.mitigation import Contrast, EarlyExit, FewTokens, NoisedImage
from tokviz.models.clock import now
from tokviz.models.decoder.lane import Lane, cache_bytes
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.families.family import Features
from tokviz.models.tower.vision import image_signals
from tokviz.plans import Plan
from tokviz.reduction.signals import Signals
from tokviz.trace.layout import PATCH

if TYPE_CHECKING:
    from tokviz.models.runs.run import Run


class SecondRun:
    """Combines the logits of a run's lane with those of its branch, step by step."""

    def __init__(self, run: Run, contrast: Contrast) -> None:
        """Read the branch's prompt; the run has read its own."""
        self.run, self.contrast = run, contrast
        device = run.lane.device
        began = now(device)
        self.lane: Lane | None = self.read()
        self.prefill_seconds = now(device) - began
        self.combine()

    def read(self) -> Lane | None:
        """Return the branch's lane, its prompt read; None for an early read-out."""
        branch = self.contrast.branch
        if isinstance(branch, EarlyExit):
            return None
        if isinstance(branch, NoisedImage):
            return noised_lane(self.run, branch)
        chosen = few_tokens(self.run, branch) if isinstance(branch, FewTokens) else []
        return short_lane(self.run, chosen)

    def step(self, token: int) -> None:
        """Let the branch read a token that the run has written, and combine again."""
        if self.lane is not None:
            self.lane.write(token)
            self.lane.step()
        self.combine()

    def combine(self) -> None:
        """Put the combined logits in the place of the lane's own."""
        lane = self.run.lane
        own, step = lane.logits, len(lane.ids) + 1
        other = lane.early_logits() if self.lane is None else self.lane.logits
        lane.logits = self.contrast.combine(own, other, step)  # type: ignore[arg-type]

    @property
    def decode_seconds(self) -> float:
        """Time of the branch's decode steps."""
        return self.lane.decode_seconds if self.lane else 0.0

    @property
    def kv_bytes(self) -> int:
        """Bytes in the branch's cache."""
        return cache_bytes(self.lane.cache)[0] if self.lane else 0


def noised_lane(run: Run, branch: NoisedImage) -> Lane:
    """Return a lane that has read the same prompt, by the same steps, with a noised image."""
    vlm, inputs = run.vlm, run.prepared.inputs
    noised = {**inputs, "pixel_values": branch.noise(inputs["pixel_values"])}
    prepared = replace(run.prepared, inputs=noised)
    plan = Plan(run.plan.steps)
    shared = vlm.encode(prepared, [plan], Capture.nothing())
    other = type(run)(vlm, prepared, shared, {}, plan, Capture.nothing())
    other.read_prompt()
    return other.lane


def few_tokens(run: Run, branch: FewTokens) -> list[int]:
    """Return the branch's tokens among those that are left, numbered as they enter layer 0."""
    layout, whole = run.prepared.asked.layout, run.arrived.prompt_rows.before
    chosen: list[int] = []
    for image in range(len(layout.sizes)):
        tokens = np.flatnonzero((layout.image == image) & (layout.kind == PATCH))
        given = image_signals(run.shared, tokens, image)
        known = {name: given[name] for name in (*branch.needs, "num_layers") if name in given}
        score = branch.score(Signals({**known, "index": tokens})).cpu().numpy()
        of_token = dict(zip(tokens.tolist(), score.tolist(), strict=True))
        here = [row for row, token in enumerate(whole.position.tolist()) if token in of_token]
        here.sort(key=lambda row: (-of_token[int(whole.position[row])], row))
        chosen += here[: branch.count]
    if len(chosen) >= whole.m:
        raise InputError(
            f"{run.view.label}: {len(chosen)} tokens for the second run, but only {whole.m} visual "
            "tokens are left; take fewer, or keep more."
        )
    return sorted(chosen)


def short_lane(run: Run, chosen: list[int]) -> Lane:
    """Return a lane that has read the prompt with only these visual tokens, renumbered.

    Args:
        run: a run that has read its prompt.
        chosen: numbers of visual tokens as they entered layer 0, ascending; [] = without image.
    """
    arrived, family, model = run.arrived, run.vlm.family, run.vlm.model
    device = arrived.input_ids.device
    visual = torch.as_tensor(arrived.prompt_rows.visual, device=device)
    stays = arrived.input_ids[0] != family.image_token_id(model)
    picked = torch.as_tensor(chosen, dtype=torch.long, device=device)
    stays[visual[picked]] = True
    rows = stays.nonzero()[:, 0]
    start = arrived.positions[..., :1]
    positions = start + torch.arange(len(rows), device=device)
    decoder = family.decoder(model)
    stages = DecoderStages(
        decoder,
        None,
        [],
        torch.searchsorted(rows, visual[picked]),
        len(rows),
        np.asarray(chosen, np.int64),
        int(positions.max()) + 1,
        family.head_weight(model),
        rotary=partial(family.rotary, decoder),
    )
    lane = Lane(family, model, stages, positions, Capture.nothing())
    lead = len(arrived.features.tokens) - arrived.prompt_rows.before.m  # [CLS] state put first
    tokens, extra = arrived.features
    features = Features(tokens[lead + picked], tuple(one[lead + picked] for one in extra))
    further = {name: value[:, rows] for name, value in arrived.row_inputs.items()}
    lane.prefill(arrived.input_ids[:, rows], features, further)
    return lane
