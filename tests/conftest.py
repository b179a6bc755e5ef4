"""Markers that follow from where a test stands and what it asks for."""

from pathlib import Path

import pytest

BROWSER = Path(__file__).parent / "browser"
IN_TURN = {"family", "pair", "half_model"}
"""Fixtures that stand for every family in turn."""
BROWSER_LIMIT_S = 600
"""Playwright waits up to three minutes for one thing, and then says for what."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses by these markers
def pytest_collection_modifyitems(items):
    """Mark tests in tests/browser, and tests that walk through every family."""
    for item in items:
        if item.path.is_relative_to(BROWSER):
            item.add_marker("browser")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(BROWSER_LIMIT_S))
        if IN_TURN & set(item.fixturenames):
            item.add_marker("matrix")
