"""The page is served before torch is imported, which then is imported without being asked for."""

import time

import httpx
import pytest

from tests.cold_start import HEAVY, first_screen_alone, imported, nobody_comes

pytestmark = pytest.mark.slow


def await_that(holds):
    for _ in range(900):
        if holds():
            return
        time.sleep(0.2)
    raise AssertionError("it did not come to hold")


def test_the_page_is_served_before_torch_is_imported():
    with first_screen_alone() as server:
        page = httpx.get(server.address, timeout=60)
        assert page.status_code == 200
        assert "tv-explorer" in page.text
        assert not HEAVY & imported(server)


def test_python_collects_garbage_once_the_page_is_served():
    with first_screen_alone() as server:
        await_that(lambda: httpx.get(f"{server.address}/collects", timeout=60).json())


def test_torch_and_the_code_of_models_are_imported_when_nobody_comes():
    with nobody_comes() as server:
        await_that(lambda: "tokviz.models.vlm" in imported(server))
