"""Open the page: python app.py, or `tokviz` where the package is installed."""

from components.server.launch import main, reloaded_page


def __getattr__(name: str) -> object:
    """Build the page as `demo`, which `gradio app.py` asks for again whenever a file changes."""
    if name == "demo":
        return reloaded_page()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    main()
