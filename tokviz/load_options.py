"""Names of the options of `tokviz.load`, for flags, settings and sweeps."""

LOAD_OPTIONS = ("device", "dtype", "bits", "device_map", "revision")
"""All options; flags have hyphens instead of underscores, settings have capitals."""
CHANGING_ANSWERS = ("dtype", "bits", "revision")
"""The options that can change answers; the others only choose the device."""
