"""The vision tower: one run for all lanes, its recorded signals, and token reduction inside it."""
