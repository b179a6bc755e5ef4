"""Imports Gradio without its stub files.

For every class of a component Gradio (6.31) parses the source and writes a stub (`.pyi`) beside it,
which editors read. It does so at each start: 2.6 of the 7.4 seconds of processor time that `import
gradio` takes, and files in the folders of our own components. No setting turns it off, so the
function is replaced before any component is defined.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec

STUB_WRITER = "create_or_modify_pyi"


def import_gradio() -> None:
    """Import Gradio; where it was imported already, or is built otherwise, as it is."""
    spec = None if "gradio" in sys.modules else find_spec("gradio")
    if spec is None or spec.loader is None:
        return
    package = sys.modules["gradio"] = module_from_spec(spec)
    try:
        # a module of the package without the package itself, which would define the components
        setattr(import_module("gradio.component_meta"), STUB_WRITER, without_stub)
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.startswith("gradio.")]:
            del sys.modules[name]
    try:
        spec.loader.exec_module(package)
    except BaseException:
        del sys.modules["gradio"]
        raise


def without_stub(component: type, name: str, events: list) -> None:
    """Take the place of Gradio's function that writes the stub of a component."""
