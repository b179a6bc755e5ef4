"""History: the runs of this visit, to open, compare, name and delete."""
