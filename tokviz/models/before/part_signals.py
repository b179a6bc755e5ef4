"""The signals that a method gets: those of the tower, over the current tokens of one part."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tokviz.errors import MissingSignal
from tokviz.models.before.crops import crop_signals
from tokviz.models.before.first_layer import FIRST_LAYER_SIGNALS, first_layer_signals
from tokviz.models.before.picture import box_entropies
from tokviz.models.before.tokens_left import TokenPart, TokensLeft
from tokviz.models.before.why_missing import why_lacking
from tokviz.models.tower.record_signals import TOWER_SIGNALS
from tokviz.models.tower.vision import image_signals
from tokviz.plans import Step
from tokviz.reduction.method import Method, check_keep
from tokviz.reduction.signal_table import SIGNALS
from tokviz.reduction.signals import Signals
from tokviz.reduction.vflowopt import threshold_of, tower_importance

MADE_BEFORE = {
    "relevance": "The relevance map took a full answer and its backward passes; decide counts "
    "them.",
    "asked_yes": "Each frame or tile was asked about alone, a forward each; decide counts them.",
}
"""Signals that `Prepared` has when a plan asks for them, and what is said of their time."""
TOKEN_AXES = {"q": (-2,), "k": (-2,), "v": (-2,), "full_attn": (-2, -1)}
"""Axes of the tokens in signals; on them [CLS], if the tower has it, comes first."""


def part_signals(state: TokensLeft, step: Step, part: TokenPart) -> dict[str, Any]:
    """Return the signals that a method asks for, over the tokens of one part that are left.

    Raises:
        MissingSignal: a needed signal does not exist here; the message says why.
    """
    entry: Method = step.entry  # type: ignore[assignment]
    given = (
        tower_signals(state, part)
        | placed(state, entry, part)
        | {
            "text_llm": text_embeddings(state),
            "projector": lambda x: state.family.project(state.model, x),
        }
    )
    if entry.reads("patch_entropy", step.options):
        given |= grey_signals(state, part)
    if "text_clip" in entry.needs or entry.reads("text_clip", step.options):
        given |= clip_signals(state, given)
    if set(FIRST_LAYER_SIGNALS) & set(entry.needs):
        decoder = state.family.decoder(state.model)
        given |= first_layer_signals(decoder, given["text_llm"], state.features.tokens[part.tokens])
    for name in set(MADE_BEFORE) & set(entry.needs):
        if (made := getattr(state.prepared, name)) is not None:
            values, seconds = made
            given[name] = made_before(state, part, values, seconds, MADE_BEFORE[name])
    lacking = entry.missing({name for name, value in given.items() if value is not None})
    if lacking:
        raise MissingSignal(
            f"{entry.title} cannot run here: {why_lacking(state, part, lacking[0])}."
        )
    asked = {*entry.needs, *entry.optional, *entry.fallbacks.values(), "num_layers"}
    return {name: value for name, value in given.items() if name in asked}


def text_embeddings(state: TokensLeft) -> torch.Tensor:
    """Return the embedding rows of the prompt's text, [m, d]."""
    words = state.prepared.inputs["input_ids"][0]
    words = words[state.prepared.text_rows.to(words.device)]
    # with a device_map the tower may be on another GPU than the embeddings
    return state.model.get_input_embeddings()(words).to(state.pre.device)  # type: ignore[operator]


def grey_signals(state: TokensLeft, part: TokenPart) -> dict[str, Any]:
    """Return the pixels that the tower saw, or what the picture says of each token's grey levels.

    A whole grid of one tile has pixels of its own where the processor gives one picture per tile,
    which a tower that takes all of them as one sequence does not tell apart.
    """
    now = state.whole.position[part.tokens]
    inputs = state.prepared.inputs
    tile, pixels = state.layout.tiles[part.tiles[0]], inputs.get("pixel_values")
    whole = len(part.tiles) == 1 and len(now) == tile.rows * tile.cols
    joint = state.family.image_patches(state.model, inputs) is not None
    if pixels is not None and pixels.ndim == 4 and whole and not joint:
        return {"pixels": pixels[int(state.vision.sources.row[now[0]])].float()}
    return {"patch_entropy": box_entropies(state.prepared.asked, now)}


