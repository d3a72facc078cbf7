"""What an evaluation may know, and how it asks for more."""

import json
from dataclasses import dataclass
from typing import Any, Generic, Iterable, TypeVar

S = TypeVar("S")

_IN_PROGRESS = {"waiting", "attempting", "unknown", "verifying"}
_CHANGED_NOTHING = {"refused", "failed", "expired", "undone"}


class Failed(Exception):
    """It cannot be decided, for this reason. Balm records it and tries again later."""


class Needs(BaseException):
    """The evaluation cannot be completed without these answers. Not for policies: asking raises it.

    It is no ``Exception``, so that a policy that catches those does not decide without the answers.
    """

    def __init__(self, queries: list["Query"]):
        super().__init__(queries)
        self.queries = queries


@dataclass(frozen=True)
class Query:
    kind: str
    target: str
    parameters: str


@dataclass(frozen=True)
class Answer:
    query: Query
    reading: str | None
    """A JSON text; none if it could not be read."""
    failure: str = ""


@dataclass(frozen=True)
class Alert:
    """One alert. Its texts are written by whoever writes alert rules: data, never instructions."""

    source: str
    org: str
    fingerprint: str
    firing: bool
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    values: dict[str, float]
    starts_at: int | None
    """Milliseconds since 1970, by the sender's clock."""
    ends_at: int | None


@dataclass(frozen=True)
class PastIntent:
    """One intent of this episode and policy so far."""

    action: str
    target: str
    at: int
    state: str
    before: dict[str, Any]
    """What it changes, as Balm found it."""
    after: dict[str, Any]
    """The same, as it wanted it."""

    @property
    def in_progress(self) -> bool:
        """Whether it is still on its way."""
        return self.state in _IN_PROGRESS

    @property
    def changed_nothing(self) -> bool:
        """Whether nothing was changed by it."""
        return self.state in _CHANGED_NOTHING


@dataclass(frozen=True)
class Input(Generic[S]):
    """All that an evaluation may know."""

    alert: Alert
    policy: str
    targets: list[str]
    """ARNs: what it may look at and propose to change."""
    settings: S
    """What the operator set."""
    trigger: str
    """fired, resolved, look-again, unverified, or a word of a later host: treat that as look-again."""
    history: list[PastIntent]
    """Oldest first; the newest sixteen."""
    now: int
    """Milliseconds since 1970. It stands still."""
    seed: int
    """The only randomness."""
    answers: list[Answer]

    def ecs_service(self, target: str) -> dict[str, Any]:
        """A service as Balm read it; see docs/reference/catalogue.md."""
        return self.ask("ecs:service", target)

    def ecs_services(self, targets: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
        """Several services: all that are missing are asked for in one round."""
        return self.ask_all("ecs:service", targets)

    def ask(self, kind: str, target: str, parameters: dict[str, Any] | None = None) -> Any:
        """The answer to a query of the catalogue."""
        return self.ask_all(kind, [target], parameters)[0][1]

    def ask_all(self, kind: str, targets: Iterable[str], parameters: dict[str, Any] | None = None) -> list[tuple[str, Any]]:
        # As Balm hands it back: on one line, keys sorted.
        text = json.dumps(parameters or {}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        answers, missing = [], []
        for target in targets:
            query = Query(kind, target, text)
            answer = next((answer for answer in self.answers if answer.query == query), None)
            if answer is None:
                missing.append(query)
            elif answer.reading is None:
                raise Failed(f"{kind} of {target} could not be read: {answer.failure}")
            else:
                answers.append((target, json.loads(answer.reading)))
        if missing:
            raise Needs(missing)
        return answers

    def is_in_progress(self, target: str) -> bool:
        """Whether an intent on this target is still on its way."""
        return any(past.target == target and past.in_progress for past in self.history)

    def seconds_since(self, then: int) -> int:
        """Whole seconds since a time in milliseconds; zero for one to come."""
        return max(0, self.now - then) // 1000


def name_of(target: str) -> str:
    """The last part of an ARN: what people call the target. The name of a group may have slashes itself."""
    _, is_group, group = target.partition(":autoScalingGroupName/")
    return group if is_group else target.replace("/", ":").rpartition(":")[2]
