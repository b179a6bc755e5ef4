"""Lessons: Markdown files whose steps set the page and whose tasks it checks."""
