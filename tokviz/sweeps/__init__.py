"""Sweeps: many images x questions x methods x budgets x models, measured into one table."""
