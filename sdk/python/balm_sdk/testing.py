"""Testing policies without Wasm: scenes that Balm could bring about, played with all rounds."""

import json
from dataclasses import replace
from typing import Any, Self

from .decision import Decision
from .input import Alert, Answer, Failed, Input, Needs, PastIntent, Query
from .policy import Policy
from .settings import read

NOW = 1_795_435_200_000
"""The time of a scene: a Monday noon in 2026."""

_ROUNDS = 4


class Scene:
    """An evaluation in the making."""

    def __init__(self, name: str, firing: bool):
        labels = {"alertname": name}
        ends_at = None if firing else NOW
        alert = Alert("grafana", "1", "c6eadffa33fcdf37", firing, name, labels, {}, {"A": 95.0}, NOW - 60_000, ends_at)
        trigger = "fired" if firing else "resolved"
        self._input: Input[Any] = Input(alert, "policy", [], None, trigger, [], NOW, 1, [])
        self._settings: dict[str, Any] = {}
        self._services: dict[str, dict[str, Any]] = {}

    @classmethod
    def firing(cls, name: str) -> Self:
        return cls(name, True)

    @classmethod
    def resolved(cls, name: str) -> Self:
        return cls(name, False)

    def settings(self, settings: dict[str, Any]) -> Self:
        self._settings = settings
        return self

    def trigger(self, trigger: str) -> Self:
        self._input = replace(self._input, trigger=trigger)
        return self

    def service(self, arn: str, service: dict[str, Any] | None = None) -> Self:
        """A target more, and what Balm reads there."""
        self._input.targets.append(arn)
        if service is not None:
            self._services[arn] = service
        return self

    def past(self, past: PastIntent) -> Self:
        """An intent of the past more; the newest last."""
        self._input.history.append(past)
        return self

    def decide(self, policy: type[Policy]) -> Decision:
        """Run the policy as Balm does. Raises ``Failed``."""
        settings = read(policy.settings, json.dumps(self._settings))
        if wrong := policy.validate(settings):
            raise Failed(wrong)
        self._input = replace(self._input, settings=settings)
        for _ in range(_ROUNDS):
            try:
                return policy.evaluate(self._input)
            except Needs as needs:
                self._input.answers.extend(self._answer(policy, query) for query in needs.queries)
        raise Failed(f"it needs more than {_ROUNDS} rounds")

    def _answer(self, policy: type[Policy], query: Query) -> Answer:
        if query.kind not in policy.queries:
            raise Failed(f"it asks {query.kind}, which it does not declare")
        service = self._services.get(query.target)
        if service is None:
            return Answer(query, None, "the scene gives no such reading")
        return Answer(query, json.dumps(service))


def service(tasks: int) -> dict[str, Any]:
    """A steady service that runs so many tasks."""
    counts = {"desired": tasks, "running": tasks, "pending": 0}
    deployment = {"id": "ecs-svc/1", "status": "PRIMARY", "failed": 0, "created-at": NOW - 3_600_000, **counts}
    return {"status": "ACTIVE", "task-definition": "web:7", "deployments": [deployment], "tags": {}, **counts}


def scaled(target: str, before: int, after: int, seconds_ago: int, state: str) -> PastIntent:
    """An intent of the past that scaled a service, this long ago."""
    at = NOW - seconds_ago * 1000
    return PastIntent("ecs:scale-service", target, at, state, {"desired": before}, {"desired": after})
