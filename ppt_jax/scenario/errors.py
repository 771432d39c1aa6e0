"""What a faulty scenario document raises."""

from __future__ import annotations

from ppt_jax.errors import UserError, printable


class ScenarioError(UserError):
    """A scenario document is not sound.

    Printed as ``kiln-crack-01: model[2].expr, character 14: unknown name 'dmp'; ...``, with the
    file and line in front where the document came from one.

    Attributes:
      document: the document's id, empty where it could not be read.
      field: path of the field, such as ``model[2].expr``; empty for the document as a whole.
      at: 0-based character offset in the field's formula, or None; printed counting from 1.
      message: what is wrong and what would be right.
      source: where the document came from (file and line), or empty.
    """

    def __init__(
        self,
        message: str,
        *,
        document: str = "",
        field: str = "",
        at: int | None = None,
        source: str = "",
    ) -> None:
        document, field = printable(document), printable(field)
        place = field if at is None else f"{field}, character {at + 1}".removeprefix(", ")
        parts = (source, document, place, message)
        super().__init__(": ".join(part for part in parts if part))
        self.message = message
        self.document = document
        self.field = field
        self.at = at
        self.source = source

    def placed(self, *, document: str, source: str) -> ScenarioError:
        """The same error with document and source filled in."""
        return ScenarioError(
            self.message, document=document, field=self.field, at=self.at, source=source
        )

    def __reduce__(self) -> tuple[object, ...]:  # keyword arguments survive process boundaries
        return _rebuild, (self.message, self.document, self.field, self.at, self.source)


def _rebuild(message: str, document: str, field: str, at: int | None, source: str) -> ScenarioError:
    return ScenarioError(message, document=document, field=field, at=at, source=source)
