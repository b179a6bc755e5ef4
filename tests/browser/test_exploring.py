"""Hover, click, keys, walk, brush: what the reader does with one run."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.driving import answered, ask, explorer, png, settled, token_point
from tests.view.fakes import BLUE, fake_trace, picture


def use_of(page, word: int) -> float:
    node = page.locator("#tv-explorer .tv-word").nth(word)
    return float(node.evaluate("(node) => node.style.getPropertyValue('--use')"))


def test_a_patch_lights_the_words_in_proportion_and_tells_its_numbers(page):
    page.mouse.move(*token_point(page, 14))
    facts = page.locator("#tv-explorer [data-part=token]")
    expect(facts.locator("h2")).to_have_text("Token 14")
    layer, trace = explorer(page, "x.view.layer"), fake_trace(6, 6)
    used = trace["attention"][:, layer, 14].astype(float)
    np.testing.assert_allclose([use_of(page, w) for w in range(3)], used / used.max(), atol=0.01)
    rank = 1 + int((trace["attention"][:, layer].mean(0) > used.mean()).sum())
    expect(facts).to_contain_text(f"{rank} of 36")
    page.mouse.click(*token_point(page, 14))
    page.mouse.move(2, 2)
    expect(facts.locator("h2")).to_have_text("Token 14 (held)")


def test_heads_are_sorted_by_what_they_put_on_the_image(page):
    heads = page.locator("#tv-explorer .tv-head")
    expect(heads).to_have_count(2)
    layer = explorer(page, "x.view.layer")
    mass = fake_trace(6, 6)["attention_heads"][:, layer].astype(float).sum(-1).mean(0)
    expect(heads.first).to_contain_text(f"head {int(mass.argmax())} ")
    settled(page, heads.first.click)
    assert explorer(page, "x.view.head") == int(mass.argmax())
    expect(heads.first).to_have_attribute("aria-pressed", "true")
    both = fake_trace(6, 6)["attention_heads"][:, layer].astype(float).mean(0).max()
    np.testing.assert_allclose(explorer(page, "x.range.high"), both, rtol=0.01)


def test_tab_turns_the_direction_and_arrows_move_between_words(page):
    page.locator("#tv-explorer .tv-frame canvas").focus()
    page.keyboard.press("Tab")
    settled(page, lambda: page.keyboard.press("ArrowRight"))
    assert explorer(page, "x.view.peek") == 1
    layer = explorer(page, "x.view.layer")
    settled(page, lambda: page.keyboard.press("ArrowUp" if layer < 3 else "ArrowDown"))
    assert abs(explorer(page, "x.view.layer") - layer) == 1


def test_the_walk_goes_from_all_tokens_through_every_layer(watched, url):
    page = watched(url)
    page.get_by_role("button", name="Open in the viewer: fastervlm").click()
    answered(page, "cat")
    slide, lead = page.locator(".tv-walk input"), page.locator("#tv-explorer .tv-lead")
    settled(page, lambda: slide.fill("0"))
    expect(lead).to_contain_text("36 of 36 tokens")
    settled(page, lambda: slide.fill("1"))
    expect(lead).to_contain_text("FasterVLM, before the language model: 9 of 36 tokens")
    settled(page, lambda: slide.fill("3"))
    expect(lead).to_contain_text("Layer 1: 9 of 36 tokens")
    assert explorer(page, "Boolean(x.look.norm) && Boolean(x.look.roles)")
    page.get_by_role("button", name="Walk through the layers").click()
    page.wait_for_function("() => document.querySelector('.tv-walk input').value === '5'")
    expect(page.get_by_role("button", name="Walk through the layers")).to_be_visible()


@pytest.mark.weekly
def test_still_pages_step_instead_of_playing(watched, url):
    page = watched(url, reduced_motion="reduce")
    step = page.get_by_role("button", name="Next step")
    settled(page, step.click)
    settled(page, step.click)
    expect(page.locator("#tv-explorer .tv-lead")).to_contain_text("Layer 0")
    expect(step).to_be_visible()


def test_painted_tokens_are_left_out_for_real(watched, url, vlm):
    page = watched(url)
    page.get_by_role("button", name="Paint tokens").click()
    page.locator("[aria-label='Brush size in tokens']").select_option("1")
    page.mouse.move(*token_point(page, 14))
    page.mouse.down()
    page.mouse.move(*token_point(page, 16), steps=3)
    page.mouse.up()
    count = page.locator(".tv-count")
    expect(count).to_have_text("21 of 36 tokens are in.")
    page.get_by_role("button", name="Invert").click()
    expect(count).to_have_text("15 of 36 tokens are in.")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    expect(count).to_have_text("36 of 36 tokens are in.")
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Ask again with exactly these").click()
    lane = page.locator("#tv-lanes .tv-lane", has_text="Chosen by hand")
    expect(lane.locator(".tv-legend")).to_contain_text("kept 15")
    expect(page.locator(".tv-brush-message")).to_contain_text("red cat.")
    *_, plans = vlm.asked[-1]
    inside = [r * 6 + c for r in (1, 2, 3) for c in (1, 2, 3, 4, 5)]
    assert plans[-1].steps[0].reduction.kept.tolist() == inside


def test_painting_starts_from_a_method(watched, url):
    page = watched(url)
    page.get_by_role("button", name="Paint tokens").click()
    start = page.locator("[aria-label='Start from']")
    start.select_option("lane 0")
    expect(page.locator(".tv-count")).to_have_text("9 of 36 tokens are in.")
    start.select_option("method divprune")
    expect(page.locator(".tv-brush-message")).to_contain_text("Started from DivPrune: 9 tokens")


@pytest.mark.weekly
def test_an_own_picture_is_no_example(watched, url):
    page = watched(url)
    current = page.locator("#tv-examples [aria-current]")
    expect(current).to_have_count(1)
    ask(page, png(picture(BLUE)), "what ?")
    answered(page, "blue")
    expect(current).to_have_count(0)
    assert explorer(page, "x.scene.payload.example") == ""


RANKS = """(values) => {
  const scene = new window.__tokviz.Scene(window.__tokviz.explorers[0].scene.payload);
  scene.n = values.length;
  return Array.from(scene.ranks(Float32Array.from(values, (value) => value ?? NaN)));
}"""


def test_ranks_put_ties_by_index_and_missing_numbers_last(page):
    """Numbers are sorted by their bits, so signs, zeros and infinities must not mislead."""
    values = [0.5, -1.0, 0.0, None, 0.5, -0.0, 1e-30, -1e-30, 3e8]
    assert page.evaluate(RANKS, values) == [2, 8, 5, 9, 3, 6, 4, 7, 1]


SNUG = """(before) => {
  const boxes = [...document.querySelectorAll(".tv-contained")];
  const fits = boxes.every((box) => box.offsetHeight === box.firstElementChild.offsetHeight);
  return boxes[0].offsetHeight !== before && fits && boxes[0].offsetHeight;
}"""


def test_the_explorer_is_as_tall_as_what_is_in_it(watched, url):
    """Its box is laid out apart from the page, so it must follow when its content grows."""
    page = watched(url)
    wide = page.wait_for_function(SNUG, arg=0).json_value()
    page.set_viewport_size({"width": 400, "height": 900})
    page.wait_for_function(SNUG, arg=wide)
