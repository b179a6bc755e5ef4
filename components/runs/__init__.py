"""What the server remembers: runs and their lanes, stop flags, models, stored examples, counts."""
