"""Finding, fetching, checking and loading a model's files."""
