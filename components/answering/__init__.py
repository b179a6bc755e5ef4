"""Answering: read what a visitor asks, run the model, make what the page shows of the run."""
