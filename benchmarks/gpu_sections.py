"""What is measured of one model: each section yields rows and stands by itself."""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import torch

import tokviz
from benchmarks.engine import STEPPING
from benchmarks.gpu_model import Bench, Timed, free_memory, less, ratio
from benchmarks.table import Row
from tokviz.analysis import analyse
from tokviz.capture import Capture

SHARES = (50, 25, 10)
NEW = 32
STORY = 100
"""Answer tokens that TAM is timed on."""
METHOD = "fastervlm"


def looking(bench: Bench) -> Iterator[Row]:
    """Prefill (with the tower) and decode, with and without capture, against generate()."""
    ways: dict[str, Timed] = {}
    for new, part in ((1, "prefill"), (1 + NEW, "all")):
        ways[f"plain {part}"] = bench.generating(new)
        ways[f"off {part}"] = bench.asking([None], Capture.nothing(), new)
        ways[f"on {part}"] = bench.asking([None], None, new)
    took = {name: seconds["all"] for name, seconds in bench.in_turns(ways).items()}
    for name in ("plain", "off", "on"):
        took[f"{name} decode"] = less(took[f"{name} all"], took[f"{name} prefill"])
    parts = ("prefill", "decode", "all")
    plain = ", ".join(f"{p} {median(took[f'plain {p}']) * 1000:.0f} ms" for p in parts)
    yield Row("plain `generate()`, SDPA", plain, f"{bench.unit}, {NEW} new tokens")
    for name, what, limit in (
        ("off", "capture off", "1.02"),
        ("on", "capture of all the page shows", "1.10"),
    ):
        value = ", ".join(f"{p} {ratio(took[f'{name} {p}'], took[f'plain {p}'])}" for p in parts)
        yield Row(what, value, f"of plain; wanted at most {limit}")


def eager(bench: Bench) -> Iterator[Row]:
    """Eager attention with output_attentions: its time and peak memory, or where it ends."""
    what = "eager + output_attentions"
    plain, on = bench.generating(1 + NEW), bench.asking([None], None, 1 + NEW)
    more = {"output_attentions": True, "return_dict_in_generate": True}
    slow = bench.generating(1 + NEW, "eager", **more)
    peaks = f"peak memory: plain {bench.peak(plain)}, tokviz with all captured {bench.peak(on)}"
    try:
        peak = bench.peak(slow)
        seconds, base = slow()["all"], plain()["all"]
    except torch.OutOfMemoryError:
        value, peak = f"out of memory at {bench.n} visual tokens", ""
    else:
        value, peak = f"{seconds / base:.2f} ×", f", this {peak}"
    free_memory()
    yield Row(what, value, f"of plain, once after a warm-up; {peaks}{peak}")


def removing_before(bench: Bench) -> Iterator[Row]:
    """Keep a share before the language model, against prompts that short from the start."""
    ways = {"all": bench.prefilling(None)}
    for share in SHARES:
        plan = tokviz.plan(METHOD, keep=bench.kept(share))
        ways |= {f"plain {share}": bench.short(share), f"ours {share}": bench.prefilling(plan)}
    took = bench.in_turns(ways)
    for share in SHARES:
        ours, plain = took[f"ours {share}"], took[f"plain {share}"]["prefill"]
        tower = zip(ours["encode"], took["all"]["encode"], strict=True)
        decide = [d + max(a - b, 0) for d, (a, b) in zip(ours["decide"], tower, strict=True)]
        whole = [p + d for p, d in zip(ours["prefill"], decide, strict=True)]
        how = f"of a plain prefill of {median(plain) * 1000:.1f} ms, wanted at most 1.10; decision "
        how += f"{median(decide) * 1000:.1f} ms, without it {ratio(ours['prefill'], plain)}; "
        how += f"prefill {ratio(ours['prefill'], took['all']['prefill'])} that of all tokens"
        yield Row(f"{METHOD} keeps {share} %, decision included", ratio(whole, plain), how)


