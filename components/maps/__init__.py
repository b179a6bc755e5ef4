"""More maps: every analysis of a run, from one menu, as maps, curves and tables."""
