"""Steps before the language model: which visual tokens a plan keeps, and the prefill's input."""
