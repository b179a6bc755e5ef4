"""Names of the options of `tokviz.load`, for flags, settings and sweeps."""

LOAD_OPTIONS = ("device", "dtype", "bits", "device_map", "revision", "clip", "max_visual_tokens")
"""All of them; a flag has a hyphen for an underscore, a setting capitals."""
CHANGING_ANSWERS = ("dtype", "bits", "revision", "clip", "max_visual_tokens")
"""Those that answers follow from; the others only say where they are computed."""
