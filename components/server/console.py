"""The command `tokviz` of an installed package: the page, or with a command the command line."""

import sys
from importlib.util import find_spec

from tokviz.cli.main import main as run_command
from tokviz.extras import how_to_install

from .launch import main as open_page


def main() -> int:
    """Open the page on the settings' models; with arguments run a command instead."""
    if len(sys.argv) > 1:
        return run_command()
    if find_spec("gradio") is None:
        sys.stderr.write(f"tokviz: the page needs Gradio: {how_to_install('page')}.\n")
        return 2
    open_page()
    return 0
