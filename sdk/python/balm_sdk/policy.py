"""What an author writes."""

from typing import Any, ClassVar

from .decision import Decision
from .input import Input


class Policy:
    """A remediation policy: a pure function from what is known to what should be done.

    It is evaluated in a fresh instance each time, so nothing that it stores survives. What it raises is recorded as its
    failure, and the evaluation is tried again later.
    """

    version: ClassVar[str] = "0.1.0"
    """The policy's own version, for people."""
    summary: ClassVar[str]
    """What it does, in one sentence."""
    actions: ClassVar[list[str]] = []
    """The actions that it may propose. Balm refuses an intent with any other."""
    queries: ClassVar[list[str]] = []
    """The kinds of queries that it may ask."""
    settings: ClassVar[type]
    """What the operator can set: a dataclass."""

    @staticmethod
    def validate(settings: Any) -> str | None:
        """What is wrong with settings that could be read, and what to change."""
        return None

    @staticmethod
    def evaluate(input: Input[Any]) -> Decision:
        """Decide."""
        raise NotImplementedError
