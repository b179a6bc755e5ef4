"""DyMU: should a simple image be merged more than a complex one?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from tokviz.budget import real_number
from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts import bipartite, schedules
from tokviz.reduction.parts.grouping import merge_labels, original_numbers, token_sizes
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

CLIP_L_14_336 = (
    *(0.99609375, 0.97265625, 0.94140625, 0.91015625, 0.87890625, 0.87890625, 0.87890625),
    *(0.84765625, 0.84765625, 0.87890625, 0.84765625, 0.84765625, 0.87890625, 0.87890625),
    *(0.91015625, 0.91015625, 0.91015625, 0.91015625, 0.94140625, 0.87890625, 0.87890625),
    *(0.97265625, 0.99609375, 0.81640625),
)
"""The thresholds of CLIP-L/14-336's 24 layers in the official `inference_openai_clip.py`."""
LISTS = {"clip-l-14-336": CLIP_L_14_336}
FORMS = "none, clip-l-14-336, or numbers from 0 to 1 separated by blanks, one for each layer"


def find_threshold(best_edges: Sequence[torch.Tensor], r: int) -> float:
    """Return the similarity above which r merges per image happen on average.

    Args:
        best_edges: for each calibration image, the best similarity of each of its A tokens; the
            official code counts [CLS] among them, with -inf.
        r: merges per image that this layer should make on average.

    Returns:
        The largest similarity that is not merged among all images together, at least 0: exactly
        len(best_edges) * r edges lie above it when there are no ties.
    """
    pooled = torch.cat([torch.as_tensor(edges) for edges in best_edges])
    pooled = pooled.sort(descending=True).values
    if not len(pooled):
        raise InputError("no similarities were given to find a threshold from.")
    return max(float(pooled[min(len(best_edges) * r, len(pooled) - 1)]), 0.0)


def read_thresholds(text: str) -> tuple[float, ...]:
    """Return the thresholds, layer by layer, that a text names or lists; () for "none".

    Raises:
        InputError: it is neither a known name nor a list of numbers from 0 to 1.
    """
    text = text.strip().lower()
    if text in ("", "none"):
        return ()
    if text in LISTS:
        return LISTS[text]
    found = [real_number(word) for word in text.replace(",", " ").split()]
    if any(number is None or not 0 <= number <= 1 for number in found):
        raise InputError(f"thresholds must be {FORMS}, got {text[:60]!r}.")
    return tuple(found)  # type: ignore[arg-type]


def layer_threshold(signals: Signals, threshold: float, thresholds: str) -> float:
    """Return the similarity above which edges merge in the layer that decides; 1 = none.

    A list for another number of layers is read at the same share of the depth.

    Raises:
        InputError: a list was given, and the signals do not say which layer decides.
    """
    listed = read_thresholds(thresholds)
    if not listed:
        return threshold
    if "layer" not in signals or "num_layers" not in signals:
        raise InputError(
            "thresholds of many layers need the signals layer and num_layers; give threshold, "
            "this layer's own, instead."
        )
    layer, layers = int(signals["layer"]), int(signals["num_layers"])
    if layers == len(listed):
        return listed[layer]
    return listed[round(layer * (len(listed) - 1) / max(layers - 1, 1))]


def _schedule(n: int, keep: int, layers: int, **options):
    read_thresholds(options["thresholds"])
    if keep == n:  # thresholds alone decide
        return [schedules.Stage(layer, n) for layer in range(layers)]
    return schedules.over_all_layers(n, keep, layers, options["schedule"])


@method(
    "dymu",
    title="DyMU",
    place="tower",
    kind="merge",
    needs=("keys",),
    optional=("sizes", "index", "prefix", "layer", "num_layers"),
    space="pre",
    positions="keep",
    unmerged_by="unmerge",
    adaptive=True,
    own_count=True,
    paper="https://arxiv.org/abs/2504.17040",
    year=2025,
    code="MikeWangWZHL/dymu",
    licence="MIT",
    published_options={"thresholds": "clip-l-14-336"},
    depths=(24,),
    schedule=_schedule,
    published=(
        Published(
            "89 tokens",
            "own paper, Table 2 (mean count per image)",
            {"GQA": 60.8, "MME": 1787, "POPE": 86.3, "TextVQA": 53.1},
        ),
        Published(
            "195 tokens",
            "own paper, Table 2 (mean count per image)",
            {"GQA": 61.7, "MME": 1862, "POPE": 86.6, "TextVQA": 55.1},
        ),
        Published(
            "394 tokens",
            "own paper, Table 2 (mean count per image)",
            {"GQA": 61.9, "MME": 1846, "POPE": 86.8, "TextVQA": 58.0},
        ),
    ),
)
def dymu(
    signals,
    keep: int,
    *,
    threshold: Annotated[float, Range(0, 1, 0.001)] = 1.0,
    thresholds: str = "none",
    schedule: Literal["constant", "decreasing", "increasing"] = "constant",
    unmerge: bool = True,
) -> Reduction:
    """Merge like ToMe, but every edge above a threshold, so that the count follows the image.

    An edge to the most similar odd patch merges when its similarity exceeds the layer's threshold,
    which the authors find once on many images (`find_threshold` in this module). As published there
    is no budget: that is keep = all tokens with `thresholds` = clip-l-14-336, the authors' list for
    LLaVA-1.5's tower, or with a list of your own, "0.99 0.97 ..."; `threshold` is one number for
    all layers. With a smaller budget the most similar edges merge until the budget is met, as in
    ToMe, and also all edges above the threshold.

    `unmerge` is the second half of the publication (virtual unmerging, the official code's default
    form): each merged token goes through the language model once, but in every layer's attention
    it stands at the place of each of its members, and its output is the mean over them. The cache
    therefore holds as many keys as without any merging. Off, each merged token stands at the place
    of its first patch, as in ToMe.
    """
    n = signals.n
    edges = bipartite.best_edges(bipartite.key_cosines(signals), bipartite.prefix_of(signals))
    count = bipartite.check_half(n, keep, "DyMU")
    limit = layer_threshold(signals, threshold, thresholds)
    if limit < 1:  # rounding can lift the similarity of duplicates above 1
        count = max(count, min(int((edges.best > limit).sum()), n // 2))
    if count == 0:
        return Reduction.identity(n)
    chosen = edges.ranked[:count]
    merged = torch.zeros(len(edges.a), dtype=torch.bool)
    merged[chosen] = True
    return merge_labels(
        edges.label(merged),
        token_sizes(signals),
        original_numbers(signals),
        order=edges.a[chosen],
        roles={"merged away": edges.a[chosen]},
    )
