"""Which words depend on the image, and which would have been said anyway?

The run's own answer is scored again by teacher forcing with a control in place of the image. A word
that stays as probable without the image comes from the language alone: when it names an object, a
hint of hallucination, not a proof. Each control shifts the distribution in a different way, so
several are shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tokviz.analysis.declare import analysis
from tokviz.analysis.result import Part, Result
from tokviz.errors import InputError, MissingSignal
from tokviz.trace import Trace
from tokviz.trace.schema import CONTROLS

LEAST = 1e-12
"Smaller probabilities are raised to this, so that the difference of their logarithms stays finite."
WINDOW = 8
"Answer tokens of the running mean."
LONG, LEAST_BITS = 24, 0.1
"A warning takes at least so many tokens, and so many bits per token in the first third."
MEASURES = {
    "kl": "divergence of the distribution with the image from that with the control, nats",
    "js": "how far apart both distributions are, Jensen-Shannon: 0 = equal, 1 = disjoint",
    "tv": "the same by total variation: 0 = equal, 1 = disjoint",
    "flips": "1 = another token is the most probable with the control",
}


def log_ratio(with_image: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Return ln p(with the image) - ln p(without); NaN where one of them is."""
    return np.log(np.maximum(with_image, LEAST)) - np.log(np.maximum(without, LEAST))


def divergences(with_image: np.ndarray, without: np.ndarray) -> dict[str, np.ndarray]:
    """Compare whole distributions [..., v].

    Returns:
        kl (nats), js (divided by ln 2, so 0 to 1), tv (total variation, 0 to 1), flips (the most
        probable token changed), each [...].
    """
    p, q = (np.maximum(np.asarray(x, np.float64), 0) for x in (with_image, without))
    middle = (p + q) / 2
    return {
        "kl": _kl(p, q),
        "js": (_kl(p, middle) + _kl(q, middle)) / 2 / np.log(2),
        "tv": np.abs(p - q).sum(-1) / 2,
        "flips": p.argmax(-1) != q.argmax(-1),
    }


def _kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    ratio = np.log(np.where(p > 0, p, 1)) - np.log(np.maximum(np.where(p > 0, q, 1), LEAST))
    return (p * ratio).sum(-1)


@analysis(
    "image_dependence",
    title="Image dependence of each word",
    group="what the answer needs",
    needs=("answer_prob",),
    may_ask=("controls",),
    uses=("control_prob",),
    forwards=lambda size, **options: len(CONTROLS) + 1,
    meaning="Bits by which the image makes this token more probable than the control does; near "
    "0 = it would have been said anyway.",
    not_meaning="A high value does not mean that the word is true, a low one not that it is "
    "false; the number depends on the control.",
    exactness="exact",
    cost="One teacher-forced forward per control. Memory: answer tokens x vocabulary numbers "
    "for each of them.",
)
def image_dependence(trace: Trace, controls: Mapping[str, np.ndarray] | None = None) -> Result:
    """Compare the probability of each answer token with the image and with each control.

    Controls may be given as probabilities of the answer tokens [t], or as whole distributions
    [t, v] together with the one of the real image under the name `full`. Long answers tend to lean
    on their own text: `so_far` is the dependence by place in the answer, and a note warns where the
    last third of at least 24 tokens depends on the image less than half as much as the first.
    """
    if controls is None and "control_prob" not in trace:
        raise MissingSignal(
            "Image dependence needs the answer scored with control images (control_prob), which "
            "this trace does not hold. It takes one more forward each with a blank, blurred, noise "
            "and removed image."
        )
    given = dict(controls or zip(CONTROLS, trace["control_prob"], strict=True))
    whole = given.pop("full", None)
    own = trace["answer_prob"].astype(np.float64)
    parts: dict[str, Part] = {}
    if whole is not None:
        own, parts = _from_distributions(trace, whole, given)
    without = np.array([_checked(name, p, trace.t) for name, p in given.items()])
    without = without.reshape(len(given), trace.t)
    bits = log_ratio(own, without) / np.log(2)
    # [controls, t] -> [t]: the smallest over the controls that are known, NaN where none is
    seen = np.isfinite(bits).any(0) if len(bits) else np.zeros(trace.t, bool)
    least = np.where(seen, np.where(np.isfinite(bits), bits, np.inf).min(0, initial=np.inf), np.nan)
    parts |= {
        "difference": Part(own - without, "x t", "difference of the probabilities"),
        "control": Part(without, "x t", "probability with each control"),
        "least": Part(least, "t", "smallest of the controls: what no control can explain"),
        "so_far": Part(running_mean(least), "t", f"its mean over the last {WINDOW} answer tokens"),
    }
    notes = fading(least)
    return Result(bits, "x t", parts, {"x": tuple(given), "t": trace.pieces}, notes)


def running_mean(least: np.ndarray) -> np.ndarray:
    """Return the mean over each token and the ones before it, up to WINDOW, without NaN, [t]."""
    known = np.isfinite(least)
    total = np.cumsum(np.concatenate([[0], np.where(known, least, 0)]))
    count = np.cumsum(np.concatenate([[0], known]))
    start = np.maximum(np.arange(len(least)) + 1 - WINDOW, 0)
    end = np.arange(len(least)) + 1
    seen = count[end] - count[start]
    return np.where(seen > 0, (total[end] - total[start]) / np.maximum(seen, 1), np.nan)


def fading(least: np.ndarray) -> tuple[str, ...]:
    """Return a warning where the last third of a long answer depends much less on the image.

    Args:
        least: bits by which the image makes each answer token more probable, [t], NaN = not known.
    """
    third = len(least) // 3
    if len(least) < LONG:
        return ()
    parts = (least[:third], least[-third:])
    known = [part[np.isfinite(part)] for part in parts]
    if not all(map(len, known)):
        return ()
    early, late = (float(part.mean()) for part in known)
    if early < LEAST_BITS or late >= early / 2:
        return ()
    return (
        f"The image makes the last third of this answer more probable by {late:.2f} bits per token,"
        f" the first third by {early:.2f}: what stands late may come from the text alone.",
    )


def _from_distributions(
    trace: Trace, whole: np.ndarray, given: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, Part]]:
    """Compare whole distributions [t, v].

    Returns:
        The answer tokens' probabilities with the image [t], and one part per measure. In `given`
        each distribution is replaced by its probabilities of the answer tokens [t].
    """
    steps, ids = np.arange(trace.t), trace["answer_ids"]
    found: dict[str, list[np.ndarray]] = {}
    for name, distribution in given.items():
        if np.shape(distribution) != np.shape(whole):
            raise InputError(f"the control {name!r} must be [t, v] like 'full'.")
        for measure, values in divergences(whole, distribution).items():
            found.setdefault(measure, []).append(values)
        given[name] = np.asarray(distribution)[steps, ids]
    parts = {name: Part(np.stack(v), "x t", MEASURES[name]) for name, v in found.items()}
    return np.asarray(whole, np.float64)[steps, ids], parts


def _checked(name: str, probability: np.ndarray, t: int) -> np.ndarray:
    probability = np.asarray(probability, np.float64)
    if probability.shape != (t,):
        raise InputError(
            f"the control {name!r} must hold {t} probabilities, got {probability.shape}; whole "
            "distributions need 'full' beside them."
        )
    return probability
