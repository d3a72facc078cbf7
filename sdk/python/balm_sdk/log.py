"""The plugin's log: for the plugin's author, no part of the decision."""

from typing import Callable


def _nowhere(level: str, message: str) -> None:
    """Outside of a component nobody reads it."""


_write: Callable[[str, str], None] = _nowhere


def log_to(write: Callable[[str, str], None]) -> None:
    """Where lines go: to Balm in a component, to the test in a test."""
    global _write
    _write = write


def debug(message: str) -> None:
    _write("debug", message)


def info(message: str) -> None:
    _write("info", message)


def warn(message: str) -> None:
    _write("warn", message)
