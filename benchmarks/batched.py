"""Many questions answered at once, when nothing happens to visual tokens inside the language model.

The tower, the decision and the removal are the engine's own, picture by picture; only the language
model's work is put together, for prompts that are equally long after the removal.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from tokviz.models.answer_text import end_tokens
from tokviz.models.before.prefill_input import PrefillInput
from tokviz.models.families.family import Features

MOST = 16
"""Prompts in one batch: more are no faster on a CPU, whose caches they leave."""


def fits(one: PrefillInput) -> bool:
    """Return whether a prompt can be answered in a batch: plain tokens, nothing to do inside."""
    stages = one.stages
    inside = stages.unmerged or stages.members or stages.eviction or stages.stages
    return not (inside or one.row_inputs or one.features.extra)


def answers(vlm: Any, prefill_inputs: Sequence[PrefillInput], new_tokens: int) -> list[str]:
    """Return the greedy answer of each prompt, as `VLM.answer` would write it.

    Args:
        vlm: a loaded model.
        prefill_inputs: what enters layer 0, from `make_prefill_input`; no stages inside.
        new_tokens: tokens after which an answer is cut.

    Raises:
        ValueError: a prompt needs the engine's own work inside the language model.
    """
    if not all(map(fits, prefill_inputs)):
        raise ValueError("a prompt that needs work in the language model is answered alone.")
    groups: dict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(prefill_inputs):
        groups[one.input_ids.shape[1]].append(number)
    found: dict[int, str] = {}
    for members in groups.values():
        for start in range(0, len(members), MOST):
            part = members[start : start + MOST]
            said = write(vlm, [prefill_inputs[i] for i in part], new_tokens)
            found |= zip(part, said, strict=True)
    return [found[number] for number in range(len(prefill_inputs))]


def write(vlm: Any, batch: Sequence[PrefillInput], new_tokens: int) -> list[str]:
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
        logits = output.logits[:, -1].float()
        ids, given = logits.argmax(-1, keepdim=True), {}
        positions = positions[..., -1:] + 1
        written.append(ids[:, 0])
        if torch.isin(torch.stack(written), ends).any(0).all():
            break
    return [spoken(vlm, row, ends) for row in torch.stack(written, 1)]


def spoken(vlm: Any, row: torch.Tensor, ends: torch.Tensor) -> str:
    """Return what a row of tokens says up to its first end token."""
    stop = torch.isin(row, ends).nonzero()
    kept = (row[: int(stop[0])] if len(stop) else row).tolist()
    return vlm.tokenizer.decode(kept, skip_special_tokens=True)
