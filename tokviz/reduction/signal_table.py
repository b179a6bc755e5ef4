"""Every signal that a method may read: its shape and its meaning.

The checks of signals, their recording in a run and the documentation use this table. Shape letters:
n tokens of the decision, h heads, d width, m text tokens, p crops without the thumbnail, l layers
of the language model, a any other length.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Signal:
    """One named array."""

    shape: str
    "Shape letters, space-separated; a leading h may be left out (one head, or a head mean)."
    meaning: str
    "Its content, in one sentence."
    layered: bool = False
    "True = one array per layer, given as {layer: array}; a bare array is used for any layer."
    integer: bool = False
    arrays_only: bool = False
    "True: no run supplies it; it is for arrays of one's own."


CALLABLE, CROPS = "callable", "crops"
"""Shapes of the two signals that are not arrays."""

TOWER: dict[str, Signal] = {
    "cls_attn": Signal(
        "h n", "softmax attention of the [CLS] query to every patch, [CLS] column dropped.", True
    ),
    "cls_logits": Signal(
        "h n", "scaled products of the [CLS] query with every patch, before the softmax.", True
    ),
    "recv_attn": Signal(
        "n", "mean over heads and queries of the attention that each patch receives.", True
    ),
    "full_attn": Signal("h a a", "the whole softmax map, [CLS] (if any) first.", True),
    "q": Signal("h a d", "query states, [CLS] (if any) first.", True),
    "k": Signal("h a d", "key states, [CLS] (if any) first.", True),
    "v": Signal("h a d", "value states, [CLS] (if any) first.", True),
    "feats_pre": Signal("n d", "features that enter the projector (tower width)."),
    "cls_pre": Signal("d", "the [CLS] state of the layer that becomes the features."),
    "feats_post": Signal("n d", "projected features, as they enter the language model."),
    "projector": Signal(CALLABLE, "the projector: features [a, d] in, projected features out."),
}

OF_CROPS: dict[str, Signal] = {
    "thumb_cls_attn": Signal(
        "h a", "cls_attn of the thumbnail, its padding included.", True, arrays_only=True
    ),
    "crop_cls_attn": Signal(
        "h p a", "cls_attn of each other crop, padding included.", True, arrays_only=True
    ),
    "thumb_cls_logits": Signal(
        "h a", "the same before the softmax, already scaled.", True, arrays_only=True
    ),
    "crop_cls_logits": Signal(
        "h p a", "the same before the softmax, already scaled.", True, arrays_only=True
    ),
}
"""A run gives cls_attn and cls_logits of all tokens with `crops`, which says the same."""

TEXT: dict[str, Signal] = {
    "text_llm": Signal("m d", "embedding rows of the prompt's text in the language model."),
    "llm_first_queries": Signal(
        "h m d",
        "queries of the user's own words in the language model's first layer, before rotary "
        "positions.",
    ),
    "llm_first_keys": Signal(
        "h n d",
        "keys of the visual tokens there, before rotary positions, grouped keys repeated for each "
        "head.",
    ),
    "asked_yes": Signal(
        "n",
        "probability that the model, shown this token's frame or tile alone, says that it is "
        "enough to answer the question.",
    ),
    "text_clip": Signal("m d", "text embeddings in the joint CLIP space."),
    "img_clip": Signal("n d", "patch embeddings in the joint CLIP space."),
}

TOWER_STEP: dict[str, Signal] = {
    "keys": Signal(
        "h n d",
        "this layer's key states of the current tokens, [CLS] left out; where several patches "
        "make one visual token, their mean.",
    ),
    "hidden": Signal(
        "n d", "this layer's states of the current tokens, [CLS] left out; means as for keys."
    ),
    "sizes": Signal("n", "number of original tokens in each current token."),
    "prefix": Signal(
        "",
        "number of [CLS] and register tokens before the patches; they are not in the signals and "
        "are never merged, but they count for even and odd places.",
        integer=True,
    ),
    "layer": Signal("", "number of the layer at which the decision is taken.", integer=True),
    "layers_run": Signal(
        "",
        "number of tower layers that are run, up to the one that becomes the features (23 of "
        "LLaVA's 24); num_layers counts all layers.",
        integer=True,
    ),
    "carried": Signal(
        "n",
        "score that the method gave to each current token at its last decision (for a group that "
        "of its representative); missing at the first decision.",
    ),
}

STAGE: dict[str, Signal] = {
    "llm_attn_last": Signal(
        "h n", "attention of the last prompt row to the visual tokens, in the previous layer."
    ),
    "llm_peek_last": Signal(
        "h n", "attention of the last prompt row with the next layer's own queries and keys."
    ),
    "llm_attn_text": Signal(
        "h m n", "attention of the text rows after the image, in the previous layer."
    ),
    "llm_hidden": Signal("n d", "states of the visual tokens that enter the next layer."),
    "llm_hidden_before": Signal("n d", "states of the visual tokens that enter the layer before."),
    "llm_normed": Signal("n d", "llm_hidden after the model's final norm."),
    "llm_text_normed": Signal("m d", "the same of the text rows after the image."),
    "llm_keys_before": Signal(
        "h n d", "the previous layer's keys of the visual tokens, after rotation, each head once."
    ),
    "llm_text_keys_before": Signal("h m d", "the same of the text rows after the image."),
    "llm_values_before": Signal(
        "h n d", "the previous layer's values of the visual tokens, each head once."
    ),
    "llm_hidden_last": Signal("d", "state of the last prompt row that enters the next layer."),
    "llm_attn_last_before": Signal("h n", "the same as llm_attn_last, one layer earlier."),
    "llm_peek_text": Signal(
        "h m n",
        "attention of the text rows after the image with the next layer's own queries and keys.",
    ),
    "llm_attn_text_text": Signal(
        "h m m", "attention among the text rows after the image, in the previous layer."
    ),
    "llm_attn_all": Signal(
        "h a a",
        "softmax attention of all prompt rows to all prompt rows, in the previous layer.",
    ),
    "llm_logits_all": Signal(
        "a a",
        "scaled products of the queries and keys of all prompt rows in the previous layer, mean "
        "over heads, without mask and softmax.",
    ),
    "llm_attn_prior": Signal(
        "n",
        "mean of llm_attn_last over heads and over many pictures, for each place in the picture.",
        arrays_only=True,
    ),
    "llm_visual_rows": Signal(
        "n",
        "row of each visual token among the rows of the prompt, counted from 0.",
        integer=True,
    ),
    "llm_attn_mean_query": Signal(
        "h n",
        "softmax over the visual tokens of the mean visual query times the keys / sqrt(d), both "
        "of the next layer and before rotary positions.",
    ),
    "llm_keys": Signal("h n d", "the next layer's keys of the visual tokens, after rotation."),
    "llm_qk_last": Signal(
        "h n",
        "query of the last prompt row times the keys, in the previous layer: after rotation, "
        "unscaled, without a softmax, grouped keys repeated for each head.",
    ),
    "llm_rope_bias": Signal(
        "m n", "dot products of two rotated all-ones vectors / sqrt(d), text rows x visual tokens."
    ),
    "llm_text_score": Signal(
        "m",
        "softmax over the text rows of (input embeddings of the visual tokens x those of the text "
        "rows), mean over all visual tokens that entered the language model.",
    ),
    "llm_text_mass": Signal(
        "a",
        "attention of the text rows to all visual tokens together, mean over heads and rows: one "
        "number per layer, from layer 0 to the previous layer.",
    ),
    "llm_transition": Signal(
        "n", "token transition variation summed over the layers so far (TransPrune)."
    ),
    "llm_tower_map": Signal("n", "importance of each current visual token by the vision tower."),
    "llm_shared_neurons": Signal(
        "n",
        "number of feed-forward neurons that are active both for this token and for the last "
        "token of the user's own words, in the layer just before.",
    ),
    "llm_hidden_query": Signal(
        "d", "mean state of the query sample's tokens that enter the next layer."
    ),
    "llm_image": Signal(
        "n", "image each visual token belongs to, from 0; the last is the query.", integer=True
    ),
    "llm_lens_prob": Signal("n", "highest probability that the logit lens gives at each token."),
    "llm_lens_token": Signal("n", "the vocabulary entry that has it.", integer=True),
}

CACHE: dict[str, Signal] = {
    "cache_attn_window": Signal(
        "h w a",
        "softmax attention of the last w rows of the prompt to all its a rows, in this layer; runs "
        "give the last 64 rows, or all of a shorter prompt.",
    ),
    "cache_attn_sum": Signal(
        "h a", "attention that each row of the prompt receives in this layer, summed over all rows."
    ),
    "cache_attn_after": Signal(
        "h a", "the same, summed over the rows of text after the last visual token."
    ),
    "cache_sparsity": Signal(
        "l",
        "per layer the share of the entries of those rows that are below 1 % of their row's "
        "largest, mean over heads; entries that a causal mask hides do not count.",
    ),
    "cache_keys": Signal("g a d", "this layer's keys of all rows of the prompt, after rotation."),
    "kv_heads": Signal(
        "",
        "number g of key heads; query heads h / g at a time read one of them.",
        integer=True,
    ),
}
"""llm_visual_rows says which of the a rows are the n visual tokens."""

WHOLE: dict[str, Signal] = {
    "llm_attn": Signal(
        "l h a a", "softmax maps of every layer over the rows of the prompt.", arrays_only=True
    ),
    "llm_attn_grad": Signal(
        "l h a a", "gradient of the answer token's logit by llm_attn.", arrays_only=True
    ),
    "relevance": Signal("n", "any map over the tokens that an analysis has made."),
}

PLACES: dict[str, Signal] = {
    "grid": Signal("a", "(rows, cols) of the tokens.", integer=True),
    "index": Signal("n", "original number of each current token.", integer=True),
    "crops": Signal(
        CROPS,
        "one (role, rows, cols, row0, col0) per crop: role is whole, thumbnail or tile, row0 and "
        "col0 say where a tile starts on the canvas of all tiles; or only its number of tokens.",
    ),
    "tile": Signal("n", "crop of each token; by default crop after crop.", integer=True),
    "cell": Signal("n", "raster number of each token in its crop.", integer=True),
    "unpad_mask": Signal("n", "1 for a token that shows some of the image, 0 for padding."),
    "patch_entropy": Signal(
        "n", "entropy in bits of the grey levels in each token's part of the picture."
    ),
    "pixels": Signal("a a a", "the tower's input image, channels first."),
    "num_layers": Signal(
        "",
        "number of all layers of the part that the layered signals come from, the tower or the "
        "language model.",
        integer=True,
    ),
}

SECTIONS: dict[str, dict[str, Signal]] = {
    "Vision tower": TOWER,
    "Crops of one image (a thumbnail and tiles), each a separate input of the tower": OF_CROPS,
    "Text": TEXT,
    "A step inside the tower (tokens may already be groups)": TOWER_STEP,
    "A stage inside the language model (current tokens)": STAGE,
    "A layer's KV cache, after the layer has read the prompt": CACHE,
    "The whole language model, forward and backward": WHOLE,
    "Layout": PLACES,
}
"""The signals, by the part of a run that they come from."""

SIGNALS: dict[str, Signal] = {
    name: signal for section in SECTIONS.values() for name, signal in section.items()
}
"""Every signal by name. A plugin may add its own."""
