"""Markers that follow from where a test stands and what it asks for."""

from pathlib import Path

import pytest

BROWSER = Path(__file__).parent / "browser"
IN_TURN = {"family", "pair", "half_model"}
"""Fixtures that stand for every family in turn."""
PATIENT_LIMIT_S = 600
"""Playwright and servers that start are waited for three minutes, and then named by themselves."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses by these markers
def pytest_collection_modifyitems(items):
    """Mark tests in tests/browser, and tests that walk through every family."""
    for item in items:
        if item.path.is_relative_to(BROWSER):
            item.add_marker("browser")
        if IN_TURN & set(item.fixturenames):
            item.add_marker("matrix")
        patient = item.get_closest_marker("browser") or item.get_closest_marker("slow")
        if patient and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(PATIENT_LIMIT_S))
