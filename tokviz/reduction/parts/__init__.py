"""Building blocks that several reduction methods share; none of them is a method."""
