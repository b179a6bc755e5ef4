"""A person at the page: moves a mouse, presses keys, sees what is shown, and counts the clicks."""

from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.browser.driving import settled, token_point

ARTEFACTS = Path("artefacts")


class Person:
    """Acts on visible controls only; Playwright refuses to click what nobody could click."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, target: Locator) -> None:
        target.click()
        self.clicks += 1

    def click_and_see(self, target: Locator) -> None:
        """Click and wait for what it paints."""
        settled(self.page, target.click)
        self.clicks += 1

    def press(self, name: str) -> None:
        """Click the button of this name."""
        self.click(self.page.get_by_role("button", name=name, exact=True))

    def choose(self, menu: Locator, value: str) -> None:
        """Open a menu and choose a line of it: two clicks."""
        menu.select_option(value)
        self.clicks += 2

    def type(self, box: Locator, text: str) -> None:
        """Click into a box, mark what is there, and write."""
        self.click(box)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def give_file(self, button: Locator, path: Path) -> None:
        """Press a button that asks for a file, and choose it there: two clicks."""
        with self.page.expect_file_chooser() as chooser:
            self.click(button)
        chooser.value.set_files(path)
        self.clicks += 1

    def save(self, line: str) -> Path:
        """Open the save menu, choose a line, return the file that was downloaded."""
        self.click(self.page.locator(".tv-menu summary"))
        with self.page.expect_download() as download:
            self.press(line)
        return download.value.path()

    def point(self, token: int) -> None:
        """Move the pointer onto a token."""
        self.page.mouse.move(*token_point(self.page, token))

    def away(self) -> None:
        """Move the pointer off the picture."""
        self.page.mouse.move(3, 3)

    def drag(self, start: int, end: int) -> None:
        """Draw from one token to another with the button down: one click."""
        self.point(start)
        self.page.mouse.down()
        self.page.mouse.move(*token_point(self.page, end), steps=4)
        self.page.mouse.up()
        self.clicks += 1

    def photograph(self, name: str) -> None:
        """Keep what the screen shows under artefacts/."""
        ARTEFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png")
