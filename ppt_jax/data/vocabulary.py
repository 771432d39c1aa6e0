"""What every token of a vocabulary is in bytes, for byte-level and for SentencePiece-like BPE."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from ppt_jax.errors import UserError

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@functools.cache
def byte_alphabet() -> dict[str, int]:
    """The published GPT-2 map from printable stand-in characters to bytes (256 entries)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in plain}
    rest = [byte for byte in range(256) if byte not in set(plain)]
    return table | {chr(256 + at): byte for at, byte in enumerate(rest)}


def encoder_of(tokenizer: Any) -> Any:
    """The `tokenizers` object behind a `transformers` tokenizer (or the object itself).

    Raises:
      UserError: the tokenizer has none (a slow, pure-Python one).
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return backend
    if hasattr(tokenizer, "pre_tokenizer") and hasattr(tokenizer, "to_str"):
        return tokenizer
    raise UserError(
        f"{type(tokenizer).__name__}: no fast tokenizer behind it; load one that has tokenizer.json"
    )


def _parts(node: Any) -> list[dict[str, Any]]:
    """The steps of a decoder or pre-tokenizer description, sequences flattened."""
    if not isinstance(node, dict):
        return []
    inner = node.get("decoders") or node.get("pretokenizers")
    if inner:
        return [step for part in inner for step in _parts(part)]
    return [node]


def token_bytes(tokenizer: Any) -> list[bytes | None]:
    """The bytes that each token id writes; None for special tokens and unused ids.

    Args:
      tokenizer: a fast `transformers` tokenizer or a `tokenizers.Tokenizer`.

    Returns:
      A list over ids 0..highest id.

    Raises:
      UserError: a decoder that is neither byte-level nor SentencePiece-like.
    """
    encoder = encoder_of(tokenizer)
    description = json.loads(encoder.to_str())
    steps = _parts(description.get("decoder")) + _parts(description.get("pre_tokenizer"))
    kinds = {step.get("type") for step in steps}
    vocabulary: dict[str, int] = encoder.get_vocab(with_added_tokens=True)
    table: list[bytes | None] = [None] * (max(vocabulary.values()) + 1)
    byte_level = "ByteLevel" in kinds
    metaspace = any(
        step.get("type") == "Metaspace"
        or (step.get("type") == "Replace" and step.get("content") == " ")
        for step in steps
    )
    if not byte_level and not metaspace and kinds - {"ByteFallback", "Fuse", "Strip", None}:
        raise UserError(
            f"tokenizer with decoder {sorted(str(kind) for kind in kinds)}: only byte-level and "
            "SentencePiece-like tokenizers can be read token by token"
        )
    alphabet = byte_alphabet()
    for token, index in vocabulary.items():
        if byte_level:
            if all(character in alphabet for character in token):
                table[index] = bytes(alphabet[character] for character in token)
        elif match := _BYTE_TOKEN.fullmatch(token):
            table[index] = bytes([int(match.group(1), 16)])
        else:
            table[index] = token.replace("▁", " ").encode() if metaspace else token.encode()
    model = description.get("model", {})
    unknown = model.get("unk_token")
    if unknown is not None and unknown in vocabulary:
        table[vocabulary[unknown]] = None
    for added in description.get("added_tokens", []):
        index = int(added["id"])
        table[index] = None if added.get("special") else str(added["content"]).encode()
    return table
