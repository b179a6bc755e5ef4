"""Read the settings, build the page, launch."""

import logging
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from components.models import Models  # noqa: E402
from components.page import build, theme  # noqa: E402
from components.state import Settings, Site  # noqa: E402
from components.widget import head  # noqa: E402


def read_settings() -> Settings:
    """Return the settings from TOKVIZ_* in the environment; the README lists them."""
    names = os.environ.get("TOKVIZ_MODELS", "embedded")
    return Settings(
        models=tuple(name.strip() for name in names.split(",") if name.strip()),
        max_new_tokens=int(os.environ.get("TOKVIZ_MAX_NEW_TOKENS", "64")),
        queue=int(os.environ.get("TOKVIZ_QUEUE", "64")),
        upload_mb=int(os.environ.get("TOKVIZ_UPLOAD_MB", "20")),
    )


settings = read_settings()
demo = build(Site(settings, models=Models(settings.models)))
demo.queue(max_size=settings.queue, default_concurrency_limit=8)


def main() -> None:
    """Serve the page."""
    on_space, everywhere = "SPACE_ID" in os.environ, "0.0.0.0"
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    demo.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", everywhere if on_space else "127.0.0.1"),
        server_port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
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
    )


if __name__ == "__main__":
    main()
