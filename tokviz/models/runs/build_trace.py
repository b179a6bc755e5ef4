"""Builds the trace of a finished lane: its recorded tensors become the arrays of the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tokviz.matrix import Reduction
from tokviz.models.before.prefill_input import PromptRows
from tokviz.models.decoder.attention_rows import stacked
from tokviz.models.decoder.lane import Lane
from tokviz.models.prepared import Asked
from tokviz.models.runs.half_precision import half
from tokviz.models.tower.vision import Vision
from tokviz.trace import Trace
from tokviz.trace.stages import StageRecord
from tokviz.trace.to_file import layout_arrays


def attention_arrays(
    lane: Lane, entered: PromptRows, asked: Asked, t: int
) -> dict[str, np.ndarray]:
    """Return attention, attention_heads and mass over the original visual tokens.

    Attention on a merged token is split among its members by their weight. Layers without
    attention are NaN. Single heads are allocated only if they fit the size limit.
    """
    n, rows = asked.layout.n, lane.attention
    if rows is None or not rows.steps or not t:
        return {}
    rows.close_waiting()
    heads = next(iter(rows.mass.values()))[0].shape[0]
    fits = t <= rows.most
    single = np.zeros((t, lane.layers, heads, n) if fits else 0, np.float16)
    means = np.zeros((t, lane.layers, n), np.float16)
    mass = np.zeros((t, lane.layers, heads, len(asked.blocks)), np.float16)
    for layer in set(range(lane.layers)) - set(rows.means):  # layers without attention
        means[:, layer] = mass[:, layer] = np.nan
        if fits:
            single[:, layer] = np.nan
    for layers in lane.stages.alike(sorted(rows.means)):
        # one group of layers with the same rows at a time: one reduction and one mask for all
        alive = lane.stages.rows_at(layers[0]).cpu().numpy()
        whole = whole_reduction(lane, entered, layers[0])
        visual = as_slice(np.flatnonzero(entered.is_visual(alive)))

        def put(
            target: np.ndarray,
            kept: Mapping[int, Sequence[torch.Tensor]],
            layers: list[int] = layers,
            visual: Any = visual,
            whole: Reduction = whole,
        ) -> None:
            # [t, l, rows alive] -> visual rows [t, l, m] -> original tokens [t, l, n]
            part = as_slice(np.asarray(layers))
            if whole.is_selection and isinstance(part, slice):
                values = stacked(kept, layers, t, visual)
                target[:, part][..., as_slice(whole.cols)] = values.cpu().numpy()
            else:
                values = stacked(kept, layers, t, visual, torch.float32)
                target[:, layers] = half(whole.spread(values.cpu().numpy()))

        put(means, rows.means)
        mass[:, layers] = stacked(rows.mass, layers, t, slice(len(asked.blocks))).cpu().numpy()
        if fits:
            put(single, rows.heads)
    arrays = {"attention": means, "mass": mass}
    return arrays | ({"attention_heads": single} if fits else {})


def as_slice(numbers: np.ndarray) -> np.ndarray | slice:
    """Return ascending numbers as a slice if they follow each other: it is read without a copy."""
    if len(numbers) and numbers[-1] - numbers[0] + 1 == len(numbers):
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def whole_reduction(lane: Lane, entered: PromptRows, layer: int) -> Reduction:
    """Return what all stages up to a layer did to the visual tokens."""
    if not lane.stages.done:
        return entered.before
    return entered.before.then(lane.stages.reduction_at(layer))


def over_whole_prompt(
    lane: Lane, entered: PromptRows, asked: Asked, values: np.ndarray, layer: int
) -> np.ndarray:
    """Return values of the rows alive in a layer on the full prompt, [rows, ...] -> [s, ...].

    Members of a merged token get its value; removed tokens get 0.
    """
    alive = lane.stages.rows_at(layer).cpu().numpy()
    whole = whole_reduction(lane, entered, layer)
    out = np.zeros((len(asked.prompt_ids), *values.shape[1:]), values.dtype)
    is_visual, there = entered.is_visual(alive), whole.group >= 0
    out[entered.rows[alive[~is_visual]]] = values[~is_visual]
    out[asked.layout.position[there]] = values[is_visual][whole.group[there]]
    return out


def readout_arrays(lane: Lane, entered: PromptRows, asked: Asked, t: int) -> dict[str, np.ndarray]:
    """Return readout [q, k] and its word ids: the states times the head's rows of k words."""
    if not lane.recorded.states or lane.last_row_only:
        return {}
    words = readout_words(lane, entered, asked, t)
    weight = lane.family.head_weight(lane.model)[torch.as_tensor(words.astype(np.int64))]

    def read(states: torch.Tensor) -> torch.Tensor:
        logits = (states @ weight.to(states.dtype).T).float()
        return lane.family.cap_logits(lane.model, logits)

    # One product per step, so that rounding equals that of the run; one transfer for all.
    every = torch.cat([read(state) for state in lane.recorded.states[: max(t, 1)]]).cpu().numpy()
    count = len(lane.recorded.states[0])
    prompt = over_whole_prompt(lane, entered, asked, every[:count], lane.layers - 1)
    return {
        "readout_ids": words,
        "readout": np.concatenate([prompt, every[count:]]).astype(np.float32),
    }


