"""What every model family promises: it is transformers' own model, and removal is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

import tokviz
from tokviz.capture import Capture
from tokviz.errors import TokvizError
from tokviz.matrix import Reduction
from tokviz.models import VLM
from tokviz.models.families.layer_kinds import layers_without_attention
from tokviz.models.families.parts import final_norm
from tokviz.models.hooks import hooked
from tokviz.models.prepared import Prepared
from tokviz.models.runs.run import Run
from tokviz.plans import Plan, Step, chosen
from tokviz.testing.pictures import PROMPT, WORDS, kept, pictures

NEAR = 1e-4
"""Largest difference of logits in float32 that counts as equal where sums have another order."""
STEPS_IN_16_BITS = 4
"""The same in float16 and bfloat16, in steps of the number type at the largest logit."""
SMALL: dict[str, dict[str, Any]] = {
    "shapley": {"side": 3}, "leave_out": {"side": 3}, "integrated_gradients": {"steps": 4},
}  # fmt: skip
KEEP, NEW = 16, 3


def promises(vlm: VLM) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what a family promises, and what tries it."""
    for count in (1, 2, 3):
        prepared = partial(vlm.prepare, pictures(count), PROMPT)
        said = f"with {count} picture{'s' * (count > 1)}"
        for place in ("nowhere", "before", "language_model"):
            yield (
                f"{said}, keeping every token ({place}) equals generate() to the bit",
                partial(equals_generate, vlm, prepared, place),
            )
        yield f"{said}, removing equals {reference_of(vlm)}", partial(equals_masking, vlm, prepared)
    yield "the model is untouched afterwards", partial(untouched, vlm)


def plan_of(place: str, n: int) -> Plan | None:
    """Return a plan that keeps every token and takes the code path of its place.

    Args:
        place: nowhere, tower, before, language_model or cache.
        n: visual tokens of the prompt.
    """
    if place == "nowhere":
        return None
    if place == "before":
        return chosen(Reduction.identity(n))
    methods = {"tower": "tome", "language_model": "fastv", "cache": "snapkv"}
    return Plan((Step(methods[place], n),))


def run_plan(
    vlm: VLM, prepared: Prepared, plan: Plan | None, capture: Capture | None = None
) -> tuple[list[torch.Tensor], Run]:
    """Run one plan for at most WORDS tokens; return the logits [v] of every step, and the run."""
    capture = capture or Capture()
    with vlm.guarded():
        shared = vlm.encode(prepared, [plan], capture)
        run = Run(vlm, prepared, shared, {}, plan, capture)
        run.start()
        logits = [run.lane.logits]
        while len(run.lane.ids) < WORDS and not run.view.done:
            run.step()
            logits.append(run.lane.logits)
    return logits, run  # type: ignore[return-value]


