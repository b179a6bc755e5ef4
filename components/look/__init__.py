"""Look: the picture with its visual tokens, the charts, and files saved of what is shown."""
