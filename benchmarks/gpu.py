"""python -m benchmarks.gpu [--small] [--only NAME] [--write]: speed at real shapes, in one table.

Random weights, one question, bfloat16. All ways of answering take turns in one run; medians count.
Picture preparation is left out on both sides. Without a GPU use --small: the figures then say that
the program runs, and nothing about a GPU.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import tokviz
from benchmarks.engine import STEPPING, race
from benchmarks.shapes import SHAPES, Shape, make
from benchmarks.table import Row, machine, markdown
from tokviz.analysis import analyse
from tokviz.capture import Capture
from tokviz.matrix import Reduction
from tokviz.models.attention import use_tokviz_attention
from tokviz.models.prepared import Prepared
from tokviz.models.route import route
from tokviz.plans import Plan, chosen

PAGE = Path(__file__).parents[1] / "docs" / "gpu.md"
PROMPT = "describe the picture in detail"
SHARES = (50, 25, 10)
NEW = 32
STORY = 100
"""Answer tokens that TAM is timed on."""
METHOD = "fastervlm"


class Bench:
    """One model under measurement."""

    def __init__(self, shape: Shape, small: bool, device: str, rounds: int) -> None:
        """Make the model on the device and prepare the question once."""
        self.name, self.device, self.rounds = shape.name, device, rounds
        model, processor = make(shape, small, device, torch.bfloat16)
        self.vlm = tokviz.load((model, processor))
        self.picture = noise(shape.side[small])
        self.prepared: Prepared = self.vlm.prepare(self.picture, PROMPT)
        self.n = self.prepared.asked.layout.n

    def rows(self) -> Iterator[Row]:
        """Yield every row of this model."""
        parameters = self.vlm.info["parameters"] / 1e6
        self.unit = f"{self.name}, {parameters:,.0f} M parameters, {self.n} visual tokens"
        yield from self.looking()
        yield from self.removing_before()
        yield from self.removing_inside()
        yield from self.together()
        yield self.tam()
        yield from self.agreement()

    def row(self, what: str, value: str, how: str) -> Row:
        """Return a row that starts with the model's name."""
        return Row(f"{self.name}: {what}", value, how)

    # -- looking ------------------------------------------------------------------------------

    def ask(
        self,
        plans: list[Plan | None],
        capture: Capture | None,
        new: int,
        after: int | None = None,
    ) -> list[Any]:
        """Answer with tokviz and return the lanes; in one forward `after` so many words."""
        *_, lanes = self.vlm.stream_prepared(
            self.prepared, plans, new, capture, strict=True, together_after=after
        )
        return lanes

    def generate(self, new: int, attention: str, **more: Any) -> Any:
        """Answer with transformers alone, through another attention of the library."""
        self.vlm.model.set_attn_implementation(attention)
        try:
            with torch.inference_mode():
                inputs = self.prepared.inputs
                out = self.vlm.model.generate(**inputs, max_new_tokens=new, do_sample=False, **more)
            wait(self.device)
            return out
        finally:
            use_tokviz_attention(self.vlm.model)

    def looking(self) -> Iterator[Row]:
        """Prefill (with the tower) and decode, with and without capture, against generate()."""
        ways: dict[str, Callable[[], Any]] = {}
        for new, part in ((1, "prefill"), (1 + NEW, "all")):
            ways[f"plain {part}"] = lambda new=new: self.generate(new, "sdpa")
            ways[f"off {part}"] = lambda new=new: self.ask([None], Capture.nothing(), new)
            ways[f"on {part}"] = lambda new=new: self.ask([None], None, new)
        seconds = race(ways, self.rounds)
        for name in ("plain", "off", "on"):
            seconds[f"{name} decode"] = seconds[f"{name} all"] - seconds[f"{name} prefill"]
        plain = ", ".join(f"{p} {seconds[f'plain {p}'] * 1000:.0f} ms" for p in ("prefill", "all"))
        yield self.row("plain `generate()`, SDPA", plain, f"{self.unit}, {NEW} new tokens")
        for name, what in (("off", "capture off"), ("on", "capture of all the page shows")):
            parts = ", ".join(
                f"{part} {seconds[f'{name} {part}'] / seconds[f'plain {part}']:.2f} ×"
                for part in ("prefill", "decode", "all")
            )
            yield self.row(what, parts, "of plain")
        yield self.eager(seconds["plain all"])

    def eager(self, plain: float) -> Row:
        """Eager attention with output_attentions: its time and peak memory, or where it ends."""
        more = {"output_attentions": True, "return_dict_in_generate": True}
        try:
            peak, seconds = peak_of(self.device, lambda: self.generate(1 + NEW, "eager", **more))
        except torch.OutOfMemoryError:
            free_memory(self.device)
            value = f"out of memory at {self.n} visual tokens"
            return self.row("eager + output_attentions", value, "of plain")
        base, _ = peak_of(self.device, lambda: self.ask([None], None, 1 + NEW))
        value = f"{seconds / plain:.2f} ×, peak {peak}, tokviz {base}"
        return self.row("eager + output_attentions", value, "of plain; once, after the others")

    # -- removing -----------------------------------------------------------------------------

    def prefill(self, plan: Plan | None) -> Callable[[], dict[str, float]]:
        """Return a prefill by tokviz, nothing recorded; it returns its own timings."""
        return lambda: self.ask([plan], Capture.nothing(), 1)[0].timings

    def short(self, share: int) -> Callable[[], dict[str, float]]:
        """Return a plain prefill of a prompt that has that few visual tokens from the start."""
        vlm, every = self.vlm, np.linspace(0, self.n - 1, self.kept(share)).astype(int)
        with vlm.guarded():
            shared = vlm.encode(self.prepared, [None], Capture.nothing())
            plan = chosen(Reduction.select(every, self.n))
            arrived = route(vlm.family, vlm.model, self.prepared, shared, plan)

        def run() -> dict[str, float]:
            began = time.perf_counter()
            with torch.inference_mode():
                vlm.model(
                    input_ids=arrived.input_ids,
                    attention_mask=torch.ones_like(arrived.input_ids),
                    position_ids=arrived.positions,
                    mm_encoder_outputs={"image": vlm.family.encoder_outputs(arrived.features)},
                    use_cache=True,
                    logits_to_keep=1,
                    **arrived.row_inputs,
                )
            wait(self.device)
            return {"prefill": time.perf_counter() - began}

        return run

    def in_turns(
        self, ways: dict[str, Callable[[], dict[str, float]]]
    ) -> dict[str, dict[str, float]]:
        """Return the medians of what each way says of itself; a first round warms up."""
        said: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for number in range(self.rounds + 1):
            for name, run in ways.items():
                seconds = run()
                said[name] += [seconds] if number else []
        return {
            name: {key: float(np.median([one[key] for one in every])) for key in every[0]}
            for name, every in said.items()
        }

    def removing_before(self) -> Iterator[Row]:
        """Keep a share before the language model, against prompts that short from the start."""
        ways = {"all": self.prefill(None)}
        for share in SHARES:
            plan = tokviz.plan(METHOD, keep=self.kept(share))
            ways |= {f"plain {share}": self.short(share), f"ours {share}": self.prefill(plan)}
        took = self.in_turns(ways)
        for share in SHARES:
            ours, plain = took[f"ours {share}"], took[f"plain {share}"]["prefill"]
            decide = ours["decide"] + max(ours["encode"] - took["all"]["encode"], 0)
            whole = ours["prefill"] / took["all"]["prefill"]
            how = f"of a plain prefill of {plain * 1000:.1f} ms; decision alone "
            how += f"{decide * 1000:.1f} ms; prefill {whole:.2f} × that of all tokens"
            value = f"{(ours['prefill'] + decide) / plain:.2f} ×"
            yield self.row(f"{METHOD} keeps {share} %, decision included", value, how)

    def removing_inside(self) -> Iterator[Row]:
        """Keep a share from layer 2 on, against the layers' share of both plain prefills."""
        layers = self.vlm.info["layers"]
        ways = {"plain 100": self.short(100)}
        for share in SHARES:
            plan = tokviz.plan("fastv", keep=self.kept(share), layer=2)
            ways |= {f"plain {share}": self.short(share), f"ours {share}": self.prefill(plan)}
        took = {name: seconds["prefill"] for name, seconds in self.in_turns(ways).items()}
        for share in SHARES:
            expected = (2 * took["plain 100"] + (layers - 2) * took[f"plain {share}"]) / layers
            how = f"of {expected * 1000:.1f} ms, 2 layers with all and {layers - 2} with few tokens"
            value = f"{took[f'ours {share}'] / expected:.2f} ×"
            yield self.row(f"fastv keeps {share} % from layer 2 on", value, how)

    def kept(self, share: int) -> int:
        """Return that many per cent of the visual tokens, at least one."""
        return max(self.n * share // 100, 1)

    # -- lanes, TAM, correctness --------------------------------------------------------------

    def together(self) -> Iterator[Row]:
        """Four lanes together against one."""
        names = (METHOD, "divprune", "fastv")
        plans = [None, *(tokviz.plan(name, keep=self.kept(10)) for name in names)]
        ways: dict[str, Callable[[], Any]] = {"one": lambda: self.ask([None], None, 1 + NEW)}
        ways |= {
            name: lambda after=after: self.ask(plans, None, 1 + NEW, after)
            for name, after in STEPPING.items()
        }
        seconds = race(ways, self.rounds)
        how = f"of one lane with all tokens; the others {', '.join(names)} at 10 %"
        for name in STEPPING:
            yield self.row(f"4 lanes, {name}", f"{seconds[name] / seconds['one']:.2f} ×", how)

    def tam(self) -> Row:
        """The token activation map of a long answer."""
        began = time.perf_counter()
        (lane,) = self.ask([None], None, STORY)
        writing = time.perf_counter() - began
        began = time.perf_counter()
        analyse("tam", lane.trace)
        share = (time.perf_counter() - began) / writing
        return self.row(f"TAM of {STORY} answer tokens", f"{share:.1%}", "of writing the answer")

    def agreement(self) -> Iterator[Row]:
        """Removing against masking in bfloat16: the same most probable next words?"""
        for share in SHARES:
            kept = np.linspace(0, self.n - 1, self.kept(share)).astype(int)
            ours, masked = self.logits(kept, remove=True), self.logits(kept, remove=False)
            same = (ours.argmax(-1) == masked.argmax(-1)).float().mean().item()
            off = ((ours - masked).abs().max() / masked.std()).item()
            how = f"{len(ours)} rows of text; largest difference {off:.3f} of the logits' spread"
            yield self.row(f"removing = masking at {share} %, argmax", f"{same:.0%}", how)

    def logits(self, kept: np.ndarray, remove: bool) -> torch.Tensor:
        """Return float32 logits [rows, v] after the image, tokens removed or masked."""
        vlm, prepared = self.vlm, self.prepared
        layout = prepared.asked.layout
        text = len(prepared.asked.prompt_ids) - int(layout.position[-1]) - 1
        inputs: dict[str, Any] = {**prepared.inputs, "position_ids": prepared.positions}
        if remove:
            with vlm.guarded():
                shared = vlm.encode(prepared, [None], Capture.nothing())
                plan = chosen(Reduction.select(kept, self.n))
                arrived = route(vlm.family, vlm.model, prepared, shared, plan)
                inputs = {
                    "input_ids": arrived.input_ids,
                    "position_ids": arrived.positions,
                    "mm_encoder_outputs": {"image": vlm.family.encoder_outputs(arrived.features)},
                    **arrived.row_inputs,
                }
        mask = torch.ones_like(inputs["input_ids"])
        if not remove:
            mask[0, np.delete(layout.position, kept)] = 0
        inputs["attention_mask"] = mask
        with torch.inference_mode():
            return vlm.model(**inputs, logits_to_keep=text).logits[0].float()


def noise(side: int) -> Image.Image:
    """Return a fixed picture; its content does not matter for the time."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


def wait(device: str) -> None:
    """Let the device finish."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def free_memory(device: str) -> None:
    """Give back what nothing uses any more."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def peak_of(device: str, run: Callable[[], Any]) -> tuple[str, float]:
    """Return peak memory as text (a GPU's only) and seconds of one run."""
    free_memory(device)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    if not device.startswith("cuda"):
        return "not measured on a CPU", seconds
    return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB", seconds


def measured(small: bool, device: str, only: str | None, rounds: int) -> Iterator[Row]:
    """Yield the rows of every model, one model in memory at a time."""
    for shape in SHAPES:
        if only and only.lower() not in shape.name.lower():
            continue
        try:
            yield from Bench(shape, small, device, rounds).rows()
        except (tokviz.ModelError, torch.OutOfMemoryError) as error:
            yield Row(f"{shape.name}: could not be measured", "–", str(error).splitlines()[0])
        free_memory(device)


def page(table: str, small: bool, device: str) -> str:
    """Return docs/gpu.md."""
    what = "real shapes" if not small else "shapes a few thousand times smaller than the real ones"
    lines = ["# Speed at real shapes", "", f"`python -m benchmarks.gpu`, {what}, random weights."]
    if not device.startswith("cuda"):
        lines += [
            "",
            "**No GPU was at hand: this is a CPU, and these figures say nothing about a GPU.**",
            "They show that the program runs. A CPU is slow in bfloat16, and models this small",
            "spend their time between operations: ratios of large models will be others.",
        ]
    return "\n".join([*lines, "", table, ""])


def main() -> None:
    """Print the table; with --write also put it into docs/gpu.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--small", action="store_true", help="small shapes, for a CPU")
    parser.add_argument("--only", help="part of a model's name")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", action="store_true", help="write docs/gpu.md")
    given = parser.parse_args()
    if not given.small and not given.device.startswith("cuda"):
        raise SystemExit(f"no GPU here ({machine()}): real shapes need one, or use --small.")
    rows = []
    for row in measured(given.small, given.device, given.only, given.rounds):
        print(*row, sep=" | ", file=sys.stderr)
        rows.append(row)
    date = time.strftime("%Y-%m-%d")
    note = f"One run on {date}; ways took turns, medians of {given.rounds} rounds. Load of the "
    note += f"machine at the end: {os.getloadavg()[0]:.1f} (this program alone: 1.0)."
    table = markdown(rows, note)
    print(table)
    if given.write:
        PAGE.write_text(page(table, given.small, given.device), encoding="utf-8")


if __name__ == "__main__":
    main()
