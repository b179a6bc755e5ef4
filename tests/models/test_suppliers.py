"""Every signal that a method declares, and every choice it offers, has a run that supplies it."""

import pytest

import tokviz
from tests.models.test_clip_text import save_clip
from tokviz.errors import TokvizError
from tokviz.models.runs import run as runs
from tokviz.reduction import METHODS
from tokviz.reduction.signal_table import SIGNALS

PROMPT = "what is this?"


def declared(entry):
    return {*entry.needs, *entry.optional, *entry.fallbacks.values()}


@pytest.fixture(scope="module")
def models(checkpoint, tmp_path_factory):
    """In turn: one picture in one tile with CLIP's text side, then tiles, then several pictures."""
    clip = save_clip(tmp_path_factory.mktemp("clip"))
    return [
        tokviz.load(checkpoint("llava"), clip=clip),
        tokviz.load(checkpoint("llava_next")),
        tokviz.load(checkpoint("qwen2_vl")),
    ]


@pytest.fixture(scope="module")
def supply(models, cat):
    """Answer with a method on the first model that can, or on each; remember what was given."""
    given = {}

    def remember(plan, supplied, *rest):
        for names in supplied.values():
            given.setdefault(plan.steps[0].method, set()).update(names)
        return []

    def run(name, vlm, pictures, **options):
        keep = 44 if name == "fastvggt" else 12
        vlm.answer([cat] * pictures, PROMPT, tokviz.plan(name, keep=keep, **options), 1)

    def attempt(name, **options):
        for vlm in models:
            for pictures in (1, 2):
                try:
                    return run(name, vlm, pictures, **options)
                except TokvizError as error:
                    last = error
        raise last

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "plan_statuses", remember)
        yield attempt, run, given


@pytest.mark.slow
def test_every_declared_signal_has_a_supplier(supply, models):
    """text_clip, img_clip, llm_tower_map, pixels and segments were once supplied by nothing."""
    _, run, given = supply
    wanted = {name for entry in METHODS.values() for name in declared(entry)}
    wanted -= {name for name in wanted if SIGNALS[name].arrays_only}
    supplied = set()
    for vlm in models:
        for pictures in (1, 2):
            for name, entry in METHODS.items():
                if declared(entry) & (wanted - supplied):
                    on = dict.fromkeys(entry.read_with.values(), 0.5)
                    try:
                        run(name, vlm, pictures, **on)
                    except TokvizError:
                        continue
                    supplied |= given.get(name, set())
    assert wanted - supplied == set()


CHOICES = [
    pytest.param(entry.name, option.name, value, id=f"{entry.name}.{option.name}={value}")
    for entry in METHODS.values()
    for option in entry.options.values()
    for value in (option.choices or ((True, False) if option.type is bool else ()))
    if value != option.default
]


@pytest.mark.matrix
@pytest.mark.parametrize(("name", "option", "value"), CHOICES)
def test_every_choice_that_is_offered_runs_somewhere(supply, name, option, value):
    supply[0](name, **{option: value})


def test_signals_of_ones_own_say_so():
    read = {name for entry in METHODS.values() for name in declared(entry)}
    only = {name for name, signal in SIGNALS.items() if signal.arrays_only}
    assert only <= read
    assert all(not declared(entry) <= only for entry in METHODS.values() if declared(entry))
