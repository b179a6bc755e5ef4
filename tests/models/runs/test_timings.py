"""Where the seconds of an answer go: a clock that only the model and its methods move."""

import time
from functools import partial

import pytest

import tokviz
from tokviz.capture import Capture
from tokviz.models.before import plan_steps
from tokviz.models.decoder import remove_tokens
from tokviz.models.hooks import hooked
from tokviz.models.runs.preparing import encode
from tokviz.models.tower import run_blocks
from tokviz.plans import Plan

PROMPT = "what is this?"
TOWER, DECIDE, READ, STEP = 10.0, 1.0, 1000.0, 0.25
"Seconds that the clock moves per pass of the tower, decision, prompt read and token read."
CUT = 100.0
"Seconds that it moves where a picture is cut into patches, in tests that say so."


class Clock:
    """Stands still unless it is told to move."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds

    def move(self, seconds):
        self.seconds += seconds


@pytest.fixture
def clock(vlm, monkeypatch):
    """The clock that every timing is read from, moved by the tiny LLaVA's work and nothing else."""
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    for home in (plan_steps, remove_tokens, run_blocks):
        monkeypatch.setattr(home, "reduce", partial(slowly, clock, home.reduce))
    block = vlm.family.tower_layers(vlm.model)[vlm.family.feature_layer(vlm.model)]
    first = vlm.family.decoder(vlm.model).layers[0]
    handles = [
        block.mlp.register_forward_pre_hook(lambda *_: clock.move(TOWER)),
        first.mlp.register_forward_pre_hook(
            lambda module, args: clock.move(READ if args[0].shape[1] > 1 else STEP)
        ),
    ]
    with hooked(handles):
        yield clock


def slowly(clock, reduce, *args, **options):
    clock.move(DECIDE)
    return reduce(*args, **options)


DIVPRUNE, FASTV = tokviz.plan("divprune", keep=20), tokviz.plan("fastv", keep=9)


PLANS = {
    "all tokens": (None, 0, 0),
    "before": (DIVPRUNE, 1, 0),
    "before, twice": (DIVPRUNE.then(tokviz.plan("fastervlm", keep=9)), 2, 0),
    "inside": (FASTV, 1, 0),
    "before and inside": (DIVPRUNE.then(FASTV), 2, 0),
    "contrast, no image": (Plan().mitigated("m3id"), 0, READ),
    "contrast, noised image": (Plan().mitigated("vcd"), 0, TOWER + READ),
    "contrast, noised image, method": (
        DIVPRUNE.mitigated("vcd"), 1, TOWER + DECIDE + READ,
    ),
}  # fmt: skip
"Name -> plan, its decisions, and the seconds of the contrast's own prompt."


@pytest.mark.parametrize("name", PLANS)
def test_the_first_token_takes_what_its_parts_take(vlm, cat, clock, name):
    plan, decisions, contrast = PLANS[name]
    seconds = vlm.answer(cat, PROMPT, plan, 1).timings
    assert seconds["encode"] == TOWER
    assert seconds["decide"] == decisions * DECIDE
    assert seconds["prefill"] == READ
    assert seconds["first_token"] == TOWER + decisions * DECIDE + READ + contrast
    assert seconds.get("contrast", 0) == contrast


def test_a_method_in_the_tower_is_charged_for_its_own_pass_through_it(vlm, cat, clock):
    trace = vlm.answer(cat, PROMPT, tokviz.plan("tome", keep=12), 1)
    decided = trace.timings["decide"]
    assert decided >= DECIDE
    assert trace.timings["encode"] == TOWER
    assert trace.timings["first_token"] == TOWER + decided + READ


def test_a_method_in_the_tower_is_charged_for_the_patches_before_its_first_block(vlm, cat, clock):
    """They are made once for all lanes, and every lane would need them."""
    patches = vlm.model.model.vision_tower.embeddings
    with hooked([patches.register_forward_pre_hook(lambda *_: clock.move(CUT))]):
        times = vlm.answer(cat, PROMPT, tokviz.plan("tome", keep=12), 1).timings
    assert times["encode"] == CUT + TOWER
    assert times["first_token"] == CUT + TOWER + times["decide"] + READ


def test_a_prompt_that_is_read_twice_costs_both_readings(vlm, cat, clock):
    """GemFilter stops its first reading at a layer and begins again."""
    seconds = vlm.answer(cat, PROMPT, tokviz.plan("gemfilter", keep=9), 1).timings
    assert seconds["decide"] == READ + DECIDE
    assert seconds["first_token"] == TOWER + READ + DECIDE + READ


@pytest.mark.parametrize("name", PLANS)
def test_the_total_is_the_first_token_and_every_token_read_since(vlm, cat, clock, name):
    plan, _, contrast = PLANS[name]
    trace = vlm.answer(cat, PROMPT, plan, 4)
    seconds, reads = trace.timings, (trace.t - 1) * STEP
    assert trace.t == 4
    assert seconds["decode"] == reads
    assert seconds["total"] == seconds["first_token"] + reads * (2 if contrast else 1)


def test_every_lane_of_a_stream_fulfils_the_identity_on_the_real_clock(vlm, cat):
    plans = [plan for plan, *_ in PLANS.values()]
    *_, lanes = vlm.stream(cat, PROMPT, plans, 3, strict=True)
    for lane in lanes:
        assert_identity(lane.trace)


def test_the_time_alone_has_the_steps_together_as_long_as_those_alone(vlm, cat, clock):
    """The tower, the decisions and the prompt are in it as well."""
    *_, lanes = vlm.stream(cat, PROMPT, [None, DIVPRUNE], 5, together_after=2, strict=True)
    for trace, decided in zip((lane.trace for lane in lanes), (0, DECIDE), strict=True):
        seconds = trace.timings
        assert seconds["shared"] > 0
        assert seconds["first_token"] == TOWER + decided + READ
        assert seconds["total_alone"] == seconds["first_token"] + (trace.t - 1) * STEP


def assert_identity(trace):
    """Check the sums of `tokviz.models.runs.timings` on a trace alone."""
    seconds = trace.timings
    parts = seconds["encode"] + seconds["decide"] + seconds["prefill"]
    whole = parts + seconds["decode"] + seconds.get("contrast", 0)
    assert seconds["total"] == pytest.approx(whole)
    if "contrast" not in seconds:
        assert seconds["first_token"] == pytest.approx(parts)
    assert parts - 1e-9 <= seconds["first_token"] <= seconds["total"]


def test_the_tower_is_timed_by_who_runs_it(vlm, cat, clock):
    prepared = vlm.prepare(cat, PROMPT)
    vision = encode(vlm, prepared, [None], Capture.nothing())
    assert vision.seconds == TOWER
