"""How far can an answer, or a map of it, be trusted? Removing, forcing and checking."""
