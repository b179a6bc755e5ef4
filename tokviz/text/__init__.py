"""Text as people read it: characters, words, lines, and which tokens spell them.

Pure Python, no model and no numpy. Everything that shows, compares or scores text asks here.
"""
