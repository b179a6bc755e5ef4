"""Errors whose text is meant for the person at the keyboard.

Anything else that is raised is a bug and keeps its traceback in the log.
"""


class TokvizError(Exception):
    """Base of every error whose message may be shown to a user as it is."""


class InputError(TokvizError):
    """An image, prompt, budget or option that cannot be used; the message says what is allowed."""


class MissingSignal(TokvizError):
    """A method or analysis needs a signal that this model or trace does not have."""


class ModelError(TokvizError):
    """A model that cannot be loaded or run; the message says what to change."""


class TraceError(TokvizError):
    """A trace file that is damaged, foreign or of another version."""
