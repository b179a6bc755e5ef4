"""Read the settings, build the page, launch."""

import gc
import logging
import os
import sys
import threading
from pathlib import Path

from components.server.setting_readers import SettingError
from components.server.settings import check_port, load_options, read_settings
from components.server.upload_folder import own_folder


def ended(error: SettingError) -> SystemExit:
    """Say what is wrong with the settings; return what ends the program."""
    sys.stderr.write(f"{error}\n")
    return SystemExit(2)


try:
    settings = read_settings()
    os.environ["GRADIO_TEMP_DIR"] = own_folder(os.environ.get("GRADIO_TEMP_DIR"))
except SettingError as error:
    raise ended(error) from None
except OSError as error:
    raise ended(SettingError(f"GRADIO_TEMP_DIR must be a folder to write in: {error}.")) from None
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from components.api import speak_json  # noqa: E402
from components.ask.examples import Stored  # noqa: E402
from components.ask.opening import draw_all  # noqa: E402
from components.page import build, theme  # noqa: E402
from components.runs.journal import JsonLines  # noqa: E402
from components.runs.models import Models, check_placement  # noqa: E402
from components.runs.runs import RUNS  # noqa: E402
from components.server.connections import guard  # noqa: E402
from components.server.fair_queue import queued  # noqa: E402
from components.server.file_inputs import check_tools  # noqa: E402
from components.server.lifecycle import app_kwargs, listen_for_stop, serve_until_stopped  # noqa: E402
from components.server.session_memory import remember_little  # noqa: E402
from components.server.upload_folder import keep_clean  # noqa: E402
from components.state import Site  # noqa: E402
from components.widget import head  # noqa: E402

try:
    check_placement(load_options())
except SettingError as error:
    raise ended(error) from None
stored = Stored(more=settings.examples)
RUNS.room = settings.runs_mb * 2**20
site = Site(settings, stored, Models(settings.models, options=load_options()))
demo = queued(build(site), settings.queue)


def main() -> None:
    """Serve the page."""
    try:
        check_port(settings.server_name, settings.server_port)
    except SettingError as error:
        raise ended(error) from None
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    if settings.json_logs:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
    if not settings.json_logs:  # Gradio asks itself whether it is up
        logging.getLogger("httpx").setLevel(logging.WARNING)
    listen_for_stop()
    lasting: set[str] = set().union(
        *(getattr(block, "keep_in_cache", set()) for block in demo.blocks.values())
    )
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    keep_clean(folder, settings.uploads_mb * 2**20, lasting)
    try:
        serve()
    except KeyboardInterrupt:
        demo.close(verbose=False)
    gc.freeze()  # Python would look through every object once more: seconds, for nothing


def serve() -> None:
    """Launch, and stay until told to stop."""
    threading.Thread(target=draw_all, args=(site,), daemon=True).start()
    demo.launch(
        server_name=settings.server_name,
        server_port=settings.server_port,
        root_path=os.environ.get("GRADIO_ROOT_PATH"),
        theme=theme(),
        head=head(),
        max_file_size=f"{settings.upload_mb}mb",
        allowed_paths=[],
        enable_monitoring=False,
        run_history=False,
        show_error=False,
        footer_links=[],
        state_session_capacity=2000,
        auth=list(settings.auth) or None,
        app_kwargs=app_kwargs(settings),
        mcp_server=settings.mcp,
        prevent_thread_lock=True,
    )
    guard(demo.server, settings.connections, settings.trust_proxy)
    remember_little(demo)
    check_tools(demo.mcp_server_obj)
    speak_json(demo.mcp_server_obj)
    serve_until_stopped(demo)


if __name__ == "__main__":
    main()
