"""Reading fields out of untrusted JSON, each refusal with the path of its field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ppt_jax.scenario import limits
from ppt_jax.scenario.errors import ScenarioError
from ppt_jax.scenario.look_alikes import look_of
from ppt_jax.scenario.suggestions import did_you_mean

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# What no reader sees but a model does, or what turns the order of what is seen: soft hyphens, zero
# widths, blank letters, directions, tags, variation selectors but those of emoji, non-characters.
# Joiners (U+200C, U+200D) and marks (U+200E, U+200F, U+061C) belong to scripts and stay.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ufdd0-\ufdef"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_MISSING: Final = object()


def load_json(text: str) -> Any:
    """Parses JSON strictly: no duplicate keys, no NaN or Infinity, bounded size and nesting.

    Raises:
      ScenarioError: the text is not such JSON; `at` is the character where that shows.
    """
    # A character is at least one byte, so this holds before anything of its size is copied.
    if len(text) > limits.MAX_DOCUMENT_BYTES or (
        len(text.encode(errors="replace")) > limits.MAX_DOCUMENT_BYTES
    ):
        raise ScenarioError(
            f"the document is too long; it has at most {limits.MAX_DOCUMENT_BYTES} bytes"
        )
    _check_depth(text)
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise ScenarioError(f"not JSON ({error.msg})", at=error.pos) from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"not JSON ({error})") from None


def _check_depth(text: str) -> None:
    depth = 0
    # Strings first: brackets inside them do not count.
    for match in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', text, re.DOTALL):
        token = match.group()
        if token in "[{":
            depth += 1
            if depth > limits.MAX_JSON_DEPTH:
                raise ScenarioError(
                    f"nested more than {limits.MAX_JSON_DEPTH} deep", at=match.start()
                )
        elif token in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ScenarioError(f"the key {key[:60]!r} stands twice in one object")
            seen.add(key)
    return found


def _no_constant(word: str) -> float:
    raise ScenarioError(f"{word} is not a number here; every number is finite")


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ScenarioError(f"{word[:40]} is too large; every number is finite")
    return value


def _integer(word: str) -> int:
    if len(word) > 300:
        raise ScenarioError(f"{word[:40]}... is too large")
    return int(word)


class Fields:
    """One JSON object whose keys are read one by one; `finish` refuses those left over."""

    def __init__(self, data: Mapping[str, Any], prefix: str) -> None:
        self._data = data
        self._prefix = prefix
        self._known: list[str] = []

    def path(self, key: str) -> str:
        """The full path of a key, such as ``model[2].expr``."""
        return f"{self._prefix}.{key}" if self._prefix else key

    def _error(self, key: str, message: str) -> ScenarioError:
        return ScenarioError(message, field=self.path(key))

    def _get(self, key: str, default: Any = _MISSING) -> Any:
        self._known.append(key)
        value = self._data.get(key, default)
        if value is _MISSING:
            close = did_you_mean(key, (k for k in self._data if isinstance(k, str)))
            hint = close.replace("did you mean", "is it here as") if close else ""
            raise self._error(key, f"this key is missing{hint}")
        return value

    def finish(self) -> None:
        """Refuses keys that nobody read."""
        for key in self._data:
            if key not in self._known:
                shown = key[:60] if isinstance(key, str) else repr(key)[:60]
                raise self._error(
                    shown,
                    f"unknown key{did_you_mean(shown, self._known)} "
                    f"(known here: {', '.join(self._known)})",
                )

    def _text(self, path: str, value: Any, most: int, empty: bool) -> str:
        if not isinstance(value, str):
            raise ScenarioError(f"wants text, this is {_kind(value)}", field=path)
        if len(value) > most:
            raise ScenarioError(f"has {len(value)} characters, at most {most}", field=path)
        if not empty and not value.strip():
            raise ScenarioError("is empty", field=path)
        for pattern, what in (
            (_SURROGATE, "half a surrogate pair"),
            (_CONTROL_BUT_LINES, "the control character"),
            (_INVISIBLE, "the invisible character"),
        ):
            bad = pattern.search(value)
            if bad:
                name = what if pattern is _SURROGATE else f"{what} U+{ord(bad.group()):04X}"
                raise ScenarioError(f"holds {name}", field=path, at=bad.start())
        return value

    def text(
        self,
        key: str,
        default: Any = _MISSING,
        *,
        most: int = limits.MAX_TEXT_CHARACTERS,
        empty: bool = True,
    ) -> str:
        """A string of at most `most` characters."""
        return self._text(self.path(key), self._get(key, default), most, empty)

    def line(self, key: str, default: Any = _MISSING) -> str:
        """A short string of one line, such as a unit."""
        value = self.text(key, default, most=limits.MAX_LINE_CHARACTERS)
        bad = _CONTROL.search(value)
        if bad:
            raise ScenarioError(
                f"is one line, here is {bad.group()!r}", field=self.path(key), at=bad.start()
            )
        return value

    def _matching(self, key: str, pattern: re.Pattern[str], most: int, rule: str) -> str:
        value = self.text(key, most=most)
        if not pattern.fullmatch(value):
            raise self._error(key, f"{value!r} is not such a name: {rule}")
        return value

    def slug(self, key: str) -> str:
        """An id: letters, digits, ``.``, ``_`` and ``-``."""
        rule = "letters, digits, '.', '_' and '-', beginning with a letter or digit"
        return self._matching(key, _SLUG, limits.MAX_LABEL_CHARACTERS, rule)

    def name(self, key: str) -> str:
        """An identifier of the formula language."""
        rule = "letters a-z, digits and single '_', beginning with a letter"
        value = self._matching(key, _NAME, limits.MAX_NAME_CHARACTERS, rule)
        if "__" in value:
            raise self._error(key, f"{value!r} is not such a name: {rule}")
        return value

    def choice(self, key: str, options: Sequence[str], default: Any = _MISSING) -> str:
        """One of the given words."""
        value = self.text(key, default)
        if value not in options:
            known = ", ".join(repr(o) for o in options if o)
            raise self._error(
                key, f"{value[:60]!r} is not one of {known}{did_you_mean(value, options)}"
            )
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number; required where the default is None."""
        value = self._get(key, _MISSING if default is None else default)
        return _number(self.path(key), value)

    def _list(self, key: str, most: int, optional: bool) -> Sequence[Any]:
        value = self._get(key, () if optional else _MISSING)
        if not isinstance(value, list | tuple):
            raise self._error(key, f"wants a list, this is {_kind(value)}")
        if len(value) > most:
            raise self._error(key, f"has {len(value)} entries, at most {most}")
        if not value and not optional:
            raise self._error(key, "is empty, at least one entry is needed")
        return value

    def texts(self, key: str, most: int) -> tuple[str, ...]:
        """An optional list of strings."""
        return tuple(
            self._text(f"{self.path(key)}[{i}]", value, limits.MAX_TEXT_CHARACTERS, False)
            for i, value in enumerate(self._list(key, most, True))
        )

    def labels(self, key: str, most: int, optional: bool = False) -> tuple[str, ...]:
        """A list of different labels: short, one line, printable, without brackets and commas."""
        found: list[str] = []
        shapes: dict[str, str] = {}
        for i, value in enumerate(self._list(key, most, optional)):
            path = f"{self.path(key)}[{i}]"
            label = self._text(path, value, limits.MAX_LABEL_CHARACTERS, False)
            bad = next((c for c in label if c in "[],<>" or not c.isprintable()), "")
            if bad:
                raise ScenarioError(
                    f"a label holds no {bad!r} (no line breaks, brackets, < or >, commas, "
                    "or what does not print)",
                    field=path,
                    at=label.index(bad),
                )
            if label != label.strip():
                raise ScenarioError("a label has no blanks at its ends", field=path)
            if label in found:
                raise ScenarioError(f"{label!r} stands twice", field=path)
            twin = shapes.setdefault(look_of(label), label)
            if twin != label:
                raise ScenarioError(
                    f"{label!r} looks like {twin!r} and is another text", field=path
                )
            found.append(label)
        return tuple(found)

    def objects(self, key: str, most: int, optional: bool = False) -> Iterator[Fields]:
        """A list of objects, each as its own `Fields`."""
        for i, value in enumerate(self._list(key, most, optional)):
            path = f"{self.path(key)}[{i}]"
            if not isinstance(value, Mapping):
                raise ScenarioError(f"wants an object, this is {_kind(value)}", field=path)
            yield Fields(value, path)

    def numbers(self, key: str) -> dict[str, float]:
        """An optional object of finite numbers."""
        value = self._get(key, {})
        if not isinstance(value, Mapping):
            raise self._error(key, f"wants an object, this is {_kind(value)}")
        found = {}
        for name, number in value.items():
            if not isinstance(name, str):
                raise self._error(key, f"the key {name!r} is not text")
            found[name] = _number(f"{self.path(key)}.{name[:80]}", number)
        return found

    def json(self, key: str) -> dict[str, Any]:
        """An optional object of any JSON."""
        value = self._get(key, {})
        if not isinstance(value, Mapping):
            raise self._error(key, f"wants an object, this is {_kind(value)}")
        return {name: _plain(self.path(key), part, 2) for name, part in value.items()}


