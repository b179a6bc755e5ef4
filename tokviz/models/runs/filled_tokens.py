"""The own answer's score when tokens are filled with something else in place of being removed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tokviz.analysis.blocks import Score
from tokviz.models.families.family import Features
from tokviz.models.runs.teacher_forcing import TeacherForcing


def mean_token(own: Features) -> Features:
    """Return the mean of the visual tokens, [1, d], and of each further feature."""
    tokens = own.tokens.mean(0, keepdim=True)
    return Features(tokens, tuple(one.mean(0, keepdim=True) for one in own.extra))


def filled_score(reading: TeacherForcing, own: Features, instead: Features) -> Score:
    """Return a score: kept sets -> log-probability of the own answer, all other tokens filled.

    The sequence keeps its length. One forward per set.

    Args:
        reading: the question with its answer; its `loaded` is locked here.
        own: the visual tokens.
        instead: what others become, [n, d] or one row for all.
    """

    def score(kept: Sequence[np.ndarray]) -> np.ndarray:
        scores: list[float] = []
        for tokens in kept:
            stays = torch.zeros(len(own.tokens), 1, dtype=torch.bool, device=own.tokens.device)
            stays[torch.as_tensor(np.asarray(tokens, np.int64), device=stays.device)] = True
            pairs = zip((own.tokens, *own.extra), (instead.tokens, *instead.extra), strict=True)
            whole, *extra = (torch.where(stays, one, put) for one, put in pairs)
            with reading.loaded.guarded():
                every = [np.arange(len(own.tokens))]
                found = reading.own_answer(every, Features(whole, tuple(extra)))
                scores.append(float(reading.own(found).sum()))
        return np.array(scores)

    return score
