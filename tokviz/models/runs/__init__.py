"""One question from images and prompt to a trace, and further runs of the same question."""
