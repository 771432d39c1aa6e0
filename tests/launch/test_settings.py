"""Config sections become dataclasses; what does not fit is refused by name."""

import dataclasses

import ml_collections
import pytest

from launch.settings import build, differences
from ppt_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Outer:
    steps: int = 1
    names: tuple[str, ...] = ()
    inner: Inner = dataclasses.field(default_factory=Inner)
    limit: int | None = None


def test_nested_sections_and_lists_become_frozen_values() -> None:
    section = ml_collections.ConfigDict({"steps": 3, "names": ["a", "b"], "inner": {"rate": 1}})
    built = build(Outer, section, "outer")
    assert built == Outer(3, ("a", "b"), Inner(1.0))
    assert isinstance(built.inner.rate, float)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stepz": 3}, r"config\.outer\.stepz: no such field; did you mean 'steps'\?"),
        ({"inner": {"rat": 1.0}}, r"config\.outer\.inner\.rat: no such field"),
        ({"steps": "3"}, r"config\.outer\.steps: must be int, got '3'"),
        ({"steps": True}, r"config\.outer\.steps: must be int, got True"),
    ],
)
def test_a_wrong_field_is_named(fields: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(Outer, fields, "outer")


def test_differences_name_every_field_with_both_values() -> None:
    old = {"train": {"steps": 2, "rate": 0.1}, "seed": 0, "gone": 1}
    new = {"train": {"steps": 3, "rate": 0.1}, "seed": 0, "fresh": {"a": 1}}
    assert differences(old, new) == [
        "config.fresh: absent there, {'a': 1} now",
        "config.gone: 1 there, absent now",
        "config.train.steps: 2 there, 3 now",
    ]
    assert differences(old, old) == []
