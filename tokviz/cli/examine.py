"""python -m tokviz diagnose, check and search: how far can an answer, or a map of it, be trusted?

diagnose reports on every word, check removes the tokens that a map calls important, and search
finds the tokens (or the budget of a method) on which the answer depends. All three run the model
again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import tokviz
from tokviz.analysis import ANALYSES
from tokviz.analysis.sinks import sink_mask
from tokviz.capture import Capture
from tokviz.cli.film import add_film_flags, shown
from tokviz.cli.flags import add_model_flags, load_options
from tokviz.cli.interrupt import (
    InterruptionTold,
    left_out_if_interrupted,
    status_of,
    until_interrupted,
)
from tokviz.cli.output import plugins_print_on_stderr, print_json
from tokviz.errors import InputError
from tokviz.examine.counterfactual import Certificate, find_tokens, smallest_keep
from tokviz.examine.faithfulness import Faithfulness, Verdict, check_map
from tokviz.examine.fillings import FILLINGS, Filled, fillings
from tokviz.examine.fillings import sentence as fillings_sentence
from tokviz.examine.pointing import overlap, pointing_energy, pointing_hit, tokens_inside
from tokviz.progress import counting, searching
from tokviz.trace import Trace
from tokviz.trace.stages import CUT_OFF_WORDS
from tokviz.trace.status import marked_title

if TYPE_CHECKING:
    from tokviz.models import VLM

LIMIT_S = 60.0


def add_examine(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Describe the three commands."""
    diagnose = _command(add_parser("diagnose", help="report on every word of an answer"))
    diagnose.set_defaults(run=run_diagnose)
    check = _command(add_parser("check", help="compare an analysis' map with real removal"))
    check.add_argument("--analysis", required=True, metavar="NAME", help="see: tokviz analyses")
    check.add_argument("--region", action="append", default=[], metavar="X0,Y0,X1,Y1",
        help="where the map should look, in pixels of the first picture; repeatable")  # fmt: skip
    instead = "also fill tokens (mean, blurred picture, one colour) in place of removing them"
    check.add_argument("--fillings", action="store_true", help=instead)
    check.set_defaults(run=run_check)
    search = _command(add_parser("search", help="find the tokens on which an answer depends"))
    search.add_argument("--for", dest="kind", default="necessary",
        choices=("necessary", "sufficient", "keep"),
        help="tokens whose removal changes the answer; that alone keep it; or the smallest budget "
        "of a method (default: necessary)")  # fmt: skip
    search.add_argument("--method", help="goes with --for keep (see: tokviz methods)")
    search.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS",
        help="show the best set so far after this time (default: 60)")  # fmt: skip
    search.set_defaults(run=run_search)


