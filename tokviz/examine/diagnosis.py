"""Which words of an answer may be hallucinated, and what is the evidence?

    report = tokviz.diagnose("embedded", "scene.png", "is there a dog ?")
    print(report)

It takes one run, the same answer scored again with control images, and the logit lens of every
layer. A word is flagged by a simple rule (`reason_of`): it says something about the picture, and it
is improbable, or not quite sure and as probable without a picture. How often the flag is right was
measured on the embedded model, beside every single signal (docs/diagnosis.md); `how_often` reads
these figures, and every report shows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tokviz import models
from tokviz.analysis import analyse
from tokviz.analysis.concentration import area_of_mass
from tokviz.analysis.sinks import sink_mask, sink_share
from tokviz.analysis.uncertainty import FUNCTION_WORDS
from tokviz.capture import Capture
from tokviz.errors import MissingSignal
from tokviz.keywords import tells_arguments
from tokviz.shipped_files import ASSETS
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import mean_over_layers
from tokviz.trace.schema import CONTROLS
from tokviz.trace.stages import CUT_OFF_WORDS

if TYPE_CHECKING:
    from tokviz.models import VLM


class Rule(NamedTuple):
    """When a word that claims something is flagged."""

    unsure: float
    "A word less probable than this is flagged."
    sure: float
    "A word less probable than this is flagged where the picture adds next to nothing."
    carried: float
    "Bits; a picture that adds fewer to a word, compared with a control, adds next to nothing."


RULE = Rule(unsure=0.4, sure=0.95, carried=0.2)
"""Chosen by `python -m benchmarks.diagnosis`."""
FIGURES = ASSETS / "model/diagnosis.json"
"""How often the flag was right, as measured by `python -m benchmarks.diagnosis --write`."""
INSTEAD = {
    "blank": "a blank image",
    "blurred": "a blurred image",
    "noise": "noise",
    "removed": "no image",
}
"Name of a control -> what replaces the image, in words."
MASS = 0.5
"The box contains the tokens with this share of the word's map."


LEGEND = (
    "(! = flagged; p = probability; image = bits by which the image makes the word more probable "
    "than control images do, least to most)"
)


@dataclass(frozen=True)
class Word:
    """One word of the answer, of one token or several."""

    text: str
    tokens: tuple[int, int]
    "First answer token, and the one after the last."
    probability: float
    "Product over its tokens."
    entropy: float
    "Largest entropy of its tokens' distributions, nats."
    dependence: dict[str, float]
    "Control -> bits by which the image makes the word more probable than the control."
    area: float
    "Share of visual tokens that hold 85 % of its Token Activation Map; small = concentrated."
    box: tuple[int, tuple[float, float, float, float]] | None
    "Image number, and the box around half of the map in pixels; None if the map is empty."
    image_share: float
    "Share of attention on the image, mean over layers, heads and tokens."
    sink_share: float | None
    "Share of the image attention on visual sinks; None where the model has no sink dimensions."
    decided_at: int
    "Layer from which on the logit lens reads its first token; the number of layers = none."
    flagged: bool
    reason: str
    "Why it is flagged, or why not."


@dataclass(frozen=True)
class Report:
    """The report on each word of one answer."""

    model: str
    prompt: str
    answer: str
    words: tuple[Word, ...]
    finish: str = ""
    "Why the answer ended, a key of `tokviz.trace.stages.FINISHES`."
    warnings: tuple[str, ...] = ()
    "Sentences about the whole answer, such as an end that leans on the text alone."

    @property
    def flagged(self) -> tuple[Word, ...]:
        """The words that are flagged."""
        return tuple(word for word in self.words if word.flagged)

    def as_record(self) -> dict[str, Any]:
        """Return the report as JSON-ready values, with how often its flag was right."""
        return {**asdict(self), "how_often": how_often()}

    def __str__(self) -> str:
        reason = CUT_OFF_WORDS.get(self.finish)
        cut = f" ({reason})" if reason else ""
        lines = [f"{self.prompt} → {self.answer}{cut}", LEGEND]
        for word in self.words:
            least, most = (round(f(word.dependence.values()), 1) + 0.0 for f in (min, max))
            lines.append(
                f"{'!' if word.flagged else ' '} {word.text:<12} p {word.probability:.2f}  "
                f"image {least:+.1f} to {most:+.1f} bits  "
                f"attention on image {word.image_share:.0%}  "
                f"decided at layer {word.decided_at}  {word.reason}"
            )
        return "\n".join([*lines, *self.warnings, how_often()])


@tells_arguments
def diagnose(
    model: VLM | str, image: Any, prompt: str, max_new_tokens: int = 64, trace: Trace | None = None
) -> Report:
    """Report on every word of the model's answer.

    Args:
        model: a loaded model, or an argument of `tokviz.load`.
        image: a picture, or a list of them.
        prompt: the question.
        max_new_tokens: 1 to 1024.
        trace: a finished run of the question with everything that the page records; default a new
            run.

    Raises:
        InputError: an image or prompt that cannot be used.
        MissingSignal: the answer is empty.
    """
    vlm: Any = model if hasattr(model, "answer") else models.load(model)  # type: ignore[arg-type]
    if trace is None:
        trace = vlm.answer(image, prompt, None, max_new_tokens, Capture())
    if not trace.t:
        raise MissingSignal("the model gave an empty answer: there is no word to report on.")
    runs = vlm.further_runs(image, prompt, trace)
    dependence = analyse("image_dependence", trace, runs={"controls": runs.controls()})
    report = report_of(trace, dependence.values, decided_layers(runs.layer_words(), trace))
    return replace(report, warnings=dependence.notes)


def report_of(trace: Trace, bits: np.ndarray, decided: np.ndarray) -> Report:
    """Return the report of a run.

    Args:
        trace: the run.
        bits: [x, t], from the analysis `image_dependence`.
        decided: [t], from `decided_layers`.
    """
    maps = analyse("tam", trace)
    shares = mean_over_layers(trace["mass"][..., 1].astype(np.float64).mean(2), 1)
    sinks = _sink_shares(trace)
    words = []
    for number, (start, stop) in enumerate(trace.word_spans):
        text = "".join(trace.pieces[start:stop]).strip()
        probability = float(np.prod(trace["answer_prob"][start:stop], dtype=np.float64))
        gain = {
            name: float(np.round(one, 3))
            for name, one in zip(CONTROLS, bits[:, start:stop].sum(1), strict=True)
        }
        flagged, reason = reason_of(text, probability, gain)
        values = maps["words"].values[number]
        words.append(
            Word(
                text,
                (start, stop),
                probability,
                float(trace["answer_entropy"][start:stop].max()),
                gain,
                float(area_of_mass(values, 0.85)),
                box_of(values, trace),
                float(shares[start:stop].mean()),
                None if sinks is None else float(sinks[start:stop].mean()),
                int(decided[start]),
                flagged,
                reason,
            )
        )
    name = str(trace.model.get("name", ""))
    return Report(name, trace.prompt, trace.answer, tuple(words), trace.finish)


def how_often(figures: Mapping[str, Any] | None = None) -> str:
    """Return a sentence about how often the flag was right.

    Args:
        figures: counts of one set of scenes from `benchmarks.diagnosis`; default the committed
            counts of scenes that were not used to choose the rule.
    """
    if figures is None:
        if not FIGURES.is_file():
            return "How often this flag is right has not been measured here."
        figures = json.loads(FIGURES.read_text(encoding="utf-8"))["held_out"]
    caught, alarms, wrong = (figures[name] for name in ("caught", "alarms", "wrong"))
    return (
        f"The flag on held-out pictures of the embedded model: {caught} of {caught + alarms} "
        f"flagged answers were wrong, and {caught} of {wrong} wrong answers were flagged."
    )


def claims(text: str) -> bool:
    """Return whether a word says something about the picture; articles and punctuation do not."""
    return text.lower() not in FUNCTION_WORDS and any(c.isalnum() for c in text)


def reason_of(
    text: str, probability: float, gain: Mapping[str, float], rule: Rule = RULE
) -> tuple[bool, str]:
    """Return whether a word is flagged, and why.

    Args:
        text: the word.
        probability: 0 to 1.
        gain: control -> bits by which the image makes the word more probable.
        rule: default the one that was chosen on the embedded model.
    """
    if not claims(text):
        return False, "claims nothing"
    if probability < rule.unsure:
        return True, f"unsure: probability {probability:.2f}"
    without = gain["removed"]
    if probability < rule.sure and without < rule.carried:
        return True, f"as probable without the picture ({without + 0.0:+.1f} bits)"
    most = max(gain, key=gain.__getitem__)
    if gain[most] < rule.carried:
        return False, "sure, but as probable with every control: no proof that it was seen"
    return False, f"less probable with {INSTEAD[most]} (by {gain[most]:.1f} bits)"


def decided_layers(words: np.ndarray, trace: Trace) -> np.ndarray:
    """Return from which layer on each answer token is the most probable one.

    Args:
        words: int [l, t], most probable word after each layer, by the logit lens.
        trace: the run.

    Returns:
        int [t]; the number of layers if not even the last layer has the token.
    """
    agree = words == trace["answer_ids"][None]
    return len(words) - np.cumprod(agree[::-1], 0).sum(0)


def box_of(
    values: np.ndarray, trace: Trace
) -> tuple[int, tuple[float, float, float, float]] | None:
    """Return image and box around the largest values [n] that hold half of a map; None if empty."""
    box, owner = trace.layout.box, trace.layout.image
    there = np.isfinite(box).all(1)
    total = values[there].sum()
    if total <= 0:
        return None
    best = np.argsort(-np.where(there, values, -1), kind="stable")
    cumulative = np.cumsum(values[best])
    image = int(owner[best[0]])
    chosen = best[: int((cumulative < MASS * total).sum()) + 1]
    chosen = chosen[owner[chosen] == image]
    x0, y0 = box[chosen, :2].min(0)
    x1, y1 = box[chosen, 2:].max(0)
    return image, (float(x0), float(y0), float(x1), float(y1))


def _sink_shares(trace: Trace) -> np.ndarray | None:
    """Return the share of the image attention on sinks, mean over layers, [t]."""
    if "sink_phi" not in trace or not len(trace["sink_dims"]):
        return None
    mask = sink_mask(trace)[0]
    return mean_over_layers(sink_share(trace["attention"].astype(np.float64), mask), 1)
