"""From an ml_collections config to the rooms' frozen dataclasses, and back to JSON."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import ml_collections

from launch.entry import nearest
from ppt_jax.errors import UserError

T = TypeVar("T")


def build(kind: type[T], section: Mapping[str, Any] | ml_collections.ConfigDict, name: str) -> T:
    """Builds a frozen config dataclass from one section of the config.

    Lists become tuples where the dataclass wants tuples; nested sections become nested dataclasses;
    unknown fields are refused by name, and the dataclass itself refuses bad values.

    Args:
      kind: the dataclass, e.g. ``LabelConfig``.
      section: the section's fields.
      name: the section's name in the config, for messages, e.g. ``"label"``.

    Raises:
      UserError: an unknown field, a field of the wrong type, or a value the dataclass refuses.
    """
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in section.items():
        if key not in fields:
            raise UserError(f"config.{name}.{key}: no such field; {nearest(key, list(fields))}")
        values[key] = _convert(hints[key], value, f"{name}.{key}")
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(f"config.{name}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if isinstance(value, ml_collections.ConfigDict | Mapping):
        options = [hint, *typing.get_args(hint)]
        for option in options:
            if dataclasses.is_dataclass(option):
                return build(typing.cast(type, option), value, where)
        return dict(value)
    if isinstance(value, list | tuple):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, bool, str) and not isinstance(value, hint):
        raise UserError(f"config.{where}: must be {hint.__name__}, got {value!r}")
    if hint is int and isinstance(value, bool):
        raise UserError(f"config.{where}: must be int, got {value!r}")
    return value


def resolved(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The config as plain JSON types (tuples become lists), as stored beside results."""
    return json.loads(json.dumps(config.to_dict(), allow_nan=False))


def differences(old: Any, new: Any, name: str = "config") -> list[str]:
    """Names every field in which two resolved configs differ, with both values.

    Example:
      >>> differences({"train": {"steps": 2}}, {"train": {"steps": 3}})
      ['config.train.steps: 2 there, 3 now']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        lines: list[str] = []
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                lines.append(f"{name}.{key}: {old[key]!r} there, absent now")
            elif key not in old:
                lines.append(f"{name}.{key}: absent there, {new[key]!r} now")
            else:
                lines += differences(old[key], new[key], f"{name}.{key}")
        return lines
    return [] if old == new else [f"{name}: {old!r} there, {new!r} now"]