def removing_inside(bench: Bench) -> Iterator[Row]:
    """Keep a share from layer 2 on, against the layers' share of both plain prefills."""
    layers = bench.vlm.info["layers"]
    ways = {"plain 100": bench.short(100)}
    for share in SHARES:
        plan = tokviz.plan("fastv", keep=bench.kept(share), layer=2)
        ways |= {f"plain {share}": bench.short(share), f"ours {share}": bench.prefilling(plan)}
    took = bench.in_turns(ways)
    full = took["plain 100"]["prefill"]
    for share in SHARES:
        few, ours = took[f"plain {share}"]["prefill"], took[f"ours {share}"]
        expected = [(2 * a + (layers - 2) * b) / layers for a, b in zip(full, few, strict=True)]
        how = f"of {median(expected) * 1000:.1f} ms, 2 layers with all and {layers - 2} with few "
        how += f"tokens, wanted at most 1.10; decision {median(ours['decide']) * 1000:.1f} ms of it"
        yield Row(f"fastv keeps {share} % from layer 2 on", ratio(ours["prefill"], expected), how)


def together(bench: Bench) -> Iterator[Row]:
    """Four lanes together against one."""
    names = (METHOD, "divprune", "fastv")
    plans = [None, *(tokviz.plan(name, keep=bench.kept(10)) for name in names)]
    ways = {"one": bench.asking([None], None, 1 + NEW)}
    ways |= {name: bench.asking(plans, None, 1 + NEW, after) for name, after in STEPPING.items()}
    took = {name: seconds["all"] for name, seconds in bench.in_turns(ways).items()}
    how = f"of one lane with all tokens, wanted at most 1.50; the others {', '.join(names)} at 10 %"
    for name in STEPPING:
        yield Row(f"4 lanes, {name}", ratio(took[name], took["one"]), how)


def tam(bench: Bench) -> Iterator[Row]:
    """The token activation map of a long answer."""
    lanes: list[Any] = []
    write: Timed = lambda: bench.timed(lambda: lanes.extend(bench.ask([None], None, STORY)))  # noqa: E731
    writing = bench.generating(STORY)
    write()
    draw: Timed = lambda: bench.timed(lambda: analyse("tam", lanes[0].trace))  # noqa: E731
    took = bench.in_turns({"plain": writing, "tam": draw})
    share = median(took["tam"]["all"]) / median(took["plain"]["all"])
    how = f"of the {median(took['plain']['all']):.2f} s of plain generate(), wanted at most 1 %"
    yield Row(f"TAM of {STORY} answer tokens", f"{share:.1%}", how)


def agreement(bench: Bench) -> Iterator[Row]:
    """Removing against masking in bfloat16: the same most probable next words?"""
    for share in SHARES:
        kept = bench.every(share)
        ours, masked = logits(bench, kept, remove=True), logits(bench, kept, remove=False)
        what = f"removing = masking at {share} %, argmax"
        if not (ours.isfinite().all() and masked.isfinite().all()):
            yield Row(what, "–", "random weights gave numbers that are not finite")
            continue
        same = (ours.argmax(-1) == masked.argmax(-1)).float().mean().item()
        off = ((ours - masked).abs().max() / masked.std()).item()
        how = f"{len(ours)} rows of text; largest difference {off:.3f} of the logits' spread"
        yield Row(what, f"{same:.0%}", how)


def logits(bench: Bench, kept: np.ndarray, remove: bool) -> torch.Tensor:
    """Return float32 logits [rows, v] after the image, tokens removed or masked."""
    vlm, prepared = bench.vlm, bench.prepared
    layout = prepared.asked.layout
    text = len(prepared.asked.prompt_ids) - int(layout.position[-1]) - 1
    inputs: dict[str, Any] = bench.removed(kept)
    if not remove:
        inputs = {**prepared.inputs, "position_ids": prepared.positions}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        inputs["attention_mask"][0, np.delete(layout.position, kept)] = 0
    with torch.inference_mode():
        return vlm.model(**inputs, logits_to_keep=text).logits[0].float()


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    one.__name__: one
    for one in (looking, removing_before, removing_inside, together, tam, agreement, eager)
}
"""In the order in which they are measured; the one that may run out of memory is last."""
