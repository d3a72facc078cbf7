"""Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards: the bundled policy
plugins/scale-ecs-service, decision by decision the same.
"""

from dataclasses import dataclass, field
from typing import Any

from balm_sdk import Decision, Input, Intent, Policy, component, name_of

SOON = 15
"""How soon a target is looked at again that something is still under way on, in seconds."""


def says(description: str, **default: Any) -> Any:
    return field(metadata={"says": description}, **default)


@dataclass(frozen=True)
class Settings:
    minimum: int = says("Tasks that are never gone below.")
    maximum: int = says("Tasks that are never gone above.")
    out_step: int = says("Tasks that are added at once.", default=2)
    in_step: int = says("Tasks that are taken away at once.", default=1)
    out_pause: int = says("Seconds between two steps out, while the alert keeps firing.", default=300)
    in_pause: int = says("Seconds before the first step in, and between two.", default=600)
    low_alerts: list[str] = says(
        "Names of alerts whose firing means too little load. Every other alert means too much.", default_factory=list
    )


class ScaleEcsService(Policy):
    summary = "Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards."
    actions = ["ecs:scale-service"]
    queries = ["ecs:service"]
    settings = Settings

    @staticmethod
    def validate(settings: Settings) -> str | None:
        minimum, maximum = settings.minimum, settings.maximum
        if minimum == 0:
            return "minimum is 0: set it to 1 at least, since a service without tasks serves nobody"
        if minimum > maximum:
            return f"minimum {minimum} is above maximum {maximum}: raise maximum or lower minimum"
        for name in ["out_step", "in_step", "out_pause", "in_pause"]:
            if getattr(settings, name) == 0:
                return f"{name.replace('_', '-')} is 0: set it to 1 at least"
        return None

    @staticmethod
    def evaluate(input: Input[Settings]) -> Decision:
        decision = Decision()
        for target, service in input.ecs_services(input.targets):
            Step(input, target, service, decision).plan()
        return decision


Plugin = component(ScaleEcsService)


class Step:
    """One target in one evaluation."""

    def __init__(self, input: Input[Settings], target: str, service: dict[str, Any], decision: Decision):
        self.input, self.target, self.service, self.decision = input, target, service, decision
        self.name, self.desired = name_of(target), service["desired"]
        self.past = [past for past in input.history if past.target == target and not past.changed_nothing]

    def plan(self) -> None:
        settings, alert = self.input.settings, self.input.alert
        if self.service["status"] != "ACTIVE":
            self.decision.explain(f"{self.name} is {self.service['status']}: it is left alone")
        elif self.input.is_in_progress(self.target):
            # Before anything is concluded from what is there: it is about to become something else.
            pause = min(SOON, settings.out_pause, settings.in_pause)
            self._wait(f"a change of {self.name} is still under way", pause)
        elif alert.name in settings.low_alerts:
            if alert.firing:
                self._idle()
            else:
                self.decision.explain(f"{self.name} is no longer short of load: nothing is to be done")
        elif alert.firing:
            self._saturated()
        else:
            self._relieved()

    def _saturated(self) -> None:
        """The alert fires: one step out, again and again."""
        settings, pause = self.input.settings, self.input.settings.out_pause
        if self._waits(pause):
            return
        to = max(settings.minimum, min(settings.maximum, self.desired + settings.out_step))
        if to <= self.desired:
            maximum = settings.maximum
            why = f"{self.name} is saturated and runs {self.desired} tasks, which is its maximum of {maximum}"
            self._wait(why, pause)
        else:
            self._scale(to, f"{self.name} is saturated: from {self.desired} to {to} tasks", pause)

    def _relieved(self) -> None:
        """The alert has resolved: give back, slowly, what this episode added."""
        settings, pause = self.input.settings, self.input.settings.in_pause
        changes = [(past.before.get("desired"), past.after.get("desired")) for past in self.past]
        changes = [(before, after) for before, after in changes if _is_count(before) and _is_count(after)]
        added = [before for before, after in changes if before < after]
        if not added:
            self.decision.explain(f"{self.name} is well again, and nothing was added to it")
            return
        floor = max(min(added), settings.minimum)
        # What runs above the floor may be another episode's by now: each gives back its own.
        left = sum(after - before for before, after in changes)
        if self.desired <= floor or left <= 0:
            why = f"{self.name} is well again with {self.desired} tasks, and nothing is left to give back"
            self.decision.explain(why)
            return
        rest = pause - self._rested(pause)
        if rest > 0:
            self._wait(f"{self.name} is well again: it keeps its {self.desired} tasks for {rest} s more", rest)
            return
        if self._waits(pause):
            return
        to = max(self.desired - min(settings.in_step, left), floor)
        why = f"{self.name} is well again: from {self.desired} to {to} tasks, on the way to {floor}"
        self._scale(to, why, pause)

    def _idle(self) -> None:
        """An alert fires that says that there is too little load: one step in, again and again."""
        settings, pause = self.input.settings, self.input.settings.in_pause
        if self._waits(pause):
            return
        to = max(self.desired - settings.in_step, settings.minimum)
        if to >= self.desired:
            minimum = settings.minimum
            self._wait(f"{self.name} is short of load and runs {self.desired} tasks, its minimum is {minimum}", pause)
        else:
            self._scale(to, f"{self.name} is short of load: from {self.desired} to {to} tasks", pause)

    def _rested(self, pause: int) -> int:
        """Seconds since the alert's end. One in the future is a sender's clock that is ahead: it tells as little as none."""
        ended = self.input.alert.ends_at
        if ended is not None and ended <= self.input.now:
            return self.input.seconds_since(ended)
        return 0 if self.input.trigger == "resolved" else pause

    def _waits(self, pause: int) -> bool:
        """Something is still on its way, or it is too soon after the last step."""
        running, pending = self.service["running"], self.service["pending"]
        if running < self.desired or pending > 0 or len(self.service["deployments"]) > 1:
            counts = f"{running} of {self.desired} tasks run, {pending} are pending"
            self._wait(f"{self.name} is still on its way: {counts}", min(SOON, pause))
            return True
        left = pause - self.input.seconds_since(self.past[-1].at) if self.past else 0
        if left > 0:
            self._wait(f"the last step of {self.name} is too recent: the next is due in {left} s", left)
        return left > 0

    def _wait(self, why: str, seconds: int) -> None:
        self.decision.explain(why).look_again(seconds)

    def _scale(self, to: int, why: str, pause: int) -> None:
        intent = Intent.scale_service(self.target, to, expected=self.desired, reason=why)
        self.decision.explain(why).propose(intent).look_again(pause)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
