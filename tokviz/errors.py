"""Errors whose text is shown to the user.

Every other exception is a bug and keeps its traceback in the log.
"""


class TokvizError(Exception):
    """Base of every error whose message is shown to the user unchanged."""


class InputError(TokvizError):
    """An image, prompt, budget or option that cannot be used; the message says what is allowed."""


class FaultyPlugin(InputError):
    """A method made a mistake; the message names it. Once it is mended, the same run may work."""


class MissingSignal(TokvizError):
    """A method or analysis needs a signal that this model or trace does not have."""


class ModelError(TokvizError):
    """A model that cannot be loaded or run; the message says what to change."""


class Stopped(ModelError):
    """Loading was stopped by whoever asked for it; what was downloaded so far is kept."""


class TraceError(TokvizError):
    """A trace file that is damaged, of another program or of another version."""
