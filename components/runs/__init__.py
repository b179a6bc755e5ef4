"""What the server keeps: runs and their lanes, stop flags, models, stored examples, counts."""
