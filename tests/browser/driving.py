"""What the browser tests do again and again."""

import base64
from io import BytesIO

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page

EXPLORER = "window.__tokviz.explorers[0]"
LANES = "window.__tokviz.lanes[0]"


def explorer(page: Page, expression: str):
    """Evaluate an expression about the explorer, called x."""
    return page.evaluate(f"() => {{ const x = {EXPLORER}; return {expression}; }}")


def settled(page: Page, action) -> None:
    """Do something and wait until it has been painted."""
    before = page.evaluate("window.__tokviz.paints")
    action()
    page.wait_for_function(f"() => window.__tokviz.paints > {before}")


def open_more(page: Page) -> None:
    """Open the box with head, scale and preview."""
    box = page.locator("#tv-explorer .tv-morebox")
    if box.get_attribute("open") is None:
        box.locator("summary").click()


def token_point(
    page: Page, token: int, selector: str = "#tv-explorer canvas"
) -> tuple[float, float]:
    """Middle of a token on the screen."""
    canvas = page.locator(selector).first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    cell = explorer(page, f"x.painter.cell({token})")
    return box["x"] + cell["x"] + cell["w"] / 2, box["y"] + cell["y"] + cell["h"] / 2


def pixels(page: Page, selector: str = "#tv-explorer .tv-frame canvas") -> np.ndarray:
    """The drawn pixels of a canvas, [h, w, 3]."""
    script = f"() => document.querySelector({selector!r}).toDataURL('image/png')"
    data = base64.b64decode(page.evaluate(script).split(",")[1])
    return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


def cell_pixels(page: Page, drawn: np.ndarray, token: int, owner: str = EXPLORER) -> np.ndarray:
    """The pixels inside one token, its edge left out."""
    script = f"() => {{ const p = {owner}.painter; return [p.cell({token}), p.ratio]; }}"
    return inside(drawn, *page.evaluate(script))


def every_cell(page: Page, drawn: np.ndarray, owner: str = EXPLORER) -> list[np.ndarray]:
    """The same of all tokens, which a single call asks for."""
    script = f"""() => {{
      const {{ painter, scene }} = {owner};
      return [Array.from({{ length: scene.n }}, (_, token) => painter.cell(token)), painter.ratio];
    }}"""
    cells, ratio = page.evaluate(script)
    return [inside(drawn, cell, ratio) for cell in cells]


def inside(drawn: np.ndarray, cell: dict, ratio: float) -> np.ndarray:
    """The pixels of a cell without four pixels, or a quarter of a small cell, at each edge."""
    edge = min(4, cell["w"] / 4)
    x0, y0 = (cell["x"] + edge) * ratio, (cell["y"] + edge) * ratio
    x1, y1 = (cell["x"] + cell["w"] - edge) * ratio, (cell["y"] + cell["h"] - edge) * ratio
    return drawn[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]


def ask(page: Page, image: bytes | None, prompt: str, name: str = "picture.png") -> None:
    """Upload a picture (or take the one shown), type a question, press Ask."""
    if image is not None:
        upload(page, image, name)
    page.locator("#tv-prompt textarea").fill(prompt)
    page.locator("#tv-ask-go").click()


def upload(page: Page, image: bytes, name: str = "picture.png") -> None:
    """Put a file into the picture box."""
    clear = page.locator("#tv-picture button[aria-label='Clear']")
    if clear.count():
        clear.first.click()
    page.locator("#tv-picture input[type=file]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": image}
    )
    page.locator("#tv-notice .tv-notice:not([hidden])").wait_for()


def answered(page: Page, text: str) -> None:
    """Wait until the explorer shows a finished answer that contains a text."""
    page.wait_for_function(
        f"""(text) => {{ const x = {EXPLORER}, p = x.scene && x.scene.payload;
        return p && p.n > 0 && p.answer.includes(text); }}""",
        arg=text,
    )


def nothing_serious(page: Page, part: str = "body") -> None:
    """Fail when axe-core finds something serious in a part of the page as it is now.

    Gradio's own empty chart box carries a label that it may not have; the rest is ours.
    """
    page.wait_for_function(
        "() => !document.getAnimations().some((a) => a instanceof CSSTransition)"
    )
    where = {"include": [[part]], "exclude": [["[aria-label='Empty value']"]]}
    found = Axe().run(page, where, {"resultTypes": ["violations"]}).response["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    serious = [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in bad]
    assert not serious, serious


def png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
