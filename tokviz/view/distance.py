"""The difference of the next-word distributions of two runs, word by word.

Distributions are compared up to and including the first place where the answers differ: after it,
the earlier words differ, so the distributions differ anyway. A trace has only the most probable
candidates of each place, so the result is a lower bound of the total variation distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tokviz.trace import Trace

NEEDED = ("answer_ids", "candidate_ids", "candidate_prob")


def least_distance(
    ids: np.ndarray, shares: np.ndarray, other_ids: np.ndarray, other_shares: np.ndarray
) -> float:
    """Return a lower bound of the total variation distance of two distributions.

    Args:
        ids: [c] most probable tokens of one distribution.
        shares: [c] their probabilities, largest first.
        other_ids: [c] those of the other distribution.
        other_shares: [c] their probabilities.

    Returns:
        0 to 1. A token that the other list lacks has at most its smallest probability there.
    """

    def one_way(a: np.ndarray, p: np.ndarray, b: np.ndarray, q: np.ndarray) -> float:
        known = dict(zip(b.tolist(), q.tolist(), strict=True))
        most = min(float(q[-1]), max(1.0 - float(q.sum()), 0.0))
        return sum(
            max(share - known.get(token, most), 0.0)
            for token, share in zip(a.tolist(), p.tolist(), strict=True)
        )

    return max(
        one_way(ids, shares, other_ids, other_shares), one_way(other_ids, other_shares, ids, shares)
    )


def word_distances(trace: Trace | None, full: Trace | None) -> list[dict[str, Any]]:
    """Return {text, distance} of each answer token up to the first difference; may be empty."""
    if trace is None or full is None:
        return []
    if not all(name in one for one in (trace, full) for name in NEEDED):
        return []
    ours, theirs = trace["answer_ids"], full["answer_ids"]
    both = min(len(ours), len(theirs))
    parted = np.flatnonzero(ours[:both] != theirs[:both])
    last = int(parted[0]) + 1 if len(parted) else both
    return [
        {
            "text": trace.pieces[i].strip(),
            "distance": least_distance(
                *(one[name][i] for one in (trace, full) for name in NEEDED[1:])
            ),
        }
        for i in range(last)
    ]
