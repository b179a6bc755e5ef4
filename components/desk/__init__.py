"""Debug a hallucination: examine an answer, force words, search tokens, try mitigations."""
