"""Look: the viewer, the charts behind it, and files saved of what is shown."""
