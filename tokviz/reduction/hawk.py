"""HAWK: which tokens do the heads that matter for vision match with the question?"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch

_QWEN = """0.0875 0.3 0.048 0.0321 0.0104 0.0102 0.0336 0.046 0.054 0.0472 0.0234 0.0537 0.0109
0.0573 0.0276 0.0403 0.0429 0.0352 0.0162 0.0519 0.0553 0.0266 0.0222 0.048 0.0337 0.025 0 0.0224"""
QWEN = np.array(_QWEN.split(), np.float32)
"""Published importance of the 28 heads of the first layer of Qwen2.5-VL-7B, measured by removing
one head at a time."""
EQUAL = "HAWK's head weights are published for the 28 heads of Qwen2.5-VL-7B; here all heads count."


@method(
    "hawk",
    title="HAWK",
    place="before",
    images="together",
    needs=("llm_first_queries", "llm_first_keys"),
    paper="https://arxiv.org/abs/2604.07812",
    year=2026,
    code="peppery77/HAWK",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    several_images=True,
    measured_on=("Qwen2.5-VL-7B", "qwen2_5_vl", 28),
)
def hawk(signals, keep: int, *, heads: Literal["auto", "equal"] = "auto") -> Reduction:
    """Keep the tokens whose first-layer keys fit the question's queries, in the heads that matter.

    In the first layer of the language model, before rotary positions, the scaled products of the
    question's queries with a token's key are averaged over the words of the question. Each head's
    scores get length 1 over the tokens, and heads are summed with their importance. No layer is
    run for it.

    The authors measured the importance of heads by removing one at a time on several benchmarks.
    Their numbers are for Qwen2.5-VL-7B and are used where the first layer has 28 heads; "equal"
    and other models give every head the same weight. Nothing is measured here.
    """
    queries, keys = signals["llm_first_queries"], signals["llm_first_keys"]
    published = heads == "auto" and len(queries) == len(QWEN)
    weights = torch.from_numpy(QWEN) if published else torch.ones(len(queries))
    weights = weights / weights.sum()
    logits = queries @ keys.transpose(1, 2) / math.sqrt(queries.shape[-1])  # [h, m, n]
    fit = torch.nn.functional.normalize(logits.mean(1), dim=-1)
    score = (weights.to(fit)[:, None] * fit).sum(0).cpu()
    order = top_k(score, keep)
    notes = (EQUAL,) if heads == "auto" and not published else ()
    return Reduction.select(order, len(score), score=score, order=order, notes=notes)
