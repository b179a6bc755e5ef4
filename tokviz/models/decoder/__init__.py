"""The language model: prefill with tokens removed, decode steps, several lanes at once."""
