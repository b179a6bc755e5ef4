"""The board: any number of methods and budgets as small multiples, and the baselines."""
