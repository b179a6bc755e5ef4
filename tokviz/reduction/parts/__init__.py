"""Building blocks that several reduction methods share; none is a method by itself."""
