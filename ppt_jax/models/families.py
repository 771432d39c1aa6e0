"""Model families of the Hugging Face layout: ``config.json`` to a `DecoderConfig` and back.

Every field of a ``config.json`` is either read, known to say nothing about the computation, or
refused by name: a field that nobody reads would change the model in one library and not in ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import CHOICES, DecoderConfig


@dataclasses.dataclass(frozen=True)
class Family:
    """What the name of a family settles.

    Attributes:
      model_type: its name in ``config.json``.
      architecture: class name in other libraries.
      switches: fields of `DecoderConfig` that all members share.
      fields: its own fields of ``config.json`` beside those of all families.
      required: fields that may be there with these values only (first: what we write).
    """

    model_type: str
    architecture: str
    switches: Mapping[str, Any]
    fields: frozenset[str]
    required: Mapping[str, tuple[Any, ...]]


_WINDOWS = frozenset({"sliding_window", "layer_types"})
_GEMMA_SWITCHES = {
    "activation": "gelu_tanh",
    "norm_offset": True,
    "post_norms": True,
    "scaled_embeddings": True,
}
_GEMMA_FIELDS = _WINDOWS | {
    "query_pre_attn_scalar",
    "final_logit_softcapping",
    "attn_logit_softcapping",
}
_GEMMA_REQUIRED = {
    "attention_bias": (False, None),
    "use_bidirectional_attention": (False, None),
}
_QWEN_FIELDS = _WINDOWS | {"use_sliding_window", "max_window_layers"}

FAMILIES = {
    family.model_type: family
    for family in (
        Family(
            "llama",
            "LlamaForCausalLM",
            {},
            frozenset(),
            {
                "attention_bias": (False, None),
                "mlp_bias": (False, None),
                "rope_interleaved": (False, None),
                "pretraining_tp": (1,),
            },
        ),
        Family("mistral", "MistralForCausalLM", {}, frozenset({"sliding_window"}), {}),
        Family("qwen2", "Qwen2ForCausalLM", {"attention_bias": True}, _QWEN_FIELDS, {}),
        Family(
            "qwen3",
            "Qwen3ForCausalLM",
            {"query_key_norm": True},
            _QWEN_FIELDS,
            {"attention_bias": (False, None)},
        ),
        Family("gemma2", "Gemma2ForCausalLM", _GEMMA_SWITCHES, _GEMMA_FIELDS, _GEMMA_REQUIRED),
        Family(
            "gemma3_text",
            "Gemma3ForCausalLM",
            {**_GEMMA_SWITCHES, "query_key_norm": True},
            _GEMMA_FIELDS
            | {"rope_local_base_freq", "sliding_window_pattern", "_sliding_window_pattern"},
            _GEMMA_REQUIRED,
        ),
    )
}

_COMMON = frozenset(
    [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
        "hidden_act",
        "hidden_activation",
        "rms_norm_eps",
        "tie_word_embeddings",
        "model_type",
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
        "attention_dropout",
    ]
)
_BOOKKEEPING = frozenset(
    [
        "architectures",
        "auto_map",
        "torch_dtype",
        "dtype",
        "transformers_version",
        "_name_or_path",
        "use_cache",
        "initializer_range",
        "max_position_embeddings",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "unsloth_fixed",
        "unsloth_version",
        "cache_implementation",
        "is_llama_config",
        "transformers.js_config",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "chunk_size_feed_forward",
        "is_encoder_decoder",
        "id2label",
        "label2id",
        "problem_type",
        "_attn_implementation",
        "_attn_implementation_autoset",
        "tokenizer_class",
    ]
)
_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
}
_ROPE_FIELDS = {
    "default": frozenset[str](),
    "linear": frozenset({"factor"}),
    "llama3": frozenset(
        {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}
    ),
}


class _Reader:
    """Reads fields of one ``config.json`` and says where a bad one stands."""

    def __init__(self, data: Mapping[str, Any], source: str) -> None:
        self.data, self.source = data, source

    def refuse(self, field: str, why: str) -> UserError:
        return UserError(f"{self.source}: field {field!r} is {self.data.get(field)!r}; {why}")

    def number(self, field: str, default: float | None = None, *, whole: bool = False) -> Any:
        value = self.data.get(field)
        if value is None:
            if default is None:
                raise UserError(f"{self.source}: field {field!r} is missing")
            return default
        right = isinstance(value, int) if whole else isinstance(value, int | float)
        if isinstance(value, bool) or not right:
            raise self.refuse(field, f"it must be {'a whole number' if whole else 'a number'}")
        return value if whole else float(value)

    def softcap(self, field: str, gemma2: float) -> float:
        """A soft cap; null turns it off, and a Gemma 2 file that is silent means its default."""
        silent = self.data.get("model_type") == "gemma2" and field not in self.data
        return self.number(field, gemma2 if silent else 0.0)


def config_from_hf(
    data: Mapping[str, Any], *, source: str = "config.json", **choices: Any
) -> DecoderConfig:
    """The decoder that a ``config.json`` describes.

    Both spellings of the rotary settings are read: ``rope_theta`` with ``rope_scaling``, and
    ``rope_parameters`` of newer releases.

    Args:
      data: the parsed file.
      source: its name, for messages.
      **choices: values of `architecture.CHOICES`: arithmetic, dropout, adapters.

    Raises:
      UserError: an unknown ``model_type``, activation or rotary scaling, a missing or unread
        field, or a value that this code does not compute; the message names the field.

    Example:
      >>> config_from_hf(hf_from_config(DecoderConfig(vocab_size=11), "llama")).vocab_size
      11
    """
    read = _Reader(data, source)
    kind = data.get("model_type")
    if kind not in FAMILIES:
        raise read.refuse("model_type", f"known are {', '.join(FAMILIES)}")
    family = FAMILIES[kind]
    known = _COMMON | _BOOKKEEPING | family.fields | set(family.required)
    unread = sorted(set(data) - known)
    if unread:
        raise read.refuse(unread[0], f"nothing in {family.architecture} here reads it")
    for field, allowed in family.required.items():
        if field in data and data[field] not in allowed:
            raise read.refuse(field, f"only {allowed[0]!r} is supported for {kind}")
    if data.get("attention_dropout"):
        raise read.refuse("attention_dropout", "only 0 is supported")
    unknown = sorted(set(choices) - set(CHOICES))
    if unknown:
        raise UserError(f"{source}: {unknown[0]!r} is settled by the file and cannot be chosen")
    activation = data.get("hidden_activation") or data.get("hidden_act") or "silu"
    if activation not in _ACTIVATIONS:
        field = "hidden_activation" if data.get("hidden_activation") else "hidden_act"
        raise read.refuse(field, f"known are {', '.join(_ACTIVATIONS)}")
    heads = read.number("num_attention_heads", whole=True)
    width = read.number("hidden_size", whole=True)
    layers = read.number("num_hidden_layers", whole=True)
    scalar = read.number("query_pre_attn_scalar", 0.0) if kind.startswith("gemma") else 0.0
    head_size = read.number("head_dim", width // heads, whole=True)
    windows, rotary = _windows(read, kind, layers), _rotary(read, kind)
    if not windows:
        rotary.pop("local_rope_base", None)
    return DecoderConfig(
        vocab_size=read.number("vocab_size", whole=True),
        width=width,
        layers=layers,
        heads=heads,
        kv_heads=read.number("num_key_value_heads", heads, whole=True),
        head_size=head_size,
        mlp_width=read.number("intermediate_size", whole=True),
        norm_epsilon=read.number("rms_norm_eps", 1e-6),
        tied_embeddings=bool(data.get("tie_word_embeddings", kind.startswith("gemma"))),
        query_scale=scalar**-0.5 if scalar and scalar != head_size else 0.0,
        attention_softcap=read.softcap("attn_logit_softcapping", 50.0),
        logit_softcap=read.softcap("final_logit_softcapping", 30.0),
        **{**family.switches, "activation": _ACTIVATIONS[activation]},
        **windows,
        **rotary,
        **choices,
    )


def _windows(read: _Reader, kind: str, layers: int) -> dict[str, Any]:
    """Fields of `DecoderConfig` about local layers."""
    data = read.data
    window = read.number("sliding_window", 0, whole=True)
    if kind.startswith("qwen") and not data.get("use_sliding_window", False):
        window = 0
    types = data.get("layer_types")
    if types is None and kind.startswith("qwen") and window:
        first = read.number("max_window_layers", whole=True)
        types = ["sliding_attention" if n >= first else "full_attention" for n in range(layers)]
    if types is None and kind.startswith("gemma"):
        pattern = data.get("sliding_window_pattern") or data.get("_sliding_window_pattern")
        every = 2 if kind == "gemma2" else pattern or 6
        local = [bool((n + 1) % every) for n in range(layers)]
    elif types is None:
        local = [bool(window)] * layers
    else:
        strange = sorted(set(types) - {"sliding_attention", "full_attention"})
        if strange or len(types) != layers:
            raise read.refuse(
                "layer_types",
                f"it must be sliding_attention or full_attention for each of {layers} layers",
            )
        local = [name == "sliding_attention" for name in types]
    if not any(local) or not window:
        if any(local):
            raise read.refuse("sliding_window", "but some layers are local")
        return {}
    every = local.index(False) + 1 if not all(local) else 0
    if local != [not every or bool((n + 1) % every) for n in range(layers)]:
        raise read.refuse("layer_types", "global layers must come at one regular distance")
    return {"local_window": window, "global_every": every}


def _rotary(read: _Reader, kind: str) -> dict[str, Any]:
    """Fields of `DecoderConfig` about rotary frequencies."""
    data = read.data
    both = data.get("rope_parameters")
    out: dict[str, Any] = {}
    if isinstance(both, Mapping) and "full_attention" in both:
        strange = sorted(set(both) - {"full_attention", "sliding_attention"})
        if strange:
            raise read.refuse("rope_parameters", f"{strange[0]!r} is no kind of layer here")
        near = both.get("sliding_attention") or {}
        if near.get("rope_type", "default") != "default":
            raise read.refuse("rope_parameters", "local layers must have no rotary scaling")
        if near:
            out["local_rope_base"] = float(near.get("rope_theta", 10_000.0))
        settings = dict(both["full_attention"])
    elif both is not None:
        settings = dict(both)
    else:
        settings = {"rope_theta": read.number("rope_theta", 10_000.0)}
        settings.update(data.get("rope_scaling") or {})
        if kind == "gemma3_text":
            settings["rope_theta"] = read.number("rope_theta", 1_000_000.0)
            out["local_rope_base"] = read.number("rope_local_base_freq", 10_000.0)
    field = "rope_parameters" if both is not None else "rope_scaling"
    scaling = settings.pop("rope_type", None) or settings.pop("type", None) or "default"
    settings.pop("type", None)
    base = settings.pop("rope_theta", 10_000.0)
    if scaling not in _ROPE_FIELDS:
        raise read.refuse(field, f"known rope types are {', '.join(_ROPE_FIELDS)}")
    strange = sorted(set(settings) ^ _ROPE_FIELDS[scaling])
    if strange:
        word = "unknown to" if strange[0] in settings else "missing for"
        raise read.refuse(field, f"{strange[0]!r} is {word} rope type {scaling!r}")
    out["rope_base"] = float(base)
    if scaling != "default":
        out["rope_scaling"] = scaling
        out["rope_factor"] = float(settings["factor"])
    if scaling == "llama3":
        out["rope_low_frequency"] = float(settings["low_freq_factor"])
        out["rope_high_frequency"] = float(settings["high_freq_factor"])
        out["rope_original_length"] = int(settings["original_max_position_embeddings"])
    if kind == "gemma2":
        out.pop("local_rope_base", None)
    return out


def hf_from_config(
    config: DecoderConfig, model_type: str, *, context_length: int = 8192
) -> dict[str, Any]:
    """A ``config.json`` for a decoder that was made here.

    Args:
      config: the decoder.
      model_type: its family, a key of `FAMILIES`.
      context_length: ``max_position_embeddings``.

    Raises:
      UserError: the family cannot express a field of the decoder; the message names it.
    """
    if model_type not in FAMILIES:
        raise UserError(f"family {model_type!r} is unknown; known are {', '.join(FAMILIES)}")
    family, c = FAMILIES[model_type], config
    activation = "gelu_pytorch_tanh" if c.activation == "gelu_tanh" else "silu"
    data: dict[str, Any] = {
        "architectures": [family.architecture],
        "model_type": model_type,
        "vocab_size": c.vocab_size,
        "hidden_size": c.width,
        "intermediate_size": c.mlp_width,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_size,
        "rms_norm_eps": c.norm_epsilon,
        "rope_theta": c.rope_base,
        "max_position_embeddings": context_length,
        "tie_word_embeddings": c.tied_embeddings,
        "hidden_activation" if model_type.startswith("gemma") else "hidden_act": activation,
    }
    if c.rope_scaling != "none":
        data["rope_scaling"] = {"rope_type": c.rope_scaling, "factor": c.rope_factor}
    if c.rope_scaling == "llama3":
        data["rope_scaling"] |= {
            "low_freq_factor": c.rope_low_frequency,
            "high_freq_factor": c.rope_high_frequency,
            "original_max_position_embeddings": c.rope_original_length,
        }
    if "sliding_window" in family.fields:
        data["sliding_window"] = c.local_window or None
    if "layer_types" in family.fields:
        kinds = ("full_attention", "sliding_attention")
        data["layer_types"] = [kinds[c.is_local(n)] for n in range(c.layers)]
    if c.local_window and "use_sliding_window" in family.fields:
        data |= {"use_sliding_window": True, "max_window_layers": 0}
    if c.local_rope_base and "rope_local_base_freq" in family.fields:
        data["rope_local_base_freq"] = c.local_rope_base
    if model_type.startswith("gemma"):
        data |= {
            "query_pre_attn_scalar": round(c.query_scale**-2) if c.query_scale else c.head_size,
            "attn_logit_softcapping": c.attention_softcap or None,
            "final_logit_softcapping": c.logit_softcap or None,
        }
    data |= {field: allowed[0] for field, allowed in family.required.items()}
    chosen = {name: getattr(c, name) for name in CHOICES}
    back = config_from_hf(data, source=f"{model_type} config", **chosen)
    for field in dataclasses.fields(DecoderConfig):
        told, given = getattr(back, field.name), getattr(c, field.name)
        close = isinstance(given, float) and abs(told - given) <= 1e-12 * abs(given)
        if told != given and not close and not _silent(c, field.name):
            raise UserError(
                f"model.{field.name} is {given!r}, which family {model_type!r} cannot express "
                f"(it would be read as {told!r})"
            )
    return data


def _silent(config: DecoderConfig, name: str) -> bool:
    """Whether a field has no effect in this decoder."""
    rope = name.startswith("rope_") and name not in ("rope_base", "rope_scaling")
    waves = ("rope_low_frequency", "rope_high_frequency", "rope_original_length")
    return (rope and config.rope_scaling == "none") or (
        name in waves and config.rope_scaling != "llama3"
    )
