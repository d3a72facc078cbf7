"""Settings: a dataclass is their shape; operators see it as a JSON Schema.

A field ``low_alerts`` is the setting ``low-alerts``. A field without a default must be given. Fields are ``int`` (not negative,
of 32 bits), ``str``, ``bool`` or ``list[str]``; ``field(metadata={"says": "…"})`` describes one.
"""

import json
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from .input import Failed

S = TypeVar("S")

_MOST = 2**32 - 1

_SCHEMAS: dict[Any, dict[str, Any]] = {
    int: {"type": "integer", "minimum": 0, "maximum": _MOST},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    list[str]: {"type": "array", "items": {"type": "string"}},
}


def read(shape: type[S], text: str) -> S:
    """Read settings, or say what is wrong with them and how to mend it."""
    given = json.loads(text)
    if not isinstance(given, dict):
        raise Failed("settings must be a table")
    known = {_key(field): field for field in fields(shape)}
    for key in given:
        if key not in known:
            raise Failed(f'there is no setting "{key}"; there are {", ".join(known)}')
    values = {}
    for key, field in known.items():
        if key in given:
            if wrong := _wrong_with(field.type, given[key]):
                raise Failed(f"settings: {key} {wrong}")
            values[field.name] = given[key]
        elif _is_needed(field):
            raise Failed(f"settings: {key} is missing")
    return shape(**values)


def schema(shape: type) -> str:
    """The JSON Schema, for the manifest."""
    properties = {}
    for field in fields(shape):
        described = {"description": field.metadata["says"]} if "says" in field.metadata else {}
        default = {} if _is_needed(field) else {"default": _default(field)}
        properties[_key(field)] = described | _SCHEMAS[field.type] | default
    needed = [_key(field) for field in fields(shape) if _is_needed(field)]
    return json.dumps({"type": "object", "properties": properties, "required": needed, "additionalProperties": False})


def _key(field: Field) -> str:
    return field.name.replace("_", "-")


def _is_needed(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Field) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _wrong_with(kind: Any, value: Any) -> str | None:
    if kind is int:
        if isinstance(value, bool) or not isinstance(value, int):
            return "is no whole number"
        return None if 0 <= value <= _MOST else f"is not between 0 and {_MOST}"
    if kind == list[str]:
        return None if isinstance(value, list) and all(isinstance(item, str) for item in value) else "is no list of texts"
    return None if isinstance(value, kind) else f"is no {_SCHEMAS[kind]['type']}"
