"""Between the contract's types, which componentize-py makes of wit/0.1.0, and ours.

The modules ``wit_world`` and ``componentize_py_types`` exist only while a component is built and in it. They are imported
while it is built: there is no import later, as a component has no files.
"""

import json
from typing import Any

from . import log
from .decision import Decision, Intent
from .input import Alert, Answer, Failed, Input, Needs, PastIntent, Query
from .policy import Policy
from .settings import read, schema

try:
    from componentize_py_types import Err
    from wit_world.imports import log as host_log
    from wit_world.imports import types
except ModuleNotFoundError:
    # An ordinary test: nobody calls the plugin.
    types = None


def component(policy: type[Policy]) -> type | None:
    """The class that componentize-py looks for: ``Plugin = component(MyPolicy)``."""
    if types is None:
        return None
    levels = {"debug": host_log.Level.DEBUG, "info": host_log.Level.INFO, "warn": host_log.Level.WARN}
    log.log_to(lambda level, message: host_log.write(levels[level], message))

    class Plugin:
        def describe(self) -> Any:
            return types.Manifest(
                None, policy.version, policy.summary, policy.actions, policy.queries, schema(policy.settings)
            )

        def validate_settings(self, settings: str) -> None:
            try:
                wrong = policy.validate(read(policy.settings, settings))
            except Failed as failed:
                wrong = str(failed)
            except Exception as error:
                wrong = _told(error)
            if wrong is not None:
                raise Err(wrong)

        def evaluate(self, input: Any) -> Any:
            try:
                return _write(policy.evaluate(_read(policy, input)))
            except Needs as needs:
                return types.Outcome_Needs([types.Query(q.kind, q.target, q.parameters) for q in needs.queries])
            except Failed as failed:
                raise Err(str(failed)) from None
            except Exception as error:
                # What leaves this function otherwise would be a trap without its reason.
                raise Err(_told(error)) from None

    return Plugin


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _read(policy: type[Policy], raw: Any) -> Input[Any]:
    return Input(
        alert=_read_alert(raw.alert),
        policy=raw.policy,
        targets=raw.targets,
        settings=read(policy.settings, raw.settings),
        trigger=raw.trigger,
        history=[_read_past(past) for past in raw.history],
        now=raw.now,
        seed=raw.seed,
        answers=[_read_answer(answer) for answer in raw.answers],
    )


def _read_alert(raw: Any) -> Alert:
    return Alert(
        source=raw.source,
        org=raw.org,
        fingerprint=raw.fingerprint,
        firing=raw.status == types.Status.FIRING,
        name=raw.name,
        labels=dict(raw.labels),
        annotations=dict(raw.annotations),
        values=dict(raw.values),
        starts_at=raw.starts_at,
        ends_at=raw.ends_at,
    )


def _read_past(raw: Any) -> PastIntent:
    return PastIntent(raw.action, raw.target, raw.at, raw.state, json.loads(raw.before), json.loads(raw.after))


def _read_answer(raw: Any) -> Answer:
    query = Query(raw.query.kind, raw.query.target, raw.query.parameters)
    if isinstance(raw.reading, Err):
        return Answer(query, None, raw.reading.value)
    return Answer(query, raw.reading.value)


def _write(decision: Decision) -> Any:
    intents = [_write_intent(intent) for intent in decision.intents]
    explanation = "; ".join(decision.because)
    return types.Outcome_Decided(types.Decision(intents, explanation, decision.look_again_after, "{}"))


def _write_intent(intent: Intent) -> Any:
    return types.Intent(
        intent.action,
        intent.target,
        json.dumps(intent.parameters),
        json.dumps(intent.expects),
        intent.verify_within,
        intent.undo,
        intent.reason,
    )
