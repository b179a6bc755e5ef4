"""An example of a package that adds to tokviz. Each file is one entry point of pyproject.toml."""