def _number(path: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScenarioError(f"wants a number, this is {_kind(value)}", field=path)
    if not abs(value) <= limits.MAX_NUMBER:
        raise ScenarioError(f"numbers are finite and go up to {limits.MAX_NUMBER:g}", field=path)
    return float(value)


def _plain(path: str, value: Any, depth: int) -> Any:
    """A copy of plain JSON; anything that JSON cannot hold is refused."""
    if depth > limits.MAX_JSON_DEPTH:
        raise ScenarioError(f"nested more than {limits.MAX_JSON_DEPTH} deep", field=path)
    match value:
        case None | bool() | str():
            if isinstance(value, str) and _SURROGATE.search(value):
                raise ScenarioError("holds half a surrogate pair", field=path)
            return value
        case int() | float():
            if isinstance(value, float) and not math.isfinite(value):
                raise ScenarioError("every number is finite", field=path)
            return value
        case list() | tuple():
            return [_plain(path, part, depth + 1) for part in value]
        case Mapping():
            if not all(isinstance(name, str) for name in value):
                raise ScenarioError("every key is text", field=path)
            return {name: _plain(path, part, depth + 1) for name, part in value.items()}
    raise ScenarioError(f"JSON cannot hold {_kind(value)}", field=path)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
    return f"a {type(value).__name__}"
