"""Links to runs on visitors' own pictures: opt-in, for a stated time, deletable."""
