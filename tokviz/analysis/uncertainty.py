"""How sure was the model of each word, and of what the word claims?

The measures are those of lm-polygraph. Claim-conditioned probability: the probability of the likely
next tokens that mean the same as the chosen one, divided by that of those that mean the same or
contradict it. A judge says which token does what; the built-in one only compares spellings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result, number
from tokviz.trace import Trace

Judge = Callable[[str, str, str], str]
"""(text so far, chosen token, other token) -> "entail", "contra" or "neutral"."""

_WORDS = """
a an the is are was were be been am do does did has have had and or but of in on at to from by with
for as it its this that these those there here
"""
FUNCTION_WORDS = frozenset(_WORDS.split())
"Words that claim nothing."


def entropy_nats(probability: np.ndarray) -> np.ndarray:
    """Return the entropy in nats along the last axis; zeros count as 0."""
    p = np.asarray(probability, np.float64)
    return -(p * np.log(np.where(p > 0, p, 1))).sum(-1)


def same_word(before: str, chosen: str, other: str) -> str:
    """Judge by spelling: equal words entail, other words contradict, punctuation is neutral."""
    first, second = (word.strip(" ▁Ġ").lower() for word in (chosen, other))
    if first == second:
        return "entail"
    return "contra" if any(c.isalnum() for c in second) else "neutral"


def combine_directions(forward: str, backward: str) -> str:
    """Combine an entailment model's relations of both directions into one relation.

    One neutral direction leaves the other; entailment against contradiction is neutral.
    """
    if forward == backward:
        return forward
    if {forward, backward} == {"entail", "contra"}:
        return "neutral"
    return backward if forward == "neutral" else forward


def claim_conditioned(probability: Sequence[float], relations: Sequence[str]) -> float:
    """Return the share of tokens with the same meaning among those with the same or the contrary.

    Args:
        probability: of the chosen token and its alternatives.
        relations: of each to the chosen token, "entail" for itself.
    """
    p, relation = np.asarray(probability, np.float64), np.asarray(relations)
    same, contrary = p[relation == "entail"].sum(), p[relation == "contra"].sum()
    return float(same / (same + contrary)) if same + contrary > 0 else 1.0


@analysis(
    "uncertainty",
    title="Uncertainty of each word",
    group="what the answer needs",
    needs=("answer_prob", "answer_ids"),
    may_ask=("judge",),
    meaning="High = the model found this token surprising at the moment when it chose it.",
    not_meaning="A sure model can be wrong, and an unsure one may only hesitate between two ways "
    "of saying the same.",
    exactness="exact",
    cost="No further run; with an entailment model as judge two of its runs per alternative. "
    "Memory: a few candidates per answer token.",
)
def uncertainty(trace: Trace, judge: Judge = same_word) -> Result:
    """Show the surprisal of each answer token, its entropy, and the doubt about its claim.

    Without the recorded entropy of the whole distribution, `entropy` is a lower bound from the
    stored candidates, with all other tokens counted as one. `claim` is 1 for function words.
    """
    p = trace["answer_prob"].astype(np.float64)
    surprisal = -np.log(np.maximum(p, 1e-12))
    notes: list[str] = []
    parts = {
        "probability": Part(p, "t", "probability when it was chosen"),
        "mean": number(surprisal.mean() if len(p) else 0, "mean surprisal"),
        "total": number(surprisal.sum(), "surprisal of the whole answer"),
    }
    if "answer_entropy" in trace:
        parts["entropy"] = Part(trace["answer_entropy"], "t", "entropy of the distribution, nats")
    elif "candidate_prob" in trace:
        likely = trace["candidate_prob"].astype(np.float64)
        rest = np.maximum(1 - likely.sum(1, keepdims=True), 0)
        bound = entropy_nats(np.concatenate([likely, rest], 1))
        parts["entropy"] = Part(bound, "t", "lower bound of the entropy, nats")
        notes.append("The entropy is a lower bound from the stored candidates.")
    if "candidate_ids" in trace and "candidate_prob" in trace and trace.candidate_tokens:
        claim = claim_probabilities(trace, judge)
        parts["claim"] = Part(claim, "t", "claim-conditioned probability")
        parts["claim_score"] = number(-np.prod(claim), "minus their product: higher = less sure")
        if judge is same_word:
            notes.append(
                "Alternatives were judged by their spelling only; give `judge` a model of "
                "entailment to judge them by meaning."
            )
    return Result(surprisal, "t", parts, {"t": trace.pieces}, tuple(notes))


def claim_probabilities(trace: Trace, judge: Judge) -> np.ndarray:
    """Return the claim-conditioned probability of each answer token, [t]."""
    claim = np.ones(trace.t)
    for step, chosen in enumerate(trace.pieces):
        word = chosen.strip().lower()
        if word in FUNCTION_WORDS or not any(c.isalnum() for c in word):
            continue
        before = "".join(trace.pieces[:step])
        own = int(trace["answer_ids"][step])
        others = [
            (judge(before, chosen, text), float(p))
            for token, text, p in zip(
                trace["candidate_ids"][step].tolist(),
                trace.candidate_tokens[step],
                trace["candidate_prob"][step],
                strict=True,
            )
            if token != own
        ]
        relations = ["entail", *(relation for relation, _ in others)]
        probability = [float(trace["answer_prob"][step]), *(p for _, p in others)]
        claim[step] = claim_conditioned(probability, relations)
    return claim
