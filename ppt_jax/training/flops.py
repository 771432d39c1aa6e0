"""Arithmetic of a training step, peak rates of chips, and model FLOP/s utilisation.

A multiply-add counts as two operations. Only useful work counts: tokens that are no padding, pairs
of tokens of which one sees the other, nodes that are supervised; work done again to save memory
does not count. Axes: see `ppt_jax.models.decoder`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from ppt_jax.models.architecture import DecoderConfig


@dataclasses.dataclass(frozen=True)
class Chip:
    """A published peak.

    Attributes:
      name: as in ``--chip``.
      kinds: beginnings of JAX's ``device_kind``.
      flops: dense bfloat16 operations per second.
      memory: bytes.
    """

    name: str
    kinds: tuple[str, ...]
    flops: float
    memory: float


CHIPS = (
    Chip("h200", ("NVIDIA H200",), 989e12, 141e9),
    Chip("h100", ("NVIDIA H100",), 989e12, 80e9),
    Chip("a100", ("NVIDIA A100",), 312e12, 80e9),
    Chip("v6e", ("TPU v6",), 918e12, 32e9),
    Chip("v5p", ("TPU v5p", "TPU v5"), 459e12, 95e9),
    Chip("v5e", ("TPU v5 lite", "TPU v5e"), 197e12, 16e9),
    Chip("v4", ("TPU v4",), 275e12, 32e9),
)
"""Peak without sparsity, from the makers' data sheets."""


def chip_of(device_kind: str) -> Chip | None:
    """The chip of a JAX device, or None where its peak is not known (a CPU)."""
    matches = [
        (len(kind), chip) for chip in CHIPS for kind in chip.kinds if device_kind.startswith(kind)
    ]
    return max(matches, key=lambda match: match[0])[1] if matches else None


@dataclasses.dataclass(frozen=True)
class Work:
    """What a batch asks for.

    Attributes:
      tokens: tokens that are no padding.
      nodes: tokens at which the LM head is needed.
      pairs: pairs (query, key) under the packing rule, padding left out.
    """

    tokens: int
    nodes: int
    pairs: int


def batch_work(batch: Mapping[str, np.ndarray]) -> Work:
    """Counts a packed batch; a token at row index ``j`` is seen by ``end[j] - j`` queries.

    Args:
      batch: ``end_BT``, ``positions_BT``, ``edge_node_BE`` and ``edge_mass_BE`` of the data room.

    Example:
      >>> import numpy as np
      >>> batch_work({"end_BT": np.array([[3, 2, 3, 4]]), "positions_BT": np.array([[0, 1, 1, 0]]),
      ...             "edge_node_BE": np.array([[0, 0]]), "edge_mass_BE": np.array([[0.5, 0.5]])})
      Work(tokens=3, nodes=1, pairs=5)
    """
    end_BT = np.asarray(batch["end_BT"])
    row_T = np.arange(end_BT.shape[1])
    lonely_BT = (end_BT == row_T + 1) & (np.asarray(batch["positions_BT"]) == 0)
    seen_BT = np.where(lonely_BT, 0, end_BT - row_T)
    supervised = np.asarray(batch["edge_mass_BE"]) > 0
    rows, _ = np.nonzero(supervised)
    width = end_BT.shape[1]
    nodes = np.unique(rows * width + np.asarray(batch["edge_node_BE"])[supervised]).size
    return Work(int((~lonely_BT).sum()), int(nodes), int(seen_BT.sum()))


def forward_flops(config: DecoderConfig, work: Work) -> tuple[float, float, float]:
    r"""Operations of a forward pass: of weights, of attention, of adapters.

    With :math:`n` tokens, :math:`m` nodes and :math:`s` seen pairs,

    .. math:: 2 n L (E (H + 2 K) D + H D E + 3 E F) + 2 m E V, \qquad 4 s L H D, \qquad
              2 n L r \sum (in + out).
    """
    c = config
    queries, pairs = c.heads * c.head_size, c.kv_heads * c.head_size
    sizes = {
        "query": (c.width, queries),
        "key": (c.width, pairs),
        "value": (c.width, pairs),
        "output": (queries, c.width),
        "gate": (c.width, c.mlp_width),
        "up": (c.width, c.mlp_width),
        "down": (c.mlp_width, c.width),
    }
    layer = sum(fan_in * fan_out for fan_in, fan_out in sizes.values())
    weights = 2.0 * work.tokens * c.layers * layer + 2.0 * work.nodes * c.width * c.vocab_size
    attention = 4.0 * work.pairs * c.layers * queries
    adapted = sum(sum(sizes[name]) for name in c.adapted())
    return weights, attention, 2.0 * work.tokens * c.layers * c.adapter_rank * adapted


def step_flops(config: DecoderConfig, work: Work) -> float:
    """Operations of a training step: forward, and gradients of what is trained.

    The backward pass of a weight costs twice its forward pass (gradients of input and of weight);
    of a frozen weight once; of attention twice.

    Args:
      config: the decoder.
      work: of `batch_work`, over all devices.
    """
    weights, attention, adapters = forward_flops(config, work)
    return (2 if config.adapter_rank else 3) * weights + 3 * attention + 3 * adapters


def utilisation(flops: float, seconds: float, devices: int, device_kind: str) -> float | None:
    """Share of the devices' peak that went into the model (MFU); None where it is not known.

    Args:
      flops: of `step_flops`.
      seconds: wall time of the step.
      devices: how many took part.
      device_kind: as JAX names it.

    References:
      Chowdhery et al. (2022), PaLM, appendix B.
    """
    chip = chip_of(device_kind)
    return None if chip is None else flops / (seconds * devices * chip.flops)
