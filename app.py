"""Read the settings, build the page, launch."""

import gc
import logging
import os
import threading
from pathlib import Path

from components.server.upload_folder import (
    CLEANUP_INTERVAL_S,
    MAX_AGE_S,
    keep_clean,
    own_folder,
)

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "GRADIO_TEMP_DIR" not in os.environ:
    os.environ["GRADIO_TEMP_DIR"] = own_folder()

from components.api import speak_json  # noqa: E402
from components.ask.opening import draw_all  # noqa: E402
from components.page import build, theme  # noqa: E402
from components.runs.journal import JsonLines  # noqa: E402
from components.runs.models import Models  # noqa: E402
from components.runs.stored_examples import Stored  # noqa: E402
from components.server.connections import guard  # noqa: E402
from components.server.fair_queue import queued  # noqa: E402
from components.server.lifecycle import app_kwargs, listen_for_stop, serve_until_stopped  # noqa: E402
from components.server.session_memory import remember_little  # noqa: E402
from components.settings import Settings  # noqa: E402
from components.site import Site  # noqa: E402
from components.widgets.widget import head  # noqa: E402


def read_settings() -> Settings:
    """Return the settings from TOKVIZ_* in the environment; docs/server.md lists them."""
    names = os.environ.get("TOKVIZ_MODELS", "embedded").split(",")
    models = tuple(name.strip() for name in names if name.strip())
    if not models:
        raise SystemExit("TOKVIZ_MODELS must be names separated by commas, such as embedded.")
    auth, mcp = read_auth(os.environ.get("TOKVIZ_AUTH", "")), os.environ.get("TOKVIZ_MCP") == "1"
    if auth and mcp:
        raise SystemExit(
            "TOKVIZ_MCP cannot be used with TOKVIZ_AUTH: MCP clients have no way to sign in, so "
            "the tools would be open to everybody. Leave one of them out."
        )
    return Settings(
        models=models,
        max_new_tokens=whole_number("TOKVIZ_MAX_NEW_TOKENS", 64, 1, 1024),
        queue=whole_number("TOKVIZ_QUEUE", 64, 1, 10_000),
        upload_mb=whole_number("TOKVIZ_UPLOAD_MB", 20, 1, 20),
        uploads_mb=whole_number("TOKVIZ_UPLOADS_MB", 1000, 50, 1_000_000),
        runs_mb=whole_number("TOKVIZ_RUNS_MB", 512, 1, 1_000_000),
        max_seconds=whole_number("TOKVIZ_MAX_SECONDS", 300, 1, 86_400),
        requests_per_minute=whole_number("TOKVIZ_REQUESTS_PER_MINUTE", 600, 1, 10**9),
        auth=auth,
        trust_proxy=os.environ.get("TOKVIZ_TRUST_PROXY", "SPACE_ID" in os.environ and "1") == "1",
        connections=whole_number("TOKVIZ_CONNECTIONS", 500, 20, 1_000_000),
        metrics=read_metrics(os.environ.get("TOKVIZ_METRICS", "")),
        mcp=mcp,
        json_logs=os.environ.get("TOKVIZ_LOG") == "json",
    )


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """Return a setting, or end the program with a sentence."""
    text = os.environ.get(name, str(default))
    if not (text.isdecimal() and least <= int(text) <= most):
        raise SystemExit(f"{name} must be a whole number from {least} to {most}, got {text!r}.")
    return int(text)


def read_auth(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of "name:password,name:password"."""
    pairs = [part.partition(":") for part in text.split(",") if part.strip()]
    if any(not (name.strip() and password) for name, _, password in pairs):
        raise SystemExit("TOKVIZ_AUTH must be name:password, several separated by commas.")
    return tuple((name.strip(), password) for name, _, password in pairs)


def read_metrics(word: str) -> str:
    """Return the word that opens /metrics, or end the program with a sentence."""
    if word and not (len(word) >= 8 and word.isascii() and word.isprintable()):
        raise SystemExit(
            "TOKVIZ_METRICS must be a secret word of at least 8 plain characters, which whoever "
            "asks for /metrics sends as Authorization: Bearer <word>."
        )
    return word


def load_options() -> dict[str, str | int]:
    """Return device, dtype, bits and device_map for `tokviz.load`, as far as they are set."""
    texts = {name: os.environ.get(f"TOKVIZ_{name.upper()}", "") for name in LOAD_OPTIONS}
    return {name: int(text) if text.isdecimal() else text for name, text in texts.items() if text}


LOAD_OPTIONS = ("device", "dtype", "bits", "device_map")
settings = read_settings()
examples = os.environ.get("TOKVIZ_EXAMPLES", "")
stored = Stored(more=Path(examples) if examples else None)
site = Site(settings, stored, Models(settings.models, options=load_options()))
demo = queued(build(site, (CLEANUP_INTERVAL_S, MAX_AGE_S)), settings.queue)


def main() -> None:
    """Serve the page."""
    on_space = "SPACE_ID" in os.environ
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    if settings.json_logs:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
    if not settings.json_logs:  # Gradio asks itself whether it is up
        logging.getLogger("httpx").setLevel(logging.WARNING)
    listen_for_stop(site.stopping)
    lasting: set[str] = set().union(
        *(getattr(block, "keep_in_cache", set()) for block in demo.blocks.values())
    )
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    keep_clean(folder, settings.uploads_mb * 2**20, lasting)
    try:
        serve(on_space)
    except KeyboardInterrupt:
        demo.close(verbose=False)
    gc.freeze()  # Python would look through every object once more: seconds, for nothing


def serve(on_space: bool) -> None:
    """Launch, and stay until told to stop."""
    everywhere = "0.0.0.0"
    threading.Thread(target=draw_all, args=(site,), daemon=True).start()
    demo.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", everywhere if on_space else "127.0.0.1"),
        server_port=whole_number("GRADIO_SERVER_PORT", 7860, 1, 65_535),
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
        app_kwargs=app_kwargs(site),
        mcp_server=settings.mcp,
        prevent_thread_lock=True,
    )
    guard(demo.server, settings.connections, settings.trust_proxy)
    remember_little(demo)
    speak_json(demo.mcp_server_obj)
    serve_until_stopped(site, demo)


if __name__ == "__main__":
    main()