def _command(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    add = command.add_argument
    add("image", nargs="+", metavar="IMAGE", help="pictures in the prompt's order, or a film")
    add_film_flags(command)
    add("--prompt", required=True, help="the question")
    add_model_flags(command)
    add("--max-new-tokens", type=int, default=64, metavar="N", help="default: 64")
    add("--json", action="store_true", help="print one JSON object")
    return command


def run_diagnose(arguments: argparse.Namespace) -> None:
    """Print a report on every word."""
    images = shown(arguments, arguments.image)
    vlm, trace = _answered(arguments, images, Capture())
    with _answer_is_kept(arguments, trace):
        report = tokviz.diagnose(vlm, images, arguments.prompt, trace=trace)
    _print(arguments, report.as_record(), str(report))


def run_check(arguments: argparse.Namespace) -> None:
    """Compare a map with random orders, the centre, and itself without sinks."""
    entry, boxes = ANALYSES[arguments.analysis], [_box(text) for text in arguments.region]
    image, prompt = shown(arguments, arguments.image), arguments.prompt
    vlm, trace = _answered(arguments, image)
    with _answer_is_kept(arguments, trace), counting(arguments, "forward") as progress:
        result = vlm.analyse(entry.name, image, prompt, trace=trace)
        axes = result.axes.split()
        if axes[-1:] != ["n"]:
            raise InputError(f"{entry.title} gives no map over the visual tokens to check.")
        importance = np.asarray(result.values, np.float64).reshape(-1, trace.n).mean(0)
        looks = look_record(importance, trace, boxes)
        runs = vlm.further_runs(image, prompt, trace)
        sinks = np.asarray(sink_mask(trace)[0].any(0)) if "sink_phi" in trace else None
        verdict = check_map(runs.score, importance, trace.layout, sinks=sinks, progress=progress)
    text, record = verdict_text(entry.title, verdict), verdict_record(verdict)
    if arguments.fillings:
        found = fillings({name: runs.filled(name) for name in FILLINGS}, importance)
        text, record = text + fillings_text(found), record | fillings_record(found)
    _print(arguments, record | looks, text + look_text(looks))


def fillings_record(found: Mapping[str, Filled]) -> dict[str, Any]:
    """Return the curves with each filling as JSON-ready values."""
    return {
        "fillings": {
            name: {
                **_curves(one.map),
                "random_gaps": list(one.random_gaps),
                "none": one.none,
                "beats_chance": bool(one.beats_chance),
            }
            for name, one in found.items()
        },
        "fillings_sentence": fillings_sentence(found),
    }


def fillings_text(found: Mapping[str, Filled]) -> str:
    """Return the same as a small table."""
    lines = ["", f"{'filling':<16}{'deletion':>10}{'gap':>8}{'random':>8}{'none':>9}"]
    for name, one in found.items():
        chance = float(np.mean(one.random_gaps))
        numbers = f"{one.map.deletion_auc:>10.2f}{one.map.gap:>8.2f}{chance:>8.2f}"
        lines.append(f"{name:<16}{numbers}{one.none:>9.2f}")
    return "\n".join([*lines, fillings_sentence(found)])


def _box(text: str) -> tuple[float, float, float, float]:
    """Read one --region."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--region must be X0,Y0,X1,Y1 in pixels, got {text[:60]!r}.") from None
    if not (x0 < x1 and y0 < y1):
        raise InputError(f"--region must have X0 < X1 and Y0 < Y1, got {text[:60]!r}.")
    return x0, y0, x1, y1


def look_record(
    importance: np.ndarray, trace: Trace, boxes: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """Return how well a map [n] points at a region of the first picture; {} without a region."""
    if not boxes:
        return {}
    region = tokens_inside(trace.layout, boxes)
    if not region.any():
        raise InputError("no visual token has its middle in --region; take a larger one.")
    energy = pointing_energy(importance, region) if importance.min(initial=0) >= 0 else None
    looks = {"hit": pointing_hit(importance, region), "energy": energy}
    area = {"area": float(region.mean())}
    return {"region": looks | overlap(importance, region) | area}


def look_text(looks: Mapping[str, Any]) -> str:
    """Return the same as a line of text."""
    if not looks:
        return ""
    found = looks["region"]
    energy = "" if found["energy"] is None else f", {found['energy']:.0%} of the map's sum in it"
    return (
        f"\nRegion ({found['area']:.0%} of the tokens): the largest value is "
        f"{'inside' if found['hit'] else 'outside'}{energy}, overlap (IoU) {found['iou']:.2f}."
    )


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON-ready values."""
    return {
        "beats_chance": bool(verdict.beats_chance),
        "sentence": verdict.sentence(),
        "forwards": verdict.forwards,
        "full": verdict.full,
        "none": verdict.none,
        "random_gaps": list(verdict.random_gaps),
        "orders": {name: _curves(one) for name, one in _orders(verdict).items()},
    }


def verdict_text(title: str, verdict: Verdict) -> str:
    """Return a verdict as a small table and its sentence."""
    lines = [
        f"{title}: {verdict.sentence()}",
        f"{'order':<16}{'deletion':>10}{'insertion':>11}{'gap':>8}{'compr.':>8}{'suff.':>8}",
    ]
    for name, one in _orders(verdict).items():
        numbers = f"{one.deletion_auc:>10.2f}{one.insertion_auc:>11.2f}{one.gap:>8.2f}"
        lines.append(f"{name:<16}{numbers}{one.comprehensiveness:>8.2f}{one.sufficiency:>8.2f}")
    if "without sinks" not in verdict.rivals:
        lines.append("No sinks are known here, so there is no order without them.")
    lines.append(
        f"Tokens were really removed, {verdict.forwards} forwards. The answer's log-probability is "
        f"{verdict.full:.2f} with all tokens and {verdict.none:.2f} with none; areas are under "
        "curves where these are 1 and 0. A good map: deletion, sufficiency low; insertion, gap, "
        "comprehensiveness high."
    )
    return "\n".join(lines)


def _orders(verdict: Verdict) -> Mapping[str, Faithfulness]:
    return {"the map": verdict.map, **verdict.rivals}


def _curves(one: Faithfulness) -> dict[str, Any]:
    names = ("deletion_auc", "insertion_auc", "gap", "comprehensiveness", "sufficiency")
    arrays = ("fractions", "most_first", "least_first")
    return {name: float(getattr(one, name)) for name in names} | {
        name: np.asarray(getattr(one, name)).tolist() for name in arrays
    }


def run_search(arguments: argparse.Namespace) -> int:
    """Search the tokens, or the budget, that the answer stands on."""
    if (arguments.kind == "keep") != (arguments.method is not None):
        raise InputError("--for keep and --method go together.")
    if not arguments.limit > 0:
        raise InputError(f"--limit must be more than 0 seconds, got {arguments.limit}.")
    if arguments.kind == "keep":
        return _search_budget(arguments)
    images = shown(arguments, arguments.image)
    vlm, trace = _answered(arguments, images)
    with _answer_is_kept(arguments, trace):
        runs = vlm.further_runs(images, arguments.prompt, trace, arguments.max_new_tokens)
    maps = [tokviz.analyse(name, trace).values.mean(0) for name in ("attention", "tam")]
    bar = searching(arguments, "answer", "smallest set so far: {} tokens")
    try:
        with until_interrupted(found=True) as stop, bar as told:
            found = find_tokens(
                runs.answers, trace.n, maps, arguments.kind, limit_s=arguments.limit,
                progress=told, stop=stop,
            )  # fmt: skip
    except InterruptionTold:
        _leave_with_answer(arguments, trace)
    _print(arguments, _record(found, trace.finish), certificate_text(found, trace.finish))
    return status_of(stop)


def _record(found: Certificate, finish: str = "") -> dict[str, Any]:
    told = {"tokens": found.tokens.tolist(), "sentence": found.sentence(), "finish": finish}
    return {**asdict(found), **told}


def certificate_text(found: Certificate, finish: str = "") -> str:
    """Return a certificate with the answers before and after.

    Args:
        found: the certificate.
        finish: why the answer with all tokens ended, a key of FINISHES.
    """
    cut = f" ({word})" if (word := CUT_OFF_WORDS.get(finish)) else ""
    gone = "without the set" if found.kind == "necessary" else "with the set alone"
    lines = [found.sentence()]
    if found.found and len(found.tokens):
        lines.append(f"Tokens: {', '.join(map(str, found.tokens))}")
        lines.append(f"Answer with all tokens: {found.before}{cut}")
        lines.append(f"Answer {gone}: {found.after}")
    if len(found.tokens) and found.minimal:
        lines.append("No single token can be left out of this set; other sets may do as well.")
    return "\n".join([*lines, f"{found.runs} answers written in {found.seconds:.1f} s."])


def _search_budget(arguments: argparse.Namespace) -> int:
    images = shown(arguments, arguments.image)
    vlm = tokviz.load(arguments.model, **load_options(arguments))
    with vlm.guarded():
        prepared = vlm.prepare(images, arguments.prompt)
    layout = prepared.asked.layout
    n, entry = layout.n, tokviz.METHODS[arguments.method]
    least = len(layout.tiles) if entry.tiles == "each" else 1
    least = max(least, len(layout.sizes) if entry.images == "each" else 1)
    with until_interrupted() as stop, plugins_print_on_stderr():

        def answer_at(budgets: list[int]) -> Sequence[str]:
            plans = [tokviz.plan(arguments.method, keep=budget) for budget in budgets]
            *_, lanes = vlm.stream_prepared(
                prepared, plans, arguments.max_new_tokens, Capture.nothing(), stop, strict=True
            )
            return [lane.text for lane in lanes]

        keep, tried = smallest_keep(answer_at, n, least=least, limit_s=arguments.limit, stop=stop)
    title = marked_title(entry)
    failed = [budget for budget, holds in tried.items() if not holds]
    text = (
        f"{title}: the answer holds from {keep} of {n} visual tokens on, at all "
        f"{sum(budget >= keep for budget in tried)} budgets that were tried there.\n"
        f"It changes at: {', '.join(map(str, failed)) or 'none of those tried'}."
    )
    record = {
        "method": arguments.method, "verified": entry.verified, "keep": keep, "total": n,
        "tried": tried,
    }  # fmt: skip
    _print(arguments, record, text)
    return status_of(stop)


def _answered(
    arguments: argparse.Namespace, images: list[Any], capture: Capture | None = None
) -> tuple[VLM, Trace]:
    """Load the model and answer; on Ctrl-C print the answer so far and leave."""
    vlm = tokviz.load(arguments.model, **load_options(arguments))
    asked = images, arguments.prompt, None, arguments.max_new_tokens
    with until_interrupted() as stop, plugins_print_on_stderr():
        trace = vlm.answer(*asked, capture, stop)
    if stop.is_set():
        _leave_with_answer(arguments, trace)
    return vlm, trace


@contextmanager
def _answer_is_kept(arguments: argparse.Namespace, trace: Trace) -> Iterator[None]:
    """On Ctrl-C in the block print the finished answer and leave."""
    with left_out_if_interrupted() as stop, plugins_print_on_stderr():
        yield
    if stop.is_set():
        _leave_with_answer(arguments, trace)


def _leave_with_answer(arguments: argparse.Namespace, trace: Trace) -> NoReturn:
    record = {"prompt": trace.prompt, "answer": trace.answer, "finish": trace.finish}
    text = f"{trace.prompt} → {trace.answer}"
    if word := CUT_OFF_WORDS.get(trace.finish):
        text += f" ({word})"
    _print(arguments, {"interrupted": True, **record}, text)
    raise InterruptionTold


def _print(arguments: argparse.Namespace, record: Mapping[str, Any], text: str) -> None:
    if arguments.json:
        print_json(record)
    else:
        print(text)
