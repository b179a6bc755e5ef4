"""The command `tokviz` of an installed package: the page, or with a command the command line."""

import sys
from importlib import import_module
from importlib.util import find_spec


def main() -> int:
    """Open the page on the settings' models; with arguments run a command instead.

    The rest is imported here, so that Ctrl-C meanwhile is one sentence, too.
    """
    try:
        return run_command() if len(sys.argv) > 1 else open_page()
    except KeyboardInterrupt:
        sys.stderr.write("\ntokviz: stopped.\n")
        return 130


def run_command() -> int:
    """Run a command; return its exit status."""
    return import_module("tokviz.cli.main").main()


def open_page() -> int:
    """Serve the page until the program has to stop."""
    if find_spec("gradio") is None:
        how = import_module("tokviz.extras").how_to_install("page")
        sys.stderr.write(f"tokviz: the page needs Gradio: {how}.\n")
        return 2
    launch()
    return 0


def launch() -> None:
    """Read the settings and serve."""
    import_module(".launch", __package__).main()
