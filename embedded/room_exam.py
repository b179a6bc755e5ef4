"""Is there room to prune in model 2? Prefill with few and with all visual tokens, timed here."""

import statistics
import time

import torch

from embedded.exams import Examinee

TEXT = 20
"""Text tokens beside the visual ones, as in a short question."""
DECODED = 4
"""Tokens of a short answer."""


@torch.no_grad()
def seconds(examinee: Examinee, visual: int) -> tuple[float, float]:
    """Time a prefill, and the prefill with a short answer behind it."""
    decoder = examinee.model.model.language_model
    inputs = torch.randn(1, visual + TEXT, decoder.config.hidden_size)
    began = time.perf_counter()
    out = decoder(inputs_embeds=inputs, use_cache=True)
    prefill = time.perf_counter() - began
    for _ in range(DECODED):
        logits = examinee.model.lm_head(out.last_hidden_state[:, -1:])
        out = decoder(logits.argmax(-1), past_key_values=out.past_key_values, use_cache=True)
    return prefill, time.perf_counter() - began


def room(examinee: Examinee, runs: int = 10) -> dict:
    """Compare 64 visual tokens with 576, in turns, after one run to warm up."""
    seconds(examinee, 64)
    few, many = [], []
    for _ in range(runs):
        few.append(seconds(examinee, 64))
        many.append(seconds(examinee, 576))
    prefill = [statistics.median(run[0] for run in times) for times in (few, many)]
    return {
        "prefill_64_seconds": round(prefill[0], 4),
        "prefill_576_seconds": round(prefill[1], 4),
        "prefill_ratio": round(prefill[0] / prefill[1], 3),
        "answers_sooner": sum(a[1] < b[1] for a, b in zip(few, many, strict=True)),
        "runs": runs,
    }
