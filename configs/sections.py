"""Config sections made from the rooms' dataclasses, so that every field can be overridden."""

from __future__ import annotations

import dataclasses
from typing import Any

from ml_collections import ConfigDict


def section(kind: type, *, without: tuple[str, ...] = (), **changes: Any) -> ConfigDict:
    """All fields of a settings dataclass with their defaults, some of them changed.

    Args:
      kind: the dataclass, e.g. ``LabelConfig``.
      without: fields that the stage fills in itself, e.g. the seed.
      changes: fields with other values than the defaults; nested settings as dicts.

    Raises:
      AttributeError: a field that the dataclass does not have.

    Example:
      >>> from ppt_jax.data.tokenizer import TokenizerConfig
      >>> section(TokenizerConfig, vocab_size=1024).to_dict()
      {'vocab_size': 1024, 'numbers': 'whole'}
    """
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in without:
            continue
        if field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            value = field.default
        if value is dataclasses.MISSING:
            continue  # no default: the stage fills it in, or the recipe must name it
        nested = dataclasses.is_dataclass(value) and not isinstance(value, type)
        fields[field.name] = dataclasses.asdict(value) if nested else value
    names = {field.name for field in dataclasses.fields(kind)}
    for name, value in changes.items():
        if name not in names:
            raise AttributeError(f"{kind.__name__} has no field {name!r}")
        fields[name] = {**fields[name], **value} if isinstance(value, dict) else value
    return ConfigDict(fields, type_safe=True)