def readout_words(lane: Lane, entered: PromptRows, asked: Asked, t: int) -> np.ndarray:
    """Return the ids of the words of prompt, answer and first guess, ascending, int32 [k]."""
    guess = first_guess(lane, entered, asked)
    others = lane.ids[:t] if guess is None else [*lane.ids[:t], guess]
    words = np.unique(np.concatenate([asked.prompt_ids, np.asarray(others, np.int32)]))
    placeholder = lane.family.visual_token_id(lane.model, asked.prompt_ids)
    return words[words != placeholder].astype(np.int32)


def first_guess(lane: Lane, entered: PromptRows, asked: Asked) -> int | None:
    """Return the word that the model would say at the first row of the user's own words.

    TAM's official code explains that row with it. None without a lens: it takes a product with the
    whole head, as the lens does.
    """
    if not lane.capture.lens or not lane.recorded.states:
        return None
    rows = entered.rows[lane.stages.rows_at(lane.layers - 1).cpu().numpy()]
    first = np.flatnonzero(np.isin(rows, asked.own_rows[:1]))
    if not len(first):
        return None
    state = lane.recorded.states[0][int(first[0])]
    return int(lane.family.word_logits(lane.model, state).argmax())


def sink_arrays(lane: Lane, entered: PromptRows, asked: Asked) -> dict[str, np.ndarray]:
    """Return sink_dims and sink_phi; no array if the model has no sink dimensions."""
    recorded = sorted(lane.recorded.sinks)
    if not recorded:
        return {}
    phi = np.zeros((len(recorded), len(asked.prompt_ids)), np.float16)
    for layers in lane.stages.alike(recorded):
        # [l, rows alive] -> [rows alive, l] -> [s, l]
        values = lane.recorded.phi(layers, lane.device).cpu().numpy().T
        placed = over_whole_prompt(lane, entered, asked, values, layers[0])
        phi[np.searchsorted(recorded, layers)] = half(placed.T)
    return {"sink_dims": lane.sink_dims.cpu().numpy().astype(np.int32), "sink_phi": phi}


def tower_arrays(vision: Vision, heads_bytes: int) -> dict[str, np.ndarray]:
    """Return [CLS] or received attention and norms per visual token and tower layer.

    Heads are left out beyond `heads_bytes`. A token of several patches has the sum of their
    attention and the mean of their norms; newline tokens have 0. [CLS] attention that a method
    recorded in only some layers is left out.
    """
    attention, norms = vision.sources.share, vision.sources.mean

    def per_token(
        layers: dict[int, torch.Tensor], by: Callable[[torch.Tensor], torch.Tensor]
    ) -> np.ndarray:
        # [rows, l, ..., patches] -> [l, ..., tokens]
        every = torch.stack([layers[i].float() for i in sorted(layers)], 1)
        return by(every).cpu().numpy()

    arrays: dict[str, np.ndarray] = {}
    whole = {name for name, layers in vision.layers.items() if len(layers) == vision.blocks}
    if vision.blocks and "cls_attn" in whole:
        heads = per_token(vision.layers["cls_attn"], attention)
        arrays["cls_attention"] = half(heads.mean(1))
        if heads.size * 2 <= heads_bytes:
            arrays["cls_attention_heads"] = half(heads)
    elif received := vision.layers.get("recv_attn"):
        arrays["received_attention"] = half(per_token(received, attention))
        arrays["received_layers"] = np.asarray(sorted(received), np.int32)
    if vision.similarity:
        similarity = per_token(vision.similarity, norms)
        arrays["cls_similarity"] = half(similarity)
    if vision.norms:
        arrays["feature_norm"] = per_token(vision.norms, norms).astype(np.float32)
    return arrays