def clip_signals(state: TokensLeft, given: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return text_clip and img_clip; nothing, and a note, without CLIP's text side."""
    beside = state.prepared.clip
    clip = beside.text if beside else None
    if clip is None or not state.one_patch_each or clip.width != given["feats_pre"].shape[-1]:
        why = beside.why_not if beside else ""
        why = why or "a visual token here is not one patch of CLIP's"
        note = f"No relevance in CLIP's joint space: {why}."
        state.notes += [] if note in state.notes else [note]
        return {}
    at = state.pre.device
    texts = clip.text(state.prepared.asked.prompt).to(at)
    return {"text_clip": texts, "img_clip": clip.patches(given["feats_pre"]).to(at)}


def placed(state: TokensLeft, entry: Method, part: TokenPart) -> dict[str, Any]:
    """Return where the tokens lie among the crops; to one crop alone, only its padding is shown."""
    images = sorted({state.layout.tiles[i].image for i in part.tiles})
    crops = crop_signals(state.layout, images, state.whole.position[part.tokens])
    return {"unpad_mask": crops["unpad_mask"]} if entry.tiles == "each" else crops


def made_before(
    state: TokensLeft, part: TokenPart, values: np.ndarray, seconds: float, note: str
) -> torch.Tensor:
    """Return a signal of all tokens, made before the run, for the current tokens of a part.

    Args:
        state: the current tokens, whose time grows by that of the signal once.
        part: the tokens on which the method decides.
        values: [n], for every token of the prompt.
        seconds: that the signal took.
        note: a sentence about it.
    """
    if note not in state.notes:
        state.notes.append(note)
        state.decide_seconds += seconds
    return torch.as_tensor(values[state.whole.position[part.tokens]], device=state.pre.device)


def tower_signals(state: TokensLeft, part: TokenPart) -> dict[str, Any]:
    """Return the tower's signals of a part, reduced to the tokens that earlier steps kept."""
    before, now = state.before_steps(part), part.tokens
    signals = image_signals(state.vision, before, part.image)
    index = state.whole.position[now]
    if state.since.m == state.since.n:
        tiles = [state.layout.tiles[i] for i in part.tiles]
        whole = len(tiles) == 1 and len(now) == tiles[0].rows * tiles[0].cols
        grid = [tiles[0].rows, tiles[0].cols] if whole else None
        return {**signals, "index": index, "grid": grid}
    # both ascending: index of each current token among the part's tokens after the tower
    place = np.searchsorted(before, state.since.position[now])
    features = {
        "feats_pre": state.pre[now],
        "feats_post": state.features.tokens[now],
        "index": index,
    }
    cut = {name: gather(name, value, place, len(before)) for name, value in signals.items()}
    return cut | features


def gather(name: str, value: Any, place: np.ndarray, n: int) -> Any:
    """Return a signal over some of its n tokens; [CLS] stays, and so do signals without tokens.

    Args:
        name: a key of SIGNALS.
        value: an array, or one per tower layer.
        place: indices of the tokens.
        n: tokens of the signal, [CLS] not counted.
    """
    if isinstance(value, dict):
        return {layer: gather(name, one, place, n) for layer, one in value.items()}
    letters = SIGNALS[name].shape.split()
    axes = (letters.index("n") - len(letters),) if "n" in letters else TOKEN_AXES.get(name, ())
    if value is None:
        return value
    for axis in axes:
        # an axis longer than n has [CLS] in front, which stays
        skip = value.shape[axis] - n
        rows = np.concatenate([np.arange(skip), skip + place])
        value = value.index_select(axis, torch.as_tensor(rows, device=value.device))
    return value


def carried(state: TokensLeft, step: Step | None) -> dict[str, torch.Tensor]:
    """Return tower signals [m] that a method inside the language model asks for."""
    if step is None or step.entry is None:
        return {}
    found: dict[str, torch.Tensor] = {}
    if "llm_image" in step.entry.optional and len(state.layout.sizes) > 1:
        image = state.layout.image[state.whole.position].astype(np.int64)
        found["llm_image"] = torch.as_tensor(image, device=state.pre.device)
    if "llm_tower_map" in step.entry.needs and (made := tower_map(state, step)) is not None:
        found["llm_tower_map"] = made
    wanted = set(step.entry.fallbacks.values()) & set(TOWER_SIGNALS)
    layer = state.family.feature_layer(state.model)
    for part in state.parts() if wanted else []:
        signals = tower_signals(state, part)
        for name in wanted & set(signals):
            value = signals[name].get(layer)
            if value is not None:
                found.setdefault(name, value.new_zeros(*value.shape[:-1], state.whole.m))
                # [h, tokens of the part] into [h, m]; newlines keep 0
                found[name][..., torch.as_tensor(part.tokens, device=value.device)] = value
    return found


def tower_map(state: TokensLeft, step: Step) -> torch.Tensor | None:
    """Return the importance [m] that the tower gives to what is left; None without its maps.

    An earlier step of the same publication has it already: a merged token has the value of the
    one whose place it took. Else it is made here, crop by crop, as the crops attend.
    """
    earlier = state.scores.get(step.entry.rest)  # type: ignore[union-attr]
    if earlier is not None:
        values = np.nan_to_num(earlier[state.whole.position])
        return torch.as_tensor(values, device=state.pre.device)
    made = state.pre.new_zeros(state.whole.m, dtype=torch.float32)  # newlines keep 0
    share = min(check_keep(step.keep, state.layout.n) / state.layout.n, 1.0)
    for part in state.parts(by_tile=True):
        signals = tower_signals(state, part)
        if signals.get("full_attn") is None:
            return None
        maps = Signals({name: signals[name] for name in ("full_attn", "index", "num_layers")})
        score, _ = tower_importance(maps, -2, threshold_of(share))
        made[torch.as_tensor(part.tokens, device=made.device)] = score.to(made.device)
    return made
