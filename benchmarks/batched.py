"""Many questions answered at once, when nothing happens to visual tokens inside the language model.

The tower, the decision and the removal are the engine's own, picture by picture; only the language
model's work is put together, for prompts that are equally long after the removal.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from tokviz.models.family import Features
from tokviz.models.route import Arrived
from tokviz.models.run import end_tokens

MOST = 50
"""Prompts in one batch."""


def answers(vlm: Any, arrived: Sequence[Arrived], new_tokens: int) -> list[str]:
    """Return the greedy answer of each prompt, as `VLM.answer` would write it.

    Args:
        vlm: a loaded model.
        arrived: what enters layer 0, from `tokviz.models.route.route`; no stages inside.
        new_tokens: tokens after which an answer is cut.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(arrived):
        groups[one.input_ids.shape[1]].append(number)
    texts = [""] * len(arrived)
    for members in groups.values():
        for start in range(0, len(members), MOST):
            part = members[start : start + MOST]
            said = write(vlm, [arrived[i] for i in part], new_tokens)
            for number, text in zip(part, said, strict=True):
                texts[number] = text
    return texts


def write(vlm: Any, batch: Sequence[Arrived], new_tokens: int) -> list[str]:
    """Return the greedy answers of prompts of one length."""
    ids = torch.cat([one.input_ids for one in batch])
    positions = torch.cat([one.positions for one in batch], -2)
    features = vlm.family.encoder_outputs(
        Features(torch.cat([one.features.tokens for one in batch]))
    )
    cache = DynamicCache(config=vlm.model.config.get_text_config())
    ends, more = torch.tensor(sorted(end_tokens(vlm.model))), {"image": features}
    written, seen = [], ids.shape[1]
    given: dict[str, Any] = {"mm_encoder_outputs": more}
    for number in range(new_tokens):
        output = vlm.model(
            input_ids=ids,
            attention_mask=torch.ones(len(batch), seen + number, dtype=torch.long),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **given,
        )
        ids, given = output.logits[:, -1].float().argmax(-1, keepdim=True), {}
        positions = positions[..., -1:] + 1
        written.append(ids[:, 0])
        if torch.isin(torch.stack(written), ends).any(0).all():
            break
    return [spoken(vlm, row, ends) for row in torch.stack(written, 1)]


def spoken(vlm: Any, row: torch.Tensor, ends: torch.Tensor) -> str:
    """Return the text of a row of tokens up to its first end token."""
    stop = torch.isin(row, ends).nonzero()
    kept = row[: int(stop[0])] if len(stop) else row
    return vlm.tokenizer.decode(kept.tolist(), skip_special_tokens=True)
