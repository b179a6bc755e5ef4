"""The options of `tokviz.load`, by name: flags, settings and sweeps take them from here."""

LOAD_OPTIONS = ("device", "dtype", "bits", "device_map", "revision", "clip")
"""All of them; a flag has a hyphen for an underscore, a setting capitals."""
CHANGING_ANSWERS = ("dtype", "bits", "revision", "clip")
"""Those that answers follow from; the others only say where they are computed."""
