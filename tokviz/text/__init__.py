"""Text as people read it: characters, words, lines, and the tokens that spell them.

Pure Python, no model and no numpy. All code that shows, compares or scores text uses these rules.
"""
