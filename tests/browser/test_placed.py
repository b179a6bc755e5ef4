"""The page where others put it: under a path behind a proxy, and in a frame of another site."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from components.runs.models import Models
from components.runs.stored_examples import StoredExamples
from components.server.lifecycle import app_kwargs
from components.settings import Settings
from components.site import Site
from tests.browser.conftest import PAINTED, WAIT, serve, store_examples
from tests.browser.driving import answered, ask, explorer, png
from tests.browser.test_early_page import BUILT, DRAWN, held
from tests.components.fake_vlm import FakeVLM
from tests.view.fakes import BLUE, picture
from tokviz.trace import open_trace

pytestmark = pytest.mark.browser
PREFIX = "/lab/tokviz"
REACHED = "() => { try { return window[0].document.title || 'yes'; } catch { return 'no'; } }"
"""Does the browser let the outer page read the inner one? Not when they are of two origins."""


class Silent(BaseHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass

    def no_icon(self) -> bool:
        """Browsers ask every host for this by themselves."""
        if self.path != "/favicon.ico":
            return False
        self.send_response(204)
        self.end_headers()
        return True


def proxy_to(address: str) -> type[Silent]:
    """A reverse proxy as in every manual: PREFIX is taken off, all else is passed on."""
    behind = urlsplit(address)

    class Proxy(Silent):
        def do_GET(self) -> None:
            if self.no_icon():
                return
            if not self.path.startswith(PREFIX + "/"):
                self.send_error(404)
                return
            length = int(self.headers.get("content-length", 0))
            link = http.client.HTTPConnection(behind.hostname, behind.port, timeout=WAIT / 1000)
            path = self.path.removeprefix(PREFIX)
            link.request(self.command, path, self.rfile.read(length), dict(self.headers))
            answer = link.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1(65536):
                self.wfile.write(part)
                self.wfile.flush()
            link.close()

        do_POST = do_HEAD = do_GET

    return Proxy


def framing(address: str) -> type[Silent]:
    """Another site's page with ours in a frame, as Hugging Face shows a Space."""
    text = f'<!doctype html><title>host</title><iframe src="{address}" width="1400" height="880" '
    body = (text + 'allow="clipboard-write"></iframe>').encode()

    class Host(Silent):
        def do_GET(self) -> None:
            if self.no_icon():
                return
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body)

    return Host


@contextmanager
def listening(handler: type[Silent]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("assets")
    store_examples(home)
    site = Site(Settings(), StoredExamples(home), Models(load=lambda name: FakeVLM()))
    for address in serve(site, root_path=PREFIX, app_kwargs=app_kwargs(site)):
        with listening(proxy_to(address)) as port:
            yield f"http://127.0.0.1:{port}{PREFIX}/"


def use(place, page, tmp_path) -> None:
    """Open an example, save its trace, ask about an own picture; `place` is a page or a frame."""
    place.locator("#tv-examples .tv-card").nth(1).click()
    answered(place, "yes")
    place.locator(".tv-menu summary").click()
    with page.expect_download() as download:
        place.get_by_role("button", name="Trace", exact=True).click()
    path = tmp_path / "saved.safetensors"
    download.value.save_as(path)
    assert open_trace(path).answer == "yes"
    place.locator(".tv-menu summary").click()
    with page.expect_download() as download:
        place.get_by_role("button", name="Picture card (PNG)", exact=True).click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    ask(place, png(picture(BLUE)), "what colour ?")
    answered(place, "blue")
    place.locator("#tv-ask > input[accept*=safetensors]").set_input_files(path)
    answered(place, "yes")


@pytest.mark.weekly
def test_the_page_works_under_a_path_behind_a_proxy(watched, prefixed, tmp_path):
    """`watched` fails on any request outside the path and on every refused one."""
    page = watched(prefixed)
    use(page, page, tmp_path)
    page.locator("#tv-examples .tv-card").first.click()
    answered(page, "dog")
    address = explorer(page, "x.panel.share.address()")
    assert address.startswith(prefixed)
    again = watched(prefixed, address.removeprefix(prefixed))
    answered(again, "dog")


@pytest.mark.weekly
def test_the_first_example_is_drawn_early_under_a_path_too(browser, prefixed):
    with held(browser, prefixed) as early:
        early.page.wait_for_function(DRAWN)
        assert early.page.evaluate(BUILT) == 0
        early.go()
        assert early.page.locator(".tv-explorer").count() == 1


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("assets")
    store_examples(home)
    site = Site(Settings(), StoredExamples(home), Models(load=lambda name: FakeVLM()))
    yield from serve(site, app_kwargs=app_kwargs(site))


@pytest.mark.weekly
def test_the_page_works_in_a_frame_of_another_site(browser, guarded, tmp_path):
    with listening(framing(guarded)) as port:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.set_default_timeout(WAIT)
        troubles: list[str] = []
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(f"http://localhost:{port}/")
        frame = next(frame for frame in page.frames if frame.url.startswith(guarded))
        frame.wait_for_function(PAINTED)
        assert page.evaluate(REACHED) == "no"
        use(frame, page, tmp_path)
        expect(frame.locator("#tv-explorer .tv-word").first).to_have_text("yes")
        context.close()
    assert not troubles
