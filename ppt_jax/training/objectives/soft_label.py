"""Cross-entropy between a posterior over answers and the model's exact answer distribution.

Axes: B rows, N supervised nodes, V vocabulary, E edges, A asks, K answers.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from ppt_jax.errors import UserError
from ppt_jax.models.answers import StopSets, edge_log_probs, path_log_probs, scatter_answers
from ppt_jax.models.decoder import Apply, Params
from ppt_jax.training.objectives import Batch, Objective, Sums


@dataclasses.dataclass(frozen=True)
class SoftLabelConfig:
    """Options of `soft_label`.

    The paper's ablations need no option here: hard labels (all mass on one answer) and mean-only
    labels are other target masses in the same batch, made where the data is packed.

    Attributes:
      crps_weight: weight of the ordinal term; needs batches that hold every answer of an ask, also
        those of zero mass. Asks with fewer than ``max_answers`` answers have no order and are left
        out of it.
    """

    crps_weight: float = 0.0

    def __post_init__(self) -> None:
        if not self.crps_weight >= 0:
            raise UserError(f"objective.crps_weight is {self.crps_weight}; it must be 0 or more")


def soft_label(
    stops: StopSets, max_answers: int, config: SoftLabelConfig = SoftLabelConfig()
) -> Objective:
    r"""Makes the posterior-training objective.

    For an ask with weight ``w``, label ``p`` and model ``q``,
    ``w * CE(p, q) = -w sum_k p_k log q_k``, and because an answer's probability is a product over
    its path,

    .. math:: w\,CE(p, q) = -\sum_{e} m_e \log q(e \mid node(e)), \quad
              m_e = w \sum_{k\ \mathrm{through}\ e} p_k ,

    so the loss is a weighted sum over trie edges (`edge_mass_BE` holds ``m_e``, ask weight
    included). Its floor is the label's entropy; the metric ``kl`` is the distance to it.
    Next-token training is the same objective: one edge of mass 1 a token, ask weights that count
    tokens.

    Args:
      stops: stop sets of the tokenizer.
      max_answers: K, the stride of `edge_answer_BE`.
      config: options.

    Returns:
      An objective (see `ppt_jax.training.objectives`). Its metrics, as (sum, weight) pairs:
      ``cross_entropy``, ``entropy`` (the floor) and ``kl`` in nats; in evaluation (no key) also
      ``valid_mass``, the model's probability of the answers that the batch holds, which is all
      answers where whole tries are packed; with a CRPS term also ``crps`` and ``ordinal_asks``.

    References:
      Gneiting and Raftery (2007), Strictly proper scoring rules, JASA 102(477), section 4.2 (CRPS).
    """

    def objective(apply: Apply, params: Params, batch: Batch, key: jax.Array | None) -> Sums:
        logits_BNV = apply(params, batch, key)
        mass_BE = batch["edge_mass_BE"]
        logp_BE = edge_log_probs(logits_BNV, batch, stops)
        loss = -jnp.sum(mass_BE * logp_BE)
        weight = batch["ask_weight_BA"].sum()
        entropy = label_entropy(batch)
        metrics = {
            "cross_entropy": jnp.stack([loss, weight]),
            "entropy": jnp.stack([entropy, weight]),
            "kl": jnp.stack([loss - entropy, weight]),
        }
        if key is None:
            metrics["valid_mass"] = _valid_mass(logp_BE, batch)
        if config.crps_weight:
            crps, asks = _crps(logp_BE, batch, max_answers)
            metrics["crps"] = jnp.stack([crps, asks])
            metrics["ordinal_asks"] = jnp.stack([asks, jnp.ones(())])
            loss = loss + config.crps_weight * crps
        return loss, weight, {name: jax.lax.stop_gradient(pair) for name, pair in metrics.items()}

    return objective


def label_entropy(batch: Batch) -> jax.Array:
    """Entropy of the labels in a batch, nats, float32 scalar: the floor of the loss.

    By the chain rule over the trie, ``w H(p) = -sum_e m_e log(m_e / M_node(e))`` with ``M_n`` the
    mass of all edges at node n. A node with one edge adds nothing, so the value is also right where
    the packing samples such nodes (closing brackets), and where it leaves out edges of no mass.
    """
    mass_BE, node_BE = batch["edge_mass_BE"], batch["edge_node_BE"]
    empty_N = jnp.zeros(batch["node_BN"].shape[1], mass_BE.dtype)
    total_BN = jax.vmap(lambda node, mass: empty_N.at[node].add(mass))(node_BE, mass_BE)
    total_BE = jnp.take_along_axis(total_BN, node_BE, axis=1)
    share_BE = jnp.where(mass_BE > 0, mass_BE / jnp.maximum(total_BE, 1e-30), 1)
    return -jnp.sum(mass_BE * jnp.log(share_BE))


def _valid_mass(logp_BE: jax.Array, batch: Batch) -> jax.Array:
    leaf_BE = batch["edge_answer_BE"] >= 0
    path_BE = path_log_probs(jax.lax.stop_gradient(logp_BE), batch["edge_parent_BE"])
    mass = jnp.sum(jnp.where(leaf_BE, jnp.exp(path_BE), 0))
    return jnp.stack([mass, (batch["ask_weight_BA"] > 0).sum().astype(jnp.float32)])


def _crps(logp_BE: jax.Array, batch: Batch, max_answers: int) -> tuple[jax.Array, jax.Array]:
    """``sum_a w_a mean_k (F_k - G_k)^2`` over asks with all K answers, and the weight of those.

    F is the label's cumulative probability, G the model's, renormalised over the answers.
    """
    logp_BAK = scatter_answers(logp_BE, batch, max_answers)
    whole_BA1 = jnp.isfinite(logp_BAK).all(-1, keepdims=True)
    leaf_BE = jnp.where(batch["edge_answer_BE"] >= 0, batch["edge_mass_BE"], 0)
    rows, asks = batch["ask_weight_BA"].shape
    slot_BE = jnp.maximum(batch["edge_answer_BE"], 0)
    empty_X = jnp.zeros(asks * max_answers)
    mass_BX = jax.vmap(lambda slot, mass: empty_X.at[slot].add(mass))(slot_BE, leaf_BE)
    weight_BA1 = batch["ask_weight_BA"][..., None]
    label_BAK = mass_BX.reshape(rows, asks, max_answers) / jnp.maximum(weight_BA1, 1e-9)
    model_BAK = jax.nn.softmax(jnp.where(whole_BA1, logp_BAK, 0), axis=-1)
    gap_BAK = jnp.cumsum(model_BAK - label_BAK, axis=-1)
    weight_BA = jnp.where(whole_BA1, weight_BA1, 0)[..., 0]
    return jnp.sum(weight_BA * jnp.mean(gap_BAK**2, axis=-1)), weight_BA.sum()