def generated(vlm: VLM, prepared: Prepared, **changes: Any) -> Any:
    """Return the output of transformers' own generate(): sequences, and logits of every step.

    Args:
        vlm: the model.
        prepared: the question.
        **changes: inputs that replace those of the question.
    """
    with torch.inference_mode():
        return vlm.model.generate(  # type: ignore[operator]
            **{**prepared.inputs, **changes}, max_new_tokens=WORDS, do_sample=False,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip


def reference_of(vlm: VLM) -> str:
    """Return what removal is compared with, in words.

    A state that sums up all tokens cannot leave out a masked one, so layers without attention are
    compared with the same layers on a shorter sequence.
    """
    hybrid = layers_without_attention(vlm.family.decoder(vlm.model))
    return "a shorter sequence, layer by layer" if hybrid else "masking"


def without(vlm: VLM, prepared: Prepared, left: np.ndarray) -> torch.Tensor:
    """Return the last prompt row's logits [v] without the other visual tokens: the reference.

    Args:
        vlm: the model.
        prepared: the question.
        left: the visual tokens that stay.
    """
    if reference_of(vlm) == "masking":
        return masked(vlm, prepared, left)
    return layer_by_layer(vlm, prepared, {0: left})[-1]


def layer_by_layer(
    vlm: VLM,
    prepared: Prepared,
    left: Mapping[int, np.ndarray],
    written: Sequence[int] = (),
    repack: bool = False,
) -> torch.Tensor:
    """Return logits [1 + written, v] of a causal decoder called block by block, with no cache.

    Args:
        vlm: the model.
        prepared: the question.
        left: decoder layer -> the visual tokens that enter it; the others leave the sequence.
        written: tokens of the answer that follow the prompt.
        repack: rows are numbered anew from the first layer on before which a token leaves.
    """
    decoder: Any = vlm.family.decoder(vlm.model)
    rows = len(prepared.asked.prompt_ids) + len(written)
    entering: list[torch.Tensor] = []
    hook = decoder.layers[0].register_forward_pre_hook(
        lambda module, args, kwargs: entering.append(args[0] if args else kwargs["hidden_states"]),
        with_kwargs=True,
    )
    with vlm.guarded():
        with hooked([hook]):
            vlm.model(**prepared.inputs, position_ids=prepared.positions)
        ids = torch.tensor([list(written)], dtype=torch.long, device=vlm.device)
        states = torch.cat([entering[0], decoder.embed_tokens(ids)], 1)
        last = prepared.positions[..., -1:]
        ahead = torch.arange(1, len(written) + 1, device=last.device)
        positions = torch.cat([prepared.positions, last + ahead], -1)
        positions = positions[1:] if positions.ndim == 3 else positions
        alive = np.arange(rows)
        for layer, block in enumerate(decoder.layers):
            if layer in left:
                dead = np.delete(prepared.asked.layout.position, left[layer])
                place = torch.as_tensor(np.flatnonzero(~np.isin(alive, dead)), device=vlm.device)
                states, positions = states[:, place], positions[..., place]
                alive = alive[place.cpu().numpy()]
                if repack:
                    positions = torch.arange(len(alive), device=vlm.device)[None]
            rotation = vlm.family.rotary(decoder, states, positions, layer)
            states = block(
                states,
                position_embeddings=rotation,
                attention_mask=None,
                position_ids=None,
                past_key_values=None,
            )
        states = final_norm(decoder)(states[:, -1 - len(written) :])
        return vlm.family.word_logits(vlm.model, states)[0]


def masked(vlm: VLM, prepared: Prepared, left: np.ndarray) -> torch.Tensor:
    """Return the last prompt row's logits [v] at full length, other visual tokens masked.

    Args:
        vlm: the model.
        prepared: the question.
        left: the visual tokens that are not masked.
    """
    mask = torch.ones_like(prepared.inputs["input_ids"])
    mask[0, np.delete(prepared.asked.layout.position, left)] = 0
    with torch.inference_mode():
        output = vlm.model(
            **{**prepared.inputs, "attention_mask": mask},
            position_ids=prepared.positions,
            use_cache=True,
        )
    return output.logits[0, -1].float()


def check_generate(
    vlm: VLM, prepared: Prepared, plan: Plan | None, capture: Capture | None = None
) -> None:
    """Raise AssertionError unless every step's token and logits are those of generate()."""
    ours, run = run_plan(vlm, prepared, plan, capture)
    reference = generated(vlm, prepared)
    written = reference.sequences[0, prepared.inputs["input_ids"].shape[1] :].tolist()
    kept(run.lane.ids == written[: len(run.lane.ids)], "the answer is not that of generate()")
    for step, (one, theirs) in enumerate(zip(ours, reference.logits, strict=False)):
        far = float((one - theirs[0].float()).abs().max())
        same = torch.equal(one, theirs[0].float())
        kept(same, f"logits of step {step} differ by up to {far:.3g}")


def equals_generate(vlm: VLM, ready: Callable[[], Prepared], place: str) -> None:
    """Keeping every token, by the code of a place, gives what generate() gives."""
    prepared = ready()
    check_generate(vlm, prepared, plan_of(place, prepared.asked.layout.n))


def equals_masking(vlm: VLM, ready: Callable[[], Prepared]) -> None:
    """Half of the tokens taken out give the logits of the reference, see `reference_of`."""
    prepared = ready()
    n = prepared.asked.layout.n
    left = np.sort(np.random.default_rng(1).permutation(n)[: max(1, n // 2)])
    (ours, *_), _ = run_plan(vlm, prepared, chosen(Reduction.select(left, n)))
    theirs = without(vlm, prepared, left)
    far, near = float((ours - theirs).abs().max()), rounding(vlm, theirs)
    kept(far < near, f"logits differ by up to {far:.3g}, at most {near:.2g} is rounding")


def rounding(vlm: VLM, logits: torch.Tensor) -> float:
    """Return the largest difference of logits that counts as equal in the model's number type."""
    kind: Any = vlm.model.dtype
    if kind not in (torch.float16, torch.bfloat16):
        return NEAR
    return STEPS_IN_16_BITS * torch.finfo(kind).eps * float(logits.abs().max())


def untouched(vlm: VLM) -> None:
    """No hook stays, and the model answers as before, to the bit."""
    prepared = vlm.prepare(pictures(1), PROMPT)
    before, hooks = generated(vlm, prepared).logits, hooks_of(vlm)
    vlm.answer(pictures(1), PROMPT, tokviz.plan("fastv", keep=4), NEW)
    kept(hooks_of(vlm) == hooks, "hooks were left on the model")
    same = all(map(torch.equal, before, generated(vlm, prepared).logits))
    kept(same, "the model answers differently afterwards")


def hooks_of(vlm: VLM) -> dict[str, list[int]]:
    """Return the numbers of the hooks of each module; transformers itself leaves some in towers."""
    return {
        name: [*module._forward_hooks, *module._forward_pre_hooks]
        for name, module in vlm.model.named_modules()
    }


def all_that_there_is(vlm: VLM) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield every method, mitigation and analysis: each runs, or says why not."""
    for kind, name, call in attempts(vlm, pictures(1)[0]):
        yield f"{kind} {name} runs, or says why not", partial(runs_or_says_why, vlm, call)


def attempts(vlm: VLM, image: Any) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Yield kind, name and what to call, for all there is to try on one model."""

    def run(*method: str, **settings: Any) -> None:
        plan = tokviz.plan(*method, **settings)
        vlm.answer(image, PROMPT, plan, NEW, Capture.nothing())

    for name in sorted(tokviz.METHODS):
        yield "method", name, partial(run, name, keep=KEEP)
    for name in sorted(tokviz.MITIGATIONS):
        yield "mitigation", name, partial(run, mitigation=name)
    try:
        trace = vlm.answer(image, PROMPT, None, NEW, Capture(lens=3, flow=True, states=True))
    except TokvizError:  # a model without one of these signals: with what it does have
        trace = vlm.answer(image, PROMPT, None, NEW)
    for name, entry in sorted(tokviz.ANALYSES.items()):
        given = [image, image.rotate(90)] if "folder" in entry.asks else image
        options = {"trace": trace, "max_new_tokens": NEW, **SMALL.get(name, {})}
        yield "analysis", name, partial(vlm.analyse, name, given, PROMPT, **options)


def runs_or_says_why(vlm: VLM, call: Callable[[], Any]) -> None:
    """What cannot run here says so in a sentence, and leaves no hook behind."""
    before = hooks_of(vlm)
    try:
        call()
    except TokvizError as error:
        kept(len(str(error)) > 20, f"refused without a reason: {str(error)!r}")
    kept(hooks_of(vlm) == before, "hooks were left on the model")
