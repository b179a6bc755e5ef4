"""Which image tokens speak for an answer word, beyond what earlier words explain?

Token Activation Map, arXiv 2506.23270 (ICCV 2025); official code xmed-lab/TAM. The map of a word is
the head's logit of that word at every visual token. A mixture of the earlier words' maps is
subtracted (estimated causal inference); then the map is normalised together with the scores of the
earlier text, and denoised.

Departures: only the needed rows of the head are multiplied (`readout`), the scale is the closed
form of the least-squares fit, and a repeated word is recognised by its token id. The official code
explains the first answer token with the id of the last prompt token, and the first prompt token
with the word that the model would have said there. `reference_compat` does both, for comparisons
only; the second needs a run with `Capture(lens=5)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from tokviz.analysis.concentration import area_of_mass, entropy
from tokviz.analysis.declare import analysis
from tokviz.analysis.rank_filter import rank_gaussian_filter
from tokviz.analysis.result import Part, Result
from tokviz.errors import MissingSignal
from tokviz.options import Range
from tokviz.trace import Trace
from tokviz.trace.layout import PATCH, Layout


@dataclass(frozen=True, eq=False)
class Items:
    """The words to explain, first those of the prompt, then those of the answer."""

    ids: np.ndarray
    "int64 [e], token id of each word; an earlier word with the same id is not interference."
    columns: np.ndarray
    "int64 [e], column of `readout` that explains the word."
    rows: np.ndarray
    "int64 [e], row of `readout` that represents the word as context: its own row for a prompt "
    "word, the row before (which chose it) for an answer word."
    prompt: int
    "How many of the words are of the prompt."


def explained_items(trace: Trace, reference_compat: bool = False) -> Items:
    """Return the words of the user's question and of the answer.

    Where the trace does not say which rows are the question, all text after the first visual token
    counts as the question.
    """
    s, t, position = len(trace.prompt_tokens), trace.t, trace.layout.position
    column = {int(token): place for place, token in enumerate(trace["readout_ids"])}
    prompt_ids, answer_ids = trace["prompt_ids"], trace["answer_ids"]
    if "own_rows" in trace:
        own = [int(row) for row in trace["own_rows"]]
    else:
        first = int(position[0]) if len(position) else 0
        own = np.setdiff1d(np.arange(first, s), position).tolist()
    own = [row for row in own if int(prompt_ids[row]) in column]
    ids = [int(token) for token in (*prompt_ids[own], *answer_ids)]
    classes = list(ids)
    if reference_compat and t:
        classes[len(own)] = int(prompt_ids[s - 1])
    if reference_compat and own and "own_guess" in trace:
        classes[0] = int(trace["own_guess"][0])
    unknown = [token for token in classes if token not in column]
    if unknown:
        raise MissingSignal(f"the readout of this trace does not hold the word {unknown[0]}.")
    columns = np.array([column[token] for token in classes], np.int64)
    rows = np.array([*own, *range(s - 1, s - 1 + t)], np.int64)
    return Items(np.array(ids, np.int64), columns, rows, len(own))


def interference(
    maps: np.ndarray, relevance: np.ndarray, ids: np.ndarray, s_max: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate what earlier words contribute to each map.

    Args:
        maps: [e, n] raw maps, not negative.
        relevance: [e, e] score of each word (row) at the row of each context word (column).
        ids: [e] word ids; an earlier word with the same id is not interference.
        s_max: upper limit of the scale, None = no limit.

    Returns:
        The weighted mixtures [e, n] and their least-squares scales [e]; both 0 for a word without
        earlier words.
    """
    count = len(ids)
    # [e, e], lower triangle without the diagonal: column j is an earlier, different word of row i
    earlier = np.tri(count, k=-1, dtype=bool) & (ids[:, None] != ids[None, :])
    weights = np.where(earlier, relevance, 0)
    mixture = (weights / (weights.sum(1, keepdims=True) + 1e-8)) @ maps
    # least squares of map = scale x mixture, row by row: <map, mixture> / <mixture, mixture>
    norm = np.einsum("en,en->e", mixture, mixture)
    scale = np.einsum("en,en->e", maps, mixture) / np.where(norm > 0, norm, 1)
    return mixture, scale if s_max is None else np.minimum(scale, s_max)


