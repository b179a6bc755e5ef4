"""Finding, downloading, checking and loading a model's files."""
