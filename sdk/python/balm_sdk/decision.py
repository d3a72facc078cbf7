"""What an evaluation returns."""

from dataclasses import dataclass, field
from typing import Any, Self

from .input import Failed


@dataclass(frozen=True)
class Intent:
    """One proposed change: absolute ("desired is 6"), and conditional by what it expects."""

    action: str
    target: str
    parameters: dict[str, Any]
    expects: dict[str, Any]
    """What must still be true when Balm acts: attributes of the target."""
    reason: str
    verify_within: int | None = None
    """Seconds until it must be verified, if not the action's own deadline."""
    undo: bool = False
    """Undo it when it cannot be verified."""

    def __post_init__(self) -> None:
        if self.verify_within is not None:
            _check_seconds(self.verify_within)

    @classmethod
    def scale_service(cls, target: str, desired: int, *, expected: int, reason: str) -> Self:
        """Run so many tasks, provided that there are still as many as expected."""
        return cls("ecs:scale-service", target, {"desired": desired}, {"desired": expected}, reason)


@dataclass
class Decision:
    """What should be done, and why; also when nothing should."""

    because: list[str] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    look_again_after: int | None = None

    def explain(self, why: str) -> Self:
        """A reason more."""
        self.because.append(why)
        return self

    def propose(self, intent: Intent) -> Self:
        self.intents.append(intent)
        return self

    def look_again(self, seconds: int) -> Self:
        """Evaluate again after so many seconds; the soonest counts if it is said twice."""
        _check_seconds(seconds)
        before = self.look_again_after
        self.look_again_after = seconds if before is None else min(seconds, before)
        return self


def _check_seconds(seconds: int) -> None:
    """The contract's are whole numbers of 32 bits; anything else would be a trap without its reason."""
    if type(seconds) is not int or not 0 <= seconds < 2**32:
        raise Failed(f"{seconds!r} is no whole number of seconds")