def joint_normalise(image: np.ndarray, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale the image [n] and text [m] scores of one word to 0..1 with one range.

    All zeros if all scores are equal.
    """
    both = np.concatenate([image, text])
    low, high = (both.min(), both.max()) if both.size else (0.0, 0.0)
    scale = 1 / (high - low) if high > low else 0.0
    return (image - low) * scale, (text - low) * scale


def denoise(maps: np.ndarray, layout: Layout) -> np.ndarray:
    """Filter maps [e, n] tile by tile; newlines and separators become 0."""
    out = np.zeros_like(maps, np.float32)
    for number, tile in enumerate(layout.tiles):
        mine = np.flatnonzero((layout.tile == number) & (layout.kind == PATCH))
        if not len(mine):
            continue
        # tokens -> grid [e, rows, cols] for the filter, and back
        grid = np.zeros((len(maps), tile.rows, tile.cols), np.float32)
        rows, cols = layout.row[mine], layout.col[mine]
        grid[:, rows, cols] = maps[:, mine]
        out[:, mine] = rank_gaussian_filter(grid)[:, rows, cols]
    return out


@analysis(
    "tam",
    title="Token Activation Map",
    group="where the model looks",
    needs=("readout", "readout_ids", "prompt_ids", "answer_ids"),
    meaning="A bright token's last state speaks for this word more than the earlier words explain.",
    not_meaning="It is a linear read-out of the last layer: it does not show that removing the "
    "token would change the word.",
    exactness="heuristic",
    cost="No further run. Memory: (visual tokens + text rows) x (words of prompt and answer) "
    "numbers.",
    paper="https://arxiv.org/abs/2506.23270",
    year=2025,
)
def tam(
    trace: Trace,
    *,
    without_interference: bool = True,
    s_max: Annotated[float | None, Range(0, 10, 0.05)] = None,
    denoised: bool = True,
    reference_compat: bool = False,
) -> Result:
    """Show which image tokens speak for each word, less what earlier words explain.

    The user's words get maps too, since the answer's maps subtract them. `s_max` limits how much is
    subtracted: on some models the maps fit the objects better without a limit. Maps are normalised
    together with the text, so that words which come from the text get weak maps. Removed tokens
    get 0. A bias or soft cap of the head is not included.
    """
    items = explained_items(trace, reference_compat)
    patches = np.flatnonzero(trace.layout.kind == PATCH)
    raw = np.maximum(trace["readout"], 0)  # [rows, words of the readout]
    maps = raw[trace.layout.position[patches]][:, items.columns].T  # [e, patches]
    relevance = raw[items.rows][:, items.columns].T  # [e explained, e context]
    mixture, scale = interference(maps, relevance, items.ids, s_max)
    left = np.maximum(maps - scale[:, None] * mixture, 0) if without_interference else maps
    shown = np.zeros((len(items.ids), trace.n), np.float32)
    text = np.full(relevance.shape, np.nan, np.float32)
    for item in range(len(items.ids)):
        # a prompt word is normalised with the whole prompt, an answer word with all before it
        context = max(item, items.prompt)
        shown[item, patches], text[item, :context] = joint_normalise(
            left[item], relevance[item, :context]
        )
    if denoised:
        shown = denoise(shown, trace.layout)
    return _result(trace, items, shown, text, scale)


def _result(
    trace: Trace, items: Items, shown: np.ndarray, text: np.ndarray, scale: np.ndarray
) -> Result:
    answer = shown[items.prompt :]
    spans = trace.word_spans
    words = [answer[start:stop].max(0) for start, stop in spans]
    own = [trace.prompt_pieces[row] for row in items.rows[: items.prompt]]
    parts = {
        "prompt": Part(shown[: items.prompt], "p n", "the maps of the prompt's words"),
        "text": Part(text, "e e", "score of each earlier word (column) for each word (row)"),
        "scale": Part(scale, "e", "how much of the earlier words' mixture was subtracted"),
        "words": Part(
            np.stack(words) if words else answer, "v n", "maximum over the tokens of each word"
        ),
        "entropy": Part(entropy(answer), "t", "spread of each map: 0 = one token, 1 = even"),
        "area": Part(area_of_mass(answer, 0.85), "t", "share of tokens that hold 85 % of the map"),
    }
    labels = {
        "t": trace.pieces,
        "p": tuple(own),
        "e": (*own, *trace.pieces),
        "v": tuple("".join(trace.pieces[a:b]).strip() for a, b in spans),
    }
    return Result(answer, "t n", parts, labels)
