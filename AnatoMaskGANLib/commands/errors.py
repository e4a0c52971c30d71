"""An error in one line, as the command line prints it."""

from __future__ import annotations


class UsageError(ValueError):
    """An option's value, or several together, that no input can make right."""


def error_line(error: BaseException) -> str:
    """The error's message without line breaks; its type in front where the message needs it.

    The messages of ValueError and OSError in this program say what to do. Other errors (a KeyError,
    "out of memory") say more with their type.
    """
    message = " ".join(str(error).split())
    if isinstance(error, (ValueError, OSError)) and message:
        return message
    name = type(error).__name__
    return f"{name}: {message}" if message else name
