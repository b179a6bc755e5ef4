"""The branch of contrastive decoding: a second lane with its own cache, or an early read-out.

The branch reads a changed prompt (a noised image, no image, a few tokens), and then every token
that the answer's lane writes. Attention edits of the answer's lane do not apply to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.mitigation import Contrast, FewTokens
from tokviz.models.before.prefill_input import PrefillInput
from tokviz.models.clock import now
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.families.family import Features
from tokviz.models.families.layer_kinds import cache_bytes
from tokviz.models.loaded import Loaded
from tokviz.models.not_finite import check_finite
from tokviz.models.tower.vision import Vision, image_signals
from tokviz.reduction.signals import Signals
from tokviz.trace.layout import PATCH, Layout


class ContrastBranch:
    """Combines the logits of an answer's lane with those of its branch, step by step."""

    def __init__(self, contrast: Contrast, answer: Lane, read: Callable[[], Lane | None]) -> None:
        """Read the branch's prompt.

        Args:
            contrast: how to combine the logits.
            answer: the lane that writes the answer, after its prefill.
            read: returns the branch's lane after its prefill; None for an early read-out.
        """
        self.contrast, self.answer = contrast, answer
        self.effects: list[tuple[bool, bool]] = []
        "Per token: were its probabilities changed, and is another word the most likely one?"
        began = now(answer.device)
        self.lane = read()
        self.prefill_seconds = now(answer.device) - began
        self.combine()

    def step(self, token: int) -> None:
        """Read a token that the answer's lane has written, and combine the next logits."""
        if self.lane is not None:
            self.lane.write(token)
            self.lane.step()
        self.combine()

    def combine(self) -> None:
        """Replace the logits of the answer's lane by the combined ones."""
        own, step = self.answer.logits, len(self.answer.ids) + 1
        other = self.answer.early_logits() if self.lane is None else self.lane.logits
        check_finite(self.answer.model, own)  # type: ignore[arg-type]
        made = self.contrast.combine(own, other, step)  # type: ignore[arg-type]
        before, after = own.log_softmax(-1), made.log_softmax(-1)  # type: ignore[union-attr]
        moved = not torch.allclose(before, after, atol=1e-5, rtol=0)
        self.effects.append((moved, bool(before.argmax() != after.argmax())))
        self.answer.next_token.take(made)

    def effect(self, title: str, tokens: int) -> str:
        """Say what came of it in the first so many tokens."""
        moved, switched = (sum(kind) for kind in zip(*self.effects[:tokens], strict=True))
        if not moved:
            return f"{title} changed no probability in this answer: what follows is the plain one."
        return (
            f"{title} changed the probabilities at {moved} of {min(tokens, len(self.effects))} "
            f"tokens, and the most likely word at {switched}."
        )

    @property
    def decode_seconds(self) -> float:
        """Time of the branch's decode steps."""
        return self.lane.decode_seconds if self.lane else 0.0

    @property
    def kv_bytes(self) -> int:
        """Bytes in the branch's cache."""
        return cache_bytes(self.lane.cache)[0] if self.lane else 0


def few_tokens(
    branch: FewTokens, vision: Vision, layout: Layout, prefill_input: PrefillInput, label: str
) -> list[int]:
    """Return the branch's visual tokens among the m that enter layer 0, as numbers 0 to m - 1.

    Args:
        branch: how to score tokens, and how many to take of each image.
        vision: the tower's run on the full image.
        layout: of all visual tokens.
        prefill_input: the input of the answer's own lane.
        label: the label of the answer's plan, for the message.

    Raises:
        InputError: the branch would take all of the m tokens.
    """
    whole = prefill_input.prompt_rows.before
    picked: list[int] = []
    for image in range(len(layout.sizes)):
        tokens = np.flatnonzero((layout.image == image) & (layout.kind == PATCH))
        given = image_signals(vision, tokens, image)
        known = {name: given[name] for name in (*branch.needs, "num_layers") if name in given}
        score = branch.score(Signals({**known, "index": tokens})).cpu().numpy()
        of_token = dict(zip(tokens.tolist(), score.tolist(), strict=True))
        # a merged token has the score of its representative, `position`
        here = [row for row, token in enumerate(whole.position.tolist()) if token in of_token]
        here.sort(key=lambda row: (-of_token[int(whole.position[row])], row))
        picked += here[: branch.count]
    if len(picked) >= whole.m:
        raise InputError(
            f"{label}: {len(picked)} tokens for the contrast, but only {whole.m} visual tokens are "
            "kept; choose fewer for the contrast, or keep more."
        )
    return sorted(picked)


def short_lane(loaded: Loaded, prefill_input: PrefillInput, picked: list[int]) -> Lane:
    """Return a lane after the prefill of the prompt with only these visual tokens, renumbered.

    Args:
        loaded: the model.
        prefill_input: the input of the answer's own lane.
        picked: numbers of visual tokens among those of `prefill_input`, ascending; [] = no image.
    """
    family, model = loaded.family, loaded.model
    device = prefill_input.input_ids.device
    visual = torch.as_tensor(prefill_input.prompt_rows.visual, device=device)
    stays = prefill_input.input_ids[0]  # [rows]
    stays = stays != family.visual_token_id(model, stays)  # text rows
    own = torch.as_tensor(picked, dtype=torch.long, device=device)
    stays[visual[own]] = True
    rows = stays.nonzero()[:, 0]
    positions = prefill_input.positions[..., :1] + torch.arange(len(rows), device=device)
    decoder = family.decoder(model)
    stages = DecoderStages(
        decoder,
        None,
        [],
        torch.searchsorted(rows, visual[own]),  # rows of the full sequence -> of the short one
        len(rows),
        np.asarray(picked, np.int64),
        int(positions.max()) + 1,
        family.head_weight(model),
        rotary=partial(family.rotary, decoder),
    )
    lane = Lane(family, model, stages, positions, Capture.nothing())
    # a projected [CLS] state, if there is one, comes before the m visual tokens
    lead = len(prefill_input.features.tokens) - prefill_input.prompt_rows.before.m
    tokens, extra = prefill_input.features
    features = Features(tokens[lead + own], tuple(one[lead + own] for one in extra))
    further = {name: value[:, rows] for name, value in prefill_input.row_inputs.items()}
    lane.prefill(prefill_input.input_ids[:, rows], features, further)
    return lane
