"""G-Search: which share of visual tokens does each layer need, found from the first layer down?"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def g_search(
    good_enough: Callable[[list[float]], bool], layers: int, candidates: Sequence[float]
) -> list[float]:
    """Return the share of visual tokens per layer, never rising with depth.

    Greedy, from shallow to deep: each layer gets the smallest share that is still good enough when
    all deeper layers get the same share as it. Candidates are tried from small to large, instead
    of the paper's Bayesian search over a weighted sum of accuracy and cost, whose weights are not
    public (arXiv 2412.00556).

    Args:
        good_enough: judges a full list of shares, one per layer, by running the model.
        layers: layers of the language model.
        candidates: shares to try, 0 to 1.
    """
    found: list[float] = []
    ceiling = 1.0
    for layer in range(layers):
        for share in sorted(c for c in candidates if c < ceiling):
            if good_enough(found + [share] + [share] * (layers - layer - 1)):
                ceiling = share
                break
        found.append(ceiling)
    return found
