"""Start the program: read the settings, prepare the environment, then build and serve the page."""

import gc
import os
import sys
import threading
from typing import Any

from ..setting_readers import SettingError
from ..settings import check_port, load_options, read_settings
from .import_gradio import import_gradio
from .upload_folder import own_folder


def main() -> None:
    """Serve the page until the program has to stop.

    A wrong setting is a sentence and exit status 2, Ctrl-C while it starts one and 130.

    `gradio app.py` runs the file once more in a thread of its own, only to get at its `demo`; the
    server is up by then.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    try:
        settings, options = read_settings(), load_options()
        check_port(settings.server_name, settings.server_port)
        os.environ["GRADIO_TEMP_DIR"] = upload_folder()
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
        gc.disable()  # until the page is served: nearly all that is made until then stays
        # Gradio reads the environment when it is imported, so it must not be before this line.
        import_gradio()
        from .serve import serve  # noqa: PLC0415

        serve(settings, options)
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:  # before the server was up; later it ends its runs first
        sys.stderr.write("\ntokviz: stopped.\n")
        raise SystemExit(130) from None
    finally:
        gc.enable()


def reloaded_page() -> Any:
    """Return the page, built anew, for the server that `gradio app.py` has started."""
    from .serve import site_and_page  # noqa: PLC0415

    return site_and_page(read_settings(), load_options())[1]


def upload_folder() -> str:
    """Make the folder of this process's uploads; raise SettingError where none can be written."""
    try:
        return own_folder(os.environ.get("GRADIO_TEMP_DIR"))
    except OSError as error:
        raise SettingError(f"GRADIO_TEMP_DIR must be a folder to write in: {error}.") from None
