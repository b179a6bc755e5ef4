"""Arrays of a trace that are computed from the states of the prompt and the answer."""

from __future__ import annotations

import numpy as np
import torch

from tokviz.models.answer_text import AnswerText
from tokviz.models.decoder.lane import Lane
from tokviz.models.decoder.prompt_records import stacked_layers
from tokviz.models.families.parts import final_norm
from tokviz.models.prepared import Asked
from tokviz.models.runs.build_trace import (
    PromptRows,
    first_guess,
    over_whole_prompt,
    readout_words,
)
from tokviz.models.runs.half_precision import half

TOKEN_CHUNK = 64
"Visual tokens whose distribution over the whole vocabulary is in memory at once."


def state_arrays(lane: Lane, entered: PromptRows, asked: Asked, t: int) -> dict[str, np.ndarray]:
    """Return the arrays for which the lane recorded states."""
    arrays = {
        **final_arrays(lane, entered, asked, t),
        **lens_arrays(lane, entered, asked, t),
    }
    records = lane.prompt_records
    if records.flow:
        count = len(asked.blocks)
        arrays["flow"] = half(stacked_layers(records.flow, lane.layers)[:, :count, :count])
    if records.means:
        arrays["layer_means"] = stacked_layers(records.means, lane.layers)
        ranks = [records.ranks[i] for i in sorted(records.ranks)]
        arrays["visual_rank"] = np.array(ranks, np.float32)
    return arrays


def final_arrays(lane: Lane, entered: PromptRows, asked: Asked, t: int) -> dict[str, np.ndarray]:
    """Return the arrays of the last hidden states: last_state, state_similarity, own_guess."""
    if not lane.recorded.states:
        return {}
    prompt = lane.recorded.states[0]
    last = {"last_state": prompt[-1].float().cpu().numpy()}
    if lane.last_row_only:
        return last
    chosen = torch.stack([state[-1] for state in lane.recorded.states[:t]]) if t else prompt[:0]
    cosines = unit(prompt.float()) @ unit(chosen.float()).T  # [rows alive, t]
    spread = over_whole_prompt(lane, entered, asked, cosines.cpu().numpy(), lane.layers - 1)
    arrays = {**last, "state_similarity": half(spread[asked.layout.position].T)}
    guess = first_guess(lane, entered, asked)
    if guess is not None:
        arrays["own_guess"] = np.full(len(asked.own_rows), -1, np.int32)
        arrays["own_guess"][0] = guess
    return arrays


def lens_arrays(lane: Lane, entered: PromptRows, asked: Asked, t: int) -> dict[str, np.ndarray]:
    """Return the logit lens' most probable words at every visual token after each layer.

    The final norm is applied once to each layer's states. The peaks are maxima over the layers, for
    the words of prompt and answer. Removed tokens have word 0 with probability 0.
    """
    if not lane.prompt_records.lens:
        return {}
    words = torch.as_tensor(
        readout_words(lane, entered, asked, t).astype(np.int64), device=lane.device
    )
    found: list[tuple[np.ndarray, ...]] = []
    for layer, states in sorted(lane.prompt_records.lens.items()):
        parts = [lens_words(lane, chunk, words) for chunk in states.split(TOKEN_CHUNK)]
        joined = [torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True)]
        found.append(tuple(on_tokens(lane, entered, asked, one, layer) for one in joined))
    # [l, n, w], [l, n, w] and [l, n, k]
    ids, probability, of_words = (np.stack(one) for one in zip(*found, strict=True))
    return {
        "lens_ids": ids.astype(np.int32),
        "lens_prob": half(probability),
        "lens_peak": half(of_words.max(0)),
        "lens_peak_layer": of_words.argmax(0).astype(np.uint8),
    }


def lens_words(lane: Lane, states: torch.Tensor, words: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the best words [m, w], their probabilities [m, w], and those of `words` [m, k]."""
    normed = final_norm(lane.decoder)(states)
    probability = lane.family.word_logits(lane.model, normed).softmax(-1)
    best = probability.topk(min(lane.capture.lens, probability.shape[-1]))
    return best.indices, best.values, probability[:, words]


def on_tokens(
    lane: Lane, entered: PromptRows, asked: Asked, values: np.ndarray, layer: int
) -> np.ndarray:
    """Return values of the visual rows alive in a layer for all tokens, [m, ...] -> [n, ...]."""
    alive = lane.stages.rows_at(layer).cpu().numpy()
    image = entered.is_visual(alive) | (alive == entered.cls_row)
    full = np.zeros((len(alive), *values.shape[1:]), values.dtype)
    full[image] = values
    return over_whole_prompt(lane, entered, asked, full, layer)[asked.layout.position]


def word_texts(
    arrays: dict[str, np.ndarray], words: np.ndarray, said: AnswerText
) -> dict[int, str]:
    """Return the text of the given words and of the logit lens' words; {} without a logit lens."""
    if "lens_ids" not in arrays:
        return {}
    named = np.union1d(arrays["lens_ids"], words)
    return {int(token): said.token_text(int(token)) for token in named}


def unit(states: torch.Tensor) -> torch.Tensor:
    """Return rows scaled to length 1; rows of zeros stay zero."""
    return states / states.norm(dim=-1, keepdim=True).clamp_min(1e-12)
