"""Branches of contrastive decoding that read the same rows at the same places as the answer."""

from __future__ import annotations

from functools import partial

import torch

from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.mitigation import AttentionEdit, EditContext, EditedAttention, ZeroedTokens
from tokviz.models.before.prefill_input import PrefillInput
from tokviz.models.decoder.attention_edits import Editing
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.remove_tokens import DecoderStages
from tokviz.models.families.family import Features
from tokviz.models.loaded import Loaded


def same_tokens_lane(
    loaded: Loaded, prefill_input: PrefillInput, branch: EditedAttention | ZeroedTokens
) -> Lane:
    """Return the branch's lane after its prefill.

    A method inside the language model does not act in it: all tokens that enter layer 0 stay.

    Raises:
        InputError: attention reads merged tokens at several places, which a branch does not.
    """
    if prefill_input.stages.unmerged is not None:
        raise InputError(
            "this mitigation reads the prompt again with the same tokens, and the plan's method "
            "reads each merged token at several places. Choose another method or mitigation."
        )
    if isinstance(branch, EditedAttention):
        return _read(loaded, prefill_input, prefill_input.features, branch.edit)
    away = branch.choose(last_row_attention(loaded, prefill_input))
    features = zeroed(prefill_input.features, away)
    return _read(loaded, prefill_input, features, None)


def last_row_attention(loaded: Loaded, prefill_input: PrefillInput) -> torch.Tensor:
    """Return the last row's attention to the m visual tokens, mean over heads, float [l, m].

    It takes a prefill.
    """
    found: list[torch.Tensor] = []

    def keep(logits: torch.Tensor, context: EditContext) -> None:
        found.append(logits[:, -1].softmax(-1).mean(0)[context.image])

    _read(loaded, prefill_input, prefill_input.features, AttentionEdit(keep, first_layer=0))
    return torch.stack(found)


def zeroed(features: Features, away: torch.Tensor) -> Features:
    """Return features with zeros for some of the m visual tokens; a [CLS] in front stays.

    Args:
        features: of m visual tokens, or of one more with a projected [CLS] state in front.
        away: bool [m].
    """
    stays = ~away.to(features.tokens.device)
    lead = len(features.tokens) - len(stays)
    tokens = features.tokens.clone()
    tokens[lead:] *= stays[:, None]
    return Features(tokens, tuple(one * stays[:, None] for one in features.extra))


def _read(
    loaded: Loaded, prefill_input: PrefillInput, features: Features, edit: AttentionEdit | None
) -> Lane:
    """Return a lane after the prefill of the answer's own rows, without stages."""
    family, model, own = loaded.family, loaded.model, prefill_input.stages
    decoder = family.decoder(model)
    stages = DecoderStages(
        decoder,
        None,
        [],
        own.visual_at_start,
        own.length,
        prefill_input.prompt_rows.before.position,
        own.next_position,
        own.head,
        rotary=partial(family.rotary, decoder),
        windows=own.windows,
        cap=own.cap,
        question=own.question,
    )
    width = model.config.get_text_config().hidden_size
    editing = Editing(edit, stages, width) if edit else None
    lane = Lane(family, model, stages, prefill_input.positions, Capture.nothing(), editing=editing)
    lane.prefill(prefill_input.input_ids, features, prefill_input.row_inputs)
    return lane
