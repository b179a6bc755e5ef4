"""What a person sees of a program that has just been started, before any model can run."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PAINTED
from tests.cold_start import HEAVY, first_screen_alone, imported, nobody_comes

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_examples_are_drawn_and_the_list_of_models_is_there_before_torch_is(watched):
    with first_screen_alone() as server:
        page = watched(server.address)
        assert not HEAVY & imported(server)
        question = page.locator("#tv-prompt textarea").input_value()
        expect(page.locator("#tv-model input")).to_have_value("Embedded model")
        expect(page.locator("#tv-model-card")).to_contain_text("needs no network")
        page.locator("#tv-examples button").nth(2).click()
        expect(page.locator("#tv-prompt textarea")).not_to_have_value(question)
        page.wait_for_function(PAINTED)
        assert not HEAVY & imported(server)
        page.close()  # before the server, which it asks now and then


def test_the_list_says_what_fits_once_torch_is_imported(watched):
    with nobody_comes() as server:
        page = watched(server.address)
        expect(page.locator("#tv-model input")).to_have_value("Embedded model · 0.1 GB")
        assert "torch" in imported(server)
        page.close()
