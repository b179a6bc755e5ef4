"""The program as `make run` starts it, with pages that tell what is imported."""

from contextlib import AbstractContextManager

import httpx

from tests.serving import Server, serving

HEAVY = {"torch", "transformers", "tokenizers", "captum", "scipy", "av"}
"""What the first screen needs nothing of."""
PROGRAM = """
import gc, sys, threading
from components.server import launch
real = launch.import_gradio

def import_gradio():
    real()
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from components.runs import after_first_page
    from components.server import serve
    own = serve.app_kwargs

    def with_modules(site):
        kwargs = own(site)
        kwargs["routes"].append(Route("/modules", lambda _: JSONResponse(sorted(sys.modules))))
        kwargs["routes"].append(Route("/collects", lambda _: JSONResponse(gc.isenabled())))
        return kwargs

    serve.app_kwargs = with_modules
    if "held" in sys.argv:
        serve.make_ready = lambda site: threading.Event().wait()
    else:
        after_first_page.NOBODY_S = after_first_page.DRAWING_S = 0

launch.import_gradio = import_gradio
launch.main()
"""


def first_screen_alone() -> AbstractContextManager[Server]:
    """Start the program; what it does once the first page is drawn never begins."""
    return serving("-c", PROGRAM, "held", GRADIO_SERVER_NAME="127.0.0.1")


def nobody_comes() -> AbstractContextManager[Server]:
    """Start the program; what it does once the first page is drawn begins at once."""
    return serving("-c", PROGRAM, GRADIO_SERVER_NAME="127.0.0.1")


def imported(server: Server) -> set[str]:
    """Return the names of the modules that a server has imported."""
    return set(httpx.get(f"{server.address}/modules", timeout=60).json())
