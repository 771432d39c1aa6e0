r"""What other libraries say about the same confidences, and where they differ from ppt_jax.

Prints Markdown tables for three cases: 5,000 confidences that are multiples of 0.1 (as verbal
percentages are), a hundred items of which half have confidence 1.0, and 2,000 continuous
confidences. Libraries that are not installed are named and left out; none is needed otherwise:

  pip install torchmetrics netcal relplot uncertainty-calibration model-diagnostics betacal
  python scripts/compare_calibration_libraries.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from absl import app

from ppt_jax.evaluation import calibration, confidences, recalibration_fits

Column = tuple[np.ndarray, np.ndarray]


def cases() -> dict[str, Column]:
    rng = np.random.default_rng(0)
    tied = rng.integers(0, 11, 5000) / 10
    # errors of both signs: those of one sign do not show where values are put together
    wobbly = np.clip(tied + 0.1 * (-1.0) ** np.rint(10 * tied), 0, 1)
    smooth = rng.beta(2, 1, 2000)
    return {
        "5,000 multiples of 0.1": (tied, (rng.random(5000) < wobbly).astype(float)),
        "50 at 1.0 (half right), 50 at 0.95 (all right)": (
            np.array([1.0] * 50 + [0.95] * 50),
            np.array([1.0] * 25 + [0.0] * 25 + [1.0] * 50),
        ),
        "2,000 continuous": (smooth, (rng.random(2000) < smooth**1.3).astype(float)),
    }


def others() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Binned ECE with 10 bins of equal width in every library that is installed."""
    found: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {}
    missing = []
    try:
        import torch
        from torchmetrics.functional.classification import binary_calibration_error

        for name, kind in (("float64", torch.float64), ("float32", torch.float32)):
            found[f"torchmetrics {name}"] = lambda c, y, kind=kind: float(
                binary_calibration_error(
                    torch.tensor(c, dtype=kind), torch.tensor(y.astype(int)), n_bins=10
                )
            )
    except ImportError:
        missing.append("torchmetrics")
    try:
        from netcal.metrics import ECE

        for name, kind_np in (("float64", np.float64), ("float32", np.float32)):
            found[f"netcal {name}"] = lambda c, y, kind_np=kind_np: float(
                ECE(10).measure(c.astype(kind_np), y.astype(int))
            )
    except ImportError:
        missing.append("netcal")
    try:
        from relplot.metrics import binnedECE

        for name, kind_np in (("float64", np.float64), ("float32", np.float32)):
            found[f"relplot {name}"] = lambda c, y, kind_np=kind_np: float(
                binnedECE(c.astype(kind_np), y.astype(kind_np), nbins=10)
            )
    except ImportError:
        missing.append("relplot")
    try:
        from calibration import get_calibration_error

        # its name for the L1 error without correction; it takes discrete values by themselves
        found["uncertainty-calibration"] = lambda c, y: float(
            get_calibration_error(c, y.astype(int), p=1, debias=False)
        )
    except ImportError:
        missing.append("uncertainty-calibration")
    if missing:
        print(f"not installed, left out: {', '.join(missing)}\n")
    return found


def exact(conf: np.ndarray, y: np.ndarray) -> float:
    """Per distinct value, by a plain loop."""
    values = np.unique(conf)
    return float(sum((conf == v).mean() * abs(y[conf == v].mean() - v) for v in values))


def binned() -> None:
    libraries = others()
    columns = cases()
    print("ECE, 10 bins of equal width (`per distinct value`: no bins)\n")
    print("| library | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    rows: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "plain loop, per distinct value": exact,
    }
    for scheme in ("auto", "distinct", "width"):
        for name, kind in (("float64", jnp.float64), ("float32", jnp.float32)):
            rows[f"ppt_jax `{scheme}` {name}"] = lambda c, y, scheme=scheme, kind=kind: float(
                calibration.calibration_error(
                    *(jnp.asarray(x, kind) for x in (c, y, np.ones(len(c)))), scheme=scheme, bins=10
                )
            )
    rows |= libraries
    for name, score in rows.items():
        cells = [f"{score(*column):.4f}" for column in columns.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")


def rest() -> None:
    print("\nOther numbers\n")
    print("| number | library | " + " | ".join(cases()) + " |\n| --- | --- |" + " ---: |" * 3)
    own = [confidences.measure(*column) for column in cases().values()]

    def line(number: str, library: str, cells: Sequence[float]) -> None:
        print(f"| {number} | {library} | " + " | ".join(f"{x:.7f}" for x in cells) + " |")

    line("smooth ECE", "ppt_jax", [m["ece_smooth"].value for m in own])
    try:
        from relplot import smECE

        line("smooth ECE", "relplot", [float(smECE(c, y)) for c, y in cases().values()])
    except ImportError:
        print("| smooth ECE | relplot: not installed | | | |")
    corp = [m["corp_brier_miscalibration"].value for m in own]
    line("CORP miscalibration (Brier)", "ppt_jax", corp)
    try:
        from model_diagnostics.scoring import SquaredError, decompose

        line(
            "CORP miscalibration (Brier)",
            "model-diagnostics",
            [
                float(decompose(y, c, scoring_function=SquaredError())["miscalibration"][0])
                for c, y in cases().values()
            ],
        )
    except ImportError:
        print("| CORP | model-diagnostics: not installed | | | |")
    conf, y = cases()["2,000 continuous"]
    curve = recalibration_fits.fit_logit_curve(conf, y, np.ones(len(conf)), platt=False)
    print(
        f"\nBeta calibration (a, b, m) of the continuous case, ppt_jax: "
        f"{curve.a:.4f}, {curve.b:.4f}, {curve.m:.4f}"
    )
    try:
        from betacal import BetaCalibration

        a, b, _ = BetaCalibration("abm").fit(conf[:, None], y).calibrator_.map_
        print(f"betacal: {a:.4f}, {b:.4f}")
    except ImportError:
        print("betacal: not installed")


def run(argv: Sequence[str]) -> None:
    del argv
    with jax.enable_x64(True):
        binned()
        rest()


if __name__ == "__main__":
    app.run(run)
