"""The commands of `python -m tokviz`, one module per command."""
