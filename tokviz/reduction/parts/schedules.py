"""How a budget is spread over layers: published schedules, scaled to any depth and any budget.

All counts end at `keep` exactly and never rise. The first possible stage in the language model is
before layer 1: the input of layer 0 is the prompt itself, and the mask is built for its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tokviz.errors import InputError
from tokviz.options import within
from tokviz.reduction.method import Stage

SHAPES = ("constant", "decreasing", "increasing")


def over_all_layers(
    n: int, keep: int, layers: int, shape: str = "constant", halving: bool = True
) -> list[Stage]:
    """Remove about the same number of tokens in every layer of a vision tower.

    Args:
        n: visual tokens that enter the tower.
        keep: visual tokens at its end.
        layers: layers that run.
        shape: constant (a remainder goes to the first layers), decreasing from twice the mean to
            nothing, or increasing.
        halving: True = a layer can at most halve the tokens. If the shape needs more, earlier
            layers remove more.

    Raises:
        InputError: keep is below the count after halving in every layer; the message has it.
    """
    smallest = -(-n // 2**layers)
    if halving and keep < smallest:
        raise InputError(
            f"{layers} layers that merge at most half of the tokens each take {n} visual tokens "
            f"down to {smallest} at best, got keep = {keep}."
        )
    counts = [n - removed for removed in _removed(n - keep, layers, shape)]
    return halved(counts, n) if halving else stages(enumerate(counts), n)


def _removed(total: int, layers: int, shape: str) -> list[int]:
    """Return the number of tokens removed up to and including each layer."""
    if shape == "constant" or layers < 2:
        each, rest = divmod(total, layers)
        return [each * done + min(done, rest) for done in range(1, layers + 1)]
    rising = [layer / (layers - 1) for layer in range(layers)]
    weight = rising if shape == "increasing" else rising[::-1]
    running = [sum(weight[: done + 1]) / sum(weight) for done in range(layers)]
    return [round(total * share) for share in running]


def halved(counts: Sequence[int], n: int) -> list[Stage]:
    """Return one stage per layer for these counts, raised if a layer would more than halve.

    Earlier counts are lowered where that is needed to reach the last one.
    """
    layers, now, left = len(counts), n, []
    for layer, count in enumerate(counts):
        now = min(max(count, -(-now // 2)), counts[-1] * 2 ** (layers - 1 - layer))
        left.append((layer, now))
    return stages(left, n)


def stages(counts: Iterable[tuple[int, int]], n: int) -> list[Stage]:
    """Return the stages (layer, keep) that change the count; the last one is always included.

    If two stages are at one layer, the later one is used.
    """
    by_layer = sorted(dict(counts).items())
    found: list[Stage] = []
    now = n
    for number, (layer, keep) in enumerate(by_layer):
        if keep != now or (number == len(by_layer) - 1 and not found):
            found.append(Stage(layer, keep))
        now = keep
    return found


def in_depth(published: int, of: int, layers: int) -> int:
    """Return a published layer of a model with `of` layers, scaled to a model with `layers`.

    Rounded half up, from 1 to layers - 1.
    """
    return clamped(math.floor(published * layers / of + 0.5), layers)


def clamped(layer: int, layers: int) -> int:
    """Return the layer, limited to 1 to layers - 1.

    Raises:
        InputError: the model has a single layer, so there is no layer inside it.
    """
    if layers < 2:
        raise InputError(f"the language model must have at least 2 layers, got {layers}.")
    return min(max(layer, 1), layers - 1)


def at_layer(name: str, layer: int, layers: int) -> int:
    """Return the layer that an option names, of a language model with `layers` layers.

    Raises:
        InputError: there is no such layer. It is not replaced by an existing one, since a table of
            results would then name a layer that was not used.
    """
    clamped(1, layers)
    return within(name, layer, 1, layers - 1, f"the language model has {layers} layers")


def at_depth(name: str, share: float, layers: int, default: float) -> int:
    """Return the layer at a share of the depth, rounded.

    Args:
        name: the option, for the message.
        share: 0 to 1.
        layers: of the language model.
        default: the published share; in a very shallow model it may be rounded to the last layer.

    Raises:
        InputError: the share means layer 0 or the end, where no stage is possible.
    """
    layer = clamped(round(share * layers), layers)
    if share != default and round(share * layers) != layer:
        low, high = math.ceil(100 / layers) / 100, math.floor(100 * (layers - 1) / layers) / 100
        within(name, share, low, high, f"the language model has {layers} layers")
    return layer


def geometric(n: int, keep: int, powers: Sequence[float]) -> list[int]:
    """Return int(n (keep / n)^p) for each power p, the last being keep itself."""
    counts = [math.floor(n * (keep / n) ** power + 1e-9) for power in powers]
    return [max(count, keep) for count in counts[:-1]] + [keep]


def linear(n: int, keep: int, shares: Sequence[float]) -> list[int]:
    """Return n minus each share of the n - keep tokens to remove, the last being keep itself."""
    counts = [math.floor(n - (n - keep) * share + 1e-9) for share in shares]
    return [max(count, keep) for count in counts[:-1]] + [keep]