def prompt_arrays(asked: Asked) -> dict[str, np.ndarray]:
    """Return the arrays of the prompt: ids, rows of the user's words, of markers, the layout."""
    arrays = {"prompt_ids": asked.prompt_ids, "own_rows": asked.own_rows}
    marks = {"mark_rows": asked.mark_rows} if len(asked.mark_rows) else {}
    return arrays | marks | layout_arrays(asked.layout)


def decode_set_arrays(lane: Lane, entered: PromptRows, t: int) -> dict[str, np.ndarray]:
    """Return decode_sets [t, n], where each word of the answer chose its tokens."""
    by_word = lane.stages.by_word
    if by_word is None or not by_word.sets or not t:
        return {}
    whole, n = entered.before, entered.before.n
    sets = np.stack([np.ones_like(by_word.sets[0]), *by_word.sets])[:t]  # [t, m]
    found = np.zeros((t, n), np.float16)
    there = whole.group >= 0
    found[: len(sets), there] = sets[:, whole.group[there]]
    return {"decode_sets": found}


def answer_arrays(lane: Lane, t: int) -> dict[str, np.ndarray]:
    """Return the ids of the answer, their probabilities, and the most probable candidates."""
    arrays = {
        "answer_ids": np.asarray(lane.ids[:t], np.int32),
        "answer_prob": np.asarray(lane.predictions.probabilities()[:t], np.float32),
        "answer_entropy": np.asarray(lane.predictions.entropies()[:t], np.float32),
    }
    if t:
        ids, probabilities = (one[:t].cpu().numpy() for one in lane.predictions.candidates())
        arrays["candidate_ids"] = ids.astype(np.int32)
        arrays["candidate_prob"] = probabilities
    return arrays


def build_trace(
    lane: Lane,
    entered: PromptRows,
    asked: Asked,
    others: dict[str, np.ndarray],
    stages: Sequence[StageRecord],
    info: dict[str, Any],
    words: tuple[Sequence[str], Sequence[Sequence[str]], str, dict[int, str]],
    timings: dict[str, float],
    notes: Sequence[str],
    **more: Any,
) -> Trace:
    """Return the trace of a lane.

    Args:
        lane: the finished lane.
        entered: the rows that entered it.
        asked: prompt, layout and images.
        others: arrays of `tower_arrays`, of the full image, and of `state_arrays`.
        stages: every stage before layer 0; those inside the model are added here.
        info: facts about the model.
        words: answer tokens, candidate tokens, the whole answer as text, and the text of further
            token ids.
        timings: seconds by name.
        notes: sentences for the user.
        **more: further fields of a trace.
    """
    answer_tokens, candidate_tokens, answer, texts = words
    t = len(answer_tokens)
    all_stages = (*stages, *lane.stages.records())
    notes = [*notes, *(note for stage in all_stages for note in stage.reduction.notes)]
    return Trace(
        prompt=asked.prompt,
        answer=answer,
        model=info,
        layout=asked.layout,
        prompt_tokens=asked.prompt_tokens,
        answer_tokens=tuple(answer_tokens),
        arrays={
            **prompt_arrays(asked),
            **answer_arrays(lane, t),
            **decode_set_arrays(lane, entered, t),
            **attention_arrays(lane, entered, asked, t),
            **readout_arrays(lane, entered, asked, t),
            **sink_arrays(lane, entered, asked),
            **others,
        },
        candidate_tokens=tuple(tuple(c) for c in candidate_tokens),
        words=texts,
        stages=all_stages,
        images=asked.previews,
        timings=timings,
        kv_lengths=tuple(lane.kv()[1]),
        notes=tuple(dict.fromkeys(notes)),
        **more,
    )
