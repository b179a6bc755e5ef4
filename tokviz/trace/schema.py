"""The table of the trace format: every array with its axes, type and meaning.

The checks of traces, their reading and the documentation use this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokviz.trace.layout import KINDS


@dataclass(frozen=True)
class Field:
    """One array of a trace."""

    axes: str
    "Letters of AXES."
    dtype: str
    "numpy kind and size, such as f2, f4, i4, u1."
    meaning: str


AXES: dict[str, str] = {
    "t": "answer tokens",
    "s": "prompt tokens",
    "n": "visual tokens, as the language model would see them without any reduction",
    "q": "rows that the language model computed: s + t - 1",
    "l": "decoder layers",
    "h": "decoder heads",
    "u": "layers of the vision tower",
    "r": "layers of the vision tower whose received attention was recorded",
    "g": "heads of the vision tower",
    "c": "candidates per answer token",
    "j": "key heads of the decoder",
    "k": "read-out words",
    "d": "sink dimensions",
    "b": "blocks of the prompt",
    "p": "rows of the user's own words",
    "w": "words of the logit lens",
    "x": "controls",
    "m": "modalities; in a stage, the tokens that it leaves",
    "z": "width of the language model",
    "e": "entries of a stage's matrix that are not zero",
    "y": "rows of the prompt that are marks",
}
"""Axis letter -> what it counts. Arrays with the same letter agree in length."""

HEADER: dict[str, tuple[str, str]] = {
    "version": ("integer", "of the format."),
    "prompt": ("text", "the question."),
    "answer": ("text", "the whole answer."),
    "model": (
        "object",
        "name, family, layers, heads, dtype, device ... as far as they are known; status: of each "
        "published method, and of the mitigation, {name, word, why}: how close the run came to its "
        "publication; without_attention: what layers have instead (linear attention, a short "
        "convolution) -> their numbers; last_row_only: numbers of the layers that read the keys of "
        "earlier ones and compute only the last row of a prompt: their attention is that of the "
        "rows that chose a word, and their sink_phi that of the layer whose keys they read.",
    ),
    "prompt_tokens": ("list of texts [s]", "tokens of the whole prompt; their number is s."),
    "answer_tokens": (
        "list of texts [t]",
        "pieces of the answer, joined the answer; their number is t. A letter of several tokens is "
        "in the piece of the last one, the others are empty.",
    ),
    "candidate_tokens": ("list of lists of texts [t, c]", "texts of `candidate_ids`; may be []."),
    "words": ("object", "token id (as text) -> text, for ids that arrays name; may be {}."),
    "sizes": ("list of [width, height]", "of each original image, in pixels."),
    "tiles": (
        "list of [image, rows, columns, [x0, y0, x1, y1], role] or [..., role, [first, last]]",
        "rectangles that the vision tower sees as a grid of tokens, in pixels of the original "
        "image; role: whole, tile, thumbnail or frame; of a film, the seconds of the first and "
        "the last frame that they show (the images of the trace are then its frames).",
    ),
    "stages": (
        "list of [method, place, layer, n, seconds, effect]",
        "reductions in order; place: tower, before, language_model or cache; layer or null; n: "
        "tokens it decides on; seconds: what the decision took, 0 = not measured; effect: remove, "
        "restart, mask, bypass, unmerge, decode or evict.",
    ),
    "roles": (
        "list of objects",
        "per stage, the method's own names for tokens that it decided on: name -> their numbers.",
    ),
    "mitigation": (
        "object or null",
        "what was done to attention or logits: name, options, kinds, verified, told; null = "
        "nothing.",
    ),
    "timings": (
        "object",
        "seconds: encode, decide, prefill (without decisions that are made during it), decode, "
        "first_token, total; contrast: of a second run; "
        "shared: part of decode in steps with several tokens in one batch, each counted in full "
        "for every lane in it (so do not compare decode or total of such runs); total_alone: "
        "total with each token of such a step counted as the median step taken alone. The last "
        "three only where they apply.",
    ),
    "kv_bytes": (
        "integer",
        "bytes of keys and values in the cache at the end, and of the states of layers without "
        "attention; 0 = not measured.",
    ),
    "kv_lengths": (
        "list of integers",
        "rows in the cache of each decoder layer, 0 in layers without one of their own; may be [].",
    ),
    "notes": ("list of texts", "sentences for the reader."),
    "finish": (
        "text",
        "why the answer ended: end (the model ended it), length (the limit of tokens), stopped "
        "(somebody stopped it), time (the time limit); empty = not known.",
    ),
    "word_marks": (
        "text",
        "how the tokenizer writes word starts in `prompt_tokens`: sentencepiece (U+2581 before a "
        "word), byte_level (U+0120 before a word), wordpiece (## before what continues one), "
        "word_level (every token is a word), unknown; empty = told from the tokens.",
    ),
    "answer_marks": (
        "list of integers",
        "answer tokens that are marks and no text, by number; their pieces are empty.",
    ),
}
"""Field of the JSON header -> (type, meaning)."""
REQUIRED_FIELDS = (
    "version", "prompt", "answer", "model", "prompt_tokens", "answer_tokens", "sizes", "tiles",
)  # fmt: skip
"""Fields without which a file is refused; the others may be missing."""

SCHEMA: dict[str, Field] = {
    "prompt_ids": Field("s", "i4", "token ids of the whole prompt, visual placeholders included."),
    "answer_ids": Field("t", "i4", "token ids of the answer."),
    "answer_prob": Field("t", "f4", "probability of each answer token when it was chosen."),
    "candidate_ids": Field("t c", "i4", "most probable tokens at each step, best first."),
    "candidate_prob": Field("t c", "f4", "their probabilities."),
    "token_tile": Field("n", "i2", "tile of each visual token."),
    "token_row": Field("n", "i2", "row in the tile's grid; -1 for newlines and separators."),
    "token_col": Field("n", "i2", "column in the tile's grid; -1 likewise."),
    "token_kind": Field("n", "u1", f"0..2 = {', '.join(KINDS)}."),
    "token_position": Field("n", "i4", "index of each visual token in prompt_ids."),
    "attention": Field(
        "t l n",
        "f2",
        "mean over heads of the attention of the row that chose answer token t; NaN in layers "
        "without attention (hybrid decoders), as in the arrays below.",
    ),
    "attention_heads": Field("t l h n", "f2", "the same for each head."),
    "mass": Field(
        "t l h b",
        "f2",
        "share of that row's attention on the prompt before the image, the visual tokens, "
        "the text after them, the answer so far, and the marks.",
    ),
    "cls_attention": Field("u n", "f2", "head mean of the [CLS] attention to each patch."),
    "cls_attention_heads": Field("u g n", "f2", "the same for each head."),
    "received_attention": Field(
        "r n", "f2", "mean attention each patch receives in some layers of the tower."
    ),
    "received_layers": Field("r", "i4", "those layers, ascending; absent = all of them."),
    "feature_norm": Field("u n", "f4", "L2 norm of each patch after each tower layer."),
    "readout_ids": Field("k", "i4", "token ids of the words in `readout`: prompt and answer."),
    "readout": Field(
        "q k", "f4", "last hidden state of every row times the head's weight of every word."
    ),
    "sink_dims": Field("d", "i4", "sink dimensions that were found, strongest first."),
    "sink_phi": Field(
        "l s", "f2", "largest RMS-normed value on a sink dimension, at the input of each layer."
    ),
    "own_rows": Field("p", "i4", "indices in prompt_ids of the user's own words, ascending."),
    "mark_rows": Field(
        "y",
        "i4",
        "indices in prompt_ids of the marks, ascending: what the processor writes between visual "
        "tokens and around them (names of tiles, line ends after a row of tiles, begin and end of "
        "an image). Missing where there are none; then `b` is one shorter.",
    ),
    "own_guess": Field(
        "p", "i4", "most probable next token at the first of these rows; -1 = not read."
    ),
    "answer_entropy": Field(
        "t", "f4", "entropy in nats of the whole distribution that each answer token came from."
    ),
    "control_prob": Field(
        "x t",
        "f4",
        "probability of each answer token when the image was made blank, blurred, noise, or was "
        "removed; NaN where that was not run.",
    ),
    "cls_similarity": Field(
        "u n", "f2", "cosine of the [CLS] state and each patch after each tower layer."
    ),
    "state_similarity": Field(
        "t n",
        "f2",
        "cosine of the last hidden states of the row that chose answer token t and of each "
        "visual token.",
    ),
    "flow": Field(
        "l b b",
        "f2",
        "attention of the rows of each block on each block, mean over rows and heads; NaN for "
        "blocks whose rows were not recorded, and in layers without attention.",
    ),
    "lens_ids": Field(
        "l n w", "i4", "words that the logit lens reads after each layer, most probable first."
    ),
    "lens_prob": Field("l n w", "f2", "their probabilities."),
    "lens_peak": Field(
        "n k", "f2", "highest probability over the layers that the lens gives to each readout word."
    ),
    "lens_peak_layer": Field("n k", "u1", "the layer that gives it."),
    "layer_means": Field(
        "l m z", "f4", "mean state at each layer's input of the visual rows and of the text rows."
    ),
    "decode_sets": Field(
        "t n",
        "f2",
        "where each word of the answer chose the tokens that it attended to: share of the choices "
        "that had the token, for the row that chose each answer token; 1 for the first, whose row "
        "read the whole prompt.",
    ),
    "visual_rank": Field(
        "l", "f4", "effective rank of the states of the visual rows at each layer's input."
    ),
    "last_state": Field("z", "f4", "last hidden state of the last prompt row, after the norm."),
}
"""Every array by name. Arrays of stages (`stage.0.rows`) and images (`image.0`) come on top."""

PROMPT_INDICES = ("token_position", "own_rows", "mark_rows")
"""Arrays whose values are indices in the prompt."""
STAGE_ARRAYS: dict[str, Field] = {
    "rows": Field("e", "i4", "output token of each entry, ascending."),
    "cols": Field("e", "i4", "source token of each entry."),
    "weights": Field("e", "f4", "its weight, finite and not 0."),
    "position": Field("m", "i4", "source token whose place each output token takes."),
}
"""The matrix of one stage, as `stage.0.rows` and so on."""
STAGE_HEADS = Field(
    "j n",
    "u1",
    "optional, for a stage that shortens a layer's KV cache: fate of each token in each key head, "
    "0 kept, 1 merged, 2 pruned.",
)
"""`stage.0.heads` and so on."""
STAGE_SCORE = Field("n", "f4", "optional: importance by which the method decided; NaN = none.")
"""`stage.0.score` and so on, n being the tokens that the stage decides on."""
BLOCKS = ("before", "image", "text", "answer", "marks")
"""Names along axis b of `mass` and of `flow`; the last one only with `mark_rows`."""
CONTROLS = ("blank", "blurred", "noise", "removed")
"""Names along axis x of `control_prob`."""
MODALITIES = ("image", "text")
"""Names along axis m of `layer_means`."""
