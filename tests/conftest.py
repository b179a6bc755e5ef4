"""Markers that follow from where a test stands and what it asks for."""

import gc
from pathlib import Path

import pytest

import tokviz

BROWSER = Path(__file__).parent / "browser"
IN_TURN = {"family", "pair", "half_model"}
"""Fixtures that stand for every family in turn."""
SERVED = {"tools"}
"""Fixtures with a server that answers over HTTP; the marker `slow` says the same of one test."""
EVERY_FAMILY = {"test_promises", "test_film_promises", "test_family_geometry", "test_families"}
"""Modules whose tests run on every family each time: what each family's own code can break. Of a
test's variants, families outside of FOUR_KINDS run the first; all once a week."""
THE_SAME_IN_EACH = {
    "test_users_in_three_threads_never_change_each_others_answers",
    "test_the_model_is_untouched_afterwards",
    "test_the_model_is_untouched_after_a_film",
    "test_a_run_that_records_nothing_equals_generate_too",
}
"""Of these modules, the tests of what no family's code has a part in."""
FOUR_KINDS = {"llava", "llava_onevision", "qwen2_5_vl", "gemma3"}
"""On these all other tests run each time: a tower with [CLS]; tiles with newlines; windows in the
tower and several position axes; windows in the decoder and two-way prompts."""
PATIENT_LIMIT_S = 600
"""Playwright and servers that start are waited for three minutes, and then named by themselves."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses by these markers
def pytest_collection_modifyitems(items):
    """Mark tests in tests/browser, and tests that walk through every family."""
    seen: set[tuple[str, str]] = set()
    for item in items:
        if item.path.is_relative_to(BROWSER):
            item.add_marker("browser")
        if IN_TURN & set(item.fixturenames):
            item.add_marker("matrix")
        if is_left_to_the_week(item, seen):
            item.add_marker("weekly")
        if SERVED & set(item.fixturenames):
            item.add_marker("slow")
        patient = item.get_closest_marker("browser") or item.get_closest_marker("slow")
        if patient and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(PATIENT_LIMIT_S))
    # long ones first, so that no worker has one left when the others have nothing to do
    items.sort(key=lambda item: [not item.get_closest_marker(kind) for kind in ("browser", "slow")])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish():
    """Look seldom for garbage among the million objects that ten thousand tests hold."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def shipped_model():
    """The model that ships with tokviz; no test may change it."""
    return tokviz.load("embedded")


def is_left_to_the_week(item, seen):
    """Return whether a test is one that another family, or another variant, runs each time.

    Args:
        item: the test.
        seen: the tests and families that run already; this one is added.
    """
    family, name = family_of(item), f"{item.path}::{getattr(item, 'originalname', item.name)}"
    if family in {None, *FOUR_KINDS} or item.get_closest_marker("weekly"):
        return False
    of_the_engine = name.rsplit("::", 1)[1] in THE_SAME_IN_EACH
    if item.path.stem not in EVERY_FAMILY or of_the_engine or (name, family) in seen:
        return True
    seen.add((name, family))
    return False


def family_of(item):
    """Return the family that a test is run on in its turn, None for a test of one thing."""
    call = getattr(item, "callspec", None)
    return call.params.get("family") if call else None
