"""Start the program: read the settings, prepare the environment, then build and serve the page."""

import os

from ..settings import load_options, read_settings
from .upload_folder import own_folder


def main() -> None:
    """Serve the page until the program has to stop."""
    settings, options = read_settings(), load_options()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    if "GRADIO_TEMP_DIR" not in os.environ:
        os.environ["GRADIO_TEMP_DIR"] = own_folder()
    # Gradio reads the environment when it is imported, so it must not be before this line.
    from .serve import serve  # noqa: PLC0415

    serve(settings, options)
