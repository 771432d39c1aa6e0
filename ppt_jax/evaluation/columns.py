"""A column of confidences and outcomes, sorted once, and the sums that every number is read off.

Axes: N items (or groups of items), G groups of equal confidence, V versions of weights and outcomes
(the sample, bootstrap replicates, null simulations), M smoothing cells.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse

from ppt_jax.evaluation.calibration import MAX_DISTINCT

MOST_GROUPS = 4096
"""Groups of confidences that replicates and nulls tell apart."""

_SWEEP_BINS = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Sums:
    """V versions of a column, per sorted item or group of items: sums of w, w y and w y^2."""

    w_VN: np.ndarray
    wy_VN: np.ndarray
    wyy_VN: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Sorted:
    """Items in order of confidence, with the places where groups, bins and cells end."""

    order_N: np.ndarray
    conf_N: np.ndarray
    weight_N: np.ndarray
    ends_G: np.ndarray  # place after the last item of each group of ties
    bins: dict[str, np.ndarray]  # scheme -> bin of each sorted item
    sweep_edges: np.ndarray  # item places, [b, bin]
    cell_edges_M: np.ndarray
    share_N: np.ndarray  # part of each item's mass that goes to the right cell


def sort(conf_N: np.ndarray, weight_N: np.ndarray, bins: int, cells: int) -> Sorted:
    """Sorts a column, and finds its groups of ties, bins and cells.

    Args:
      conf_N: confidences in [0, 1].
      weight_N: weights of the items, above 0.
      bins: of the schemes ``mass`` and ``width``.
      cells: of the smooth error.
    """
    order = np.argsort(conf_N, kind="stable")
    conf, weight = conf_N[order], weight_N[order]
    ends = np.append(np.flatnonzero(conf[1:] != conf[:-1]) + 1, len(conf))
    rank = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    weight_G = np.bincount(rank, weight)
    starts = np.append(0, ends)
    middle = (np.cumsum(weight_G) - weight_G / 2) / max(weight_G.sum(), 1e-30)
    mass = np.clip(np.floor(middle * bins + 1e-6), 0, bins - 1).astype(int)[rank]
    width = np.clip(np.floor(conf * bins + 1e-6), 0, bins - 1).astype(int)
    schemes = {"mass": mass, "width": width}
    if len(weight_G) <= MAX_DISTINCT:
        schemes["distinct"] = rank
    place = np.clip(conf * cells - 0.5, 0, cells - 1)
    left = np.clip(np.floor(place), 0, cells - 2).astype(int)
    return Sorted(
        order_N=order,
        conf_N=conf,
        weight_N=weight,
        ends_G=ends,
        bins=schemes,
        sweep_edges=starts[_sweep_edges(middle)],
        cell_edges_M=np.searchsorted(left, np.arange(cells)),
        share_N=place - left,
    )


def _sweep_edges(middle_G: np.ndarray) -> np.ndarray:
    """First group of each of 1, 2, ... bins of equal weight, as `calibration.sweep_edges`.

    Args:
      middle_G: share of the weight up to the middle of each group, ascending.

    Returns:
      [b, bin + 1], each row ends in G.
    """
    edges = np.full((_SWEEP_BINS, _SWEEP_BINS + 1), len(middle_G))
    for count in range(1, _SWEEP_BINS + 1):
        index = np.clip(np.floor(middle_G * count + 1e-6), 0, count - 1)
        edges[count - 1, :count] = np.searchsorted(index, np.arange(count))
    return edges


@dataclasses.dataclass(frozen=True, eq=False)
class Grouped:
    """A column of many confidences as at most `MOST_GROUPS` groups.

    Attributes:
      at: the groups, sorted.
      weight_NG: sparse, weight of each item (in its own order) at its group.
    """

    at: Sorted
    weight_NG: scipy.sparse.csr_array

    def sums(self, weights_VN: np.ndarray, y_VN: np.ndarray) -> Sums:
        """Sums of the groups; one of the two arguments has one row."""
        if len(y_VN) == 1:
            of_y, of_yy = (
                scipy.sparse.diags_array(x) @ self.weight_NG for x in (y_VN[0], y_VN[0] ** 2)
            )
            return Sums(weights_VN @ self.weight_NG, weights_VN @ of_y, weights_VN @ of_yy)
        scaled = scipy.sparse.diags_array(weights_VN[0]) @ self.weight_NG
        return Sums(weights_VN @ self.weight_NG, y_VN @ scaled, y_VN**2 @ scaled)


def group(s: Sorted, bins: int, cells: int) -> Grouped:
    """Groups of equal confidences; where there are too many, of neighbours of about equal weight.

    A group stands for its items with their mean confidence, so replicates and nulls cost what the
    groups cost; each group has about 1 / `MOST_GROUPS` of the weight and lies in one bin and cell.

    Args:
      s: the sorted column.
      bins: see `sort`.
      cells: see `sort`.
    """
    ends = s.ends_G
    if len(ends) > MOST_GROUPS:
        run = np.cumsum(s.weight_N)[ends - 1]
        wanted = np.searchsorted(run, run[-1] * np.arange(1, MOST_GROUPS) / MOST_GROUPS)
        changes = [np.flatnonzero(np.diff(bin_N)) + 1 for bin_N in s.bins.values()]
        ends = np.concatenate([ends[wanted], *changes, s.cell_edges_M, [len(s.conf_N)]])
        ends = np.unique(ends[ends > 0])  # no group lies in two bins or two cells
    starts = np.append(0, ends[:-1])
    weight = np.add.reduceat(s.weight_N, starts)
    conf = np.add.reduceat(s.weight_N * s.conf_N, starts) / weight
    group_N = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    shape = (len(s.conf_N), len(ends))
    matrix = scipy.sparse.csr_array((s.weight_N, (s.order_N, group_N)), shape=shape)
    return Grouped(sort(conf, weight, bins, cells), matrix)


def item_sums(s: Sorted, weights_VN: np.ndarray, y_VN: np.ndarray) -> Sums:
    """Sums of sorted items from multiplicities and outcomes in their own order."""
    w_VN = weights_VN[:, s.order_N] * s.weight_N
    wy_VN = w_VN * y_VN[:, s.order_N]
    return Sums(w_VN, wy_VN, wy_VN * y_VN[:, s.order_N])
