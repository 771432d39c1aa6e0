"""Distributions of NumPyro and Pyro as distributions of the scenario language, exactly."""

from __future__ import annotations

import ast
from typing import Final

from ppt_jax.scenario.programs.formulas import Formulas
from ppt_jax.scenario.programs.module import NotConstant
from ppt_jax.scenario.syntax import Binary, Call, Draw, Expr, Listing, Number, Unary

# Positional order and defaults, the same in NumPyro and Pyro for all that are read.
_ARGUMENTS: Final[dict[str, tuple[tuple[str, float | None], ...]]] = {
    "Normal": (("loc", 0.0), ("scale", 1.0)),
    "LogNormal": (("loc", 0.0), ("scale", 1.0)),
    "Gamma": (("concentration", None), ("rate", 1.0)),
    "Beta": (("concentration1", None), ("concentration0", None)),
    "BetaProportion": (("mean", None), ("concentration", None)),
    "Uniform": (("low", 0.0), ("high", 1.0)),
    "Exponential": (("rate", 1.0),),
    "StudentT": (("df", None), ("loc", 0.0), ("scale", 1.0)),
    "Cauchy": (("loc", 0.0), ("scale", 1.0)),
    "Chi2": (("df", None),),
    "Poisson": (("rate", None),),
    "Binomial": (("total_count", 1.0), ("probs", None), ("logits", None)),
    "BinomialProbs": (("probs", None), ("total_count", 1.0)),
    "BinomialLogits": (("logits", None), ("total_count", 1.0)),
    "Bernoulli": (("probs", None), ("logits", None)),
    "BernoulliProbs": (("probs", None),),
    "BernoulliLogits": (("logits", None),),
    "Categorical": (("probs", None), ("logits", None)),
    "CategoricalProbs": (("probs", None),),
    "CategoricalLogits": (("logits", None),),
}
_REFUSED: Final = {
    "HalfNormal": "a draw below 0 is cut off; take Exponential, Gamma or LogNormal, or "
    "jnp.abs(...) of a Normal draw where it is not observed",
    "HalfCauchy": "take jnp.abs(...) of a Cauchy draw where it is not observed",
    "MultivariateNormal": "write its elements as Normal draws, each given those before it",
    "Dirichlet": "write the shares as Gamma draws over their sum",
    "Delta": "use numpyro.deterministic",
    "Unit": "use numpyro.factor with log_sigmoid or jnp.where(condition, 0, -jnp.inf)",
    "GaussianRandomWalk": "write the steps: x[t - 1] if t > 0 else start as the mean of a Normal",
    "TruncatedNormal": "the language has no truncation; add the bound as a hard fact, "
    "numpyro.factor(name, jnp.where(x > low, 0.0, -jnp.inf)), where the bound is constant and so "
    "are loc and scale",
    "NegativeBinomial2": "write a Poisson draw whose rate is a Gamma draw",
    "GammaPoisson": "write a Poisson draw whose rate is a Gamma draw",
    "BetaBinomial": "write a Binomial draw whose probs is a Beta draw",
    "Geometric": "the language counts with Poisson and Binomial only",
    "Multinomial": "write Binomial draws, each given those before it",
    "InverseGamma": "write 1 / a Gamma draw",
    "Pareto": "write a LogNormal, or low * exp of an Exponential draw",
}


def distribution(read: Formulas, node: ast.expr) -> Draw:
    """The draw that a distribution is.

    Args:
      read: of the model function; a Categorical keeps its set empty.
      node: such as ``dist.Gamma(3.0, rate)``.

    Raises:
      ProgramError: no distribution of the language, named with what would be right.
    """
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("expand", "to_event", "mask", "expand_by", "independent")
    ):
        read.refuse(f".{node.func.attr}(...) is not read; use a plate or a loop", node)
    if not isinstance(node, ast.Call):
        read.refuse("a distribution is called here, such as dist.Normal(0, 1)", node)
    dotted = read.module.dotted(node.func)
    name = dotted.rpartition(".")[2]
    if ".distributions" not in dotted and not dotted.startswith("pyro."):
        read.refuse(f"{ast.unparse(node.func)[:60]!r} is no distribution of NumPyro or Pyro", node)
    if name not in _ARGUMENTS:
        why = _REFUSED.get(name, f"read are {', '.join(sorted(_ARGUMENTS))}")
        read.refuse(f"{name[:60]} is not expressible: {why}", node)
    found = _arguments(read, node, name)
    return _draw(read, node, name.removesuffix("Probs").removesuffix("Logits"), found)


def _arguments(read: Formulas, node: ast.Call, name: str) -> dict[str, Expr]:
    wanted = _ARGUMENTS[name]
    given: dict[str, ast.expr] = {}
    if len(node.args) > len(wanted) or any(isinstance(a, ast.Starred) for a in node.args):
        read.refuse(f"{name} takes {', '.join(key for key, _ in wanted)}", node)
    for (key, _), value in zip(wanted, node.args):
        given[key] = value
    for keyword in node.keywords:
        if keyword.arg == "validate_args":
            continue
        if keyword.arg in given or keyword.arg not in dict(wanted):
            read.refuse(
                f"{name} takes {', '.join(key for key, _ in wanted)}, not {str(keyword.arg)[:40]!r}"
                + (" twice" if keyword.arg in given else ""),
                keyword.value,
            )
        given[keyword.arg] = keyword.value
    found: dict[str, Expr] = {}
    for key, default in wanted:
        if key in given and not _none(given[key]):
            part = given[key]
            if name.startswith("Categorical"):
                found[key] = weights(read, part)
            elif key == "rate" and isinstance(part, ast.BinOp) and isinstance(part.op, ast.Div):
                found[key] = Binary("/", read.expr(part.left), read.expr(part.right))
            else:
                read.counting = key == "total_count"
                found[key] = read.expr(part)
                read.counting = False
        elif default is not None:
            found[key] = Number(default)
    parameters = {"probs", "logits"} & dict(wanted).keys()
    missing = [key for key, _ in wanted if key not in found and key not in parameters]
    if missing or (parameters and len(parameters & found.keys()) != 1):
        needs = ", ".join(missing) or "one of probs and logits"
        read.refuse(f"{name} needs {needs}", node)
    return found


def _none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _value(expr: Expr) -> float | None:
    """The number that a formula of constants is."""
    match expr:
        case Number(value=value):
            return value
        case Unary(op="-", operand=Number(value=value)):
            return -value
    return None


def _over(a: Expr, b: Expr) -> Expr:
    """``a / b``, undoing a division by the same."""
    if isinstance(b, Binary) and b.op == "/" and b.left == a:
        return b.right
    if b == Number(1.0):
        return a
    if isinstance(a, Number) and isinstance(b, Number) and a.value and b.value:
        folded = a.value / b.value
        if a.value / folded == b.value:
            return Number(folded)
    return Binary("/", a, b)


def _exp(x: Expr) -> Expr:
    if isinstance(x, Call) and x.function == "log":
        return x.args[0]
    return Number(1.0) if _value(x) == 0.0 else Call("exp", (x,))


def _draw(read: Formulas, node: ast.expr, name: str, found: dict[str, Expr]) -> Draw:
    logits = found.get("logits")
    p = found.get("probs") or (Call("sigmoid", (logits,)) if logits is not None else Number(0.0))
    match name:
        case "Normal":
            return Draw("normal", (("mean", found["loc"]), ("sd", found["scale"])))
        case "LogNormal":
            return Draw("lognormal", (("median", _exp(found["loc"])), ("spread", found["scale"])))
        case "Gamma":
            shape = found["concentration"]
            return Draw("gamma", (("mean", _over(shape, found["rate"])), ("shape", shape)))
        case "Chi2":
            shape = _over(found["df"], Number(2.0))
            return Draw("gamma", (("mean", found["df"]), ("shape", shape)))
        case "Beta":
            return Draw("beta", (("a", found["concentration1"]), ("b", found["concentration0"])))
        case "BetaProportion":
            return Draw("share", (("mean", found["mean"]), ("strength", found["concentration"])))
        case "Uniform":
            return Draw("uniform", (("low", found["low"]), ("high", found["high"])))
        case "Exponential":
            return Draw("wait", (("mean", _over(Number(1.0), found["rate"])),))
        case "StudentT" | "Cauchy":
            df = found.get("df", Number(1.0))
            return Draw("robust", (("mean", found["loc"]), ("sd", found["scale"]), ("df", df)))
        case "Poisson":
            return Draw("count", (("rate", found["rate"]),))
        case "Binomial":
            return Draw("successes", (("n", found["total_count"]), ("p", p)))
        case "Bernoulli":
            return Draw("yes", (("p", p),))
    listing = found.get("probs", logits)
    assert isinstance(listing, Listing)
    if logits is not None:
        listing = Listing(tuple(_exp(item) for item in listing.items))
    elif read.unscaled is listing:
        read.unscaled = None
    else:
        values = [_value(item) for item in listing.items]
        numbers = [value for value in values if value is not None]
        if len(numbers) == len(values) and abs(sum(numbers) - 1.0) > 1e-5:
            read.refuse(f"the probs of a Categorical sum to 1, these to {sum(numbers):.6g}", node)
    if len(set(listing.items)) == 1:
        return Draw("pick", (("size", listing),), "")
    return Draw("pick", (("weights", listing),), "")


def weights(read: Formulas, node: ast.expr) -> Listing:
    """The probabilities of a Categorical as a list of formulas.

    ``w / jnp.sum(w)`` is w; the language scales weights itself.
    """
    match node:
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Call(func=function, args=[over, *_])):
            if (
                ast.dump(left) == ast.dump(over)
                and read.module.dotted(function).rpartition(".")[2] == "sum"
            ):
                read.unscaled = weights(read, left)
                return read.unscaled
    try:
        value = read.constant(node)
        if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
            return Listing(tuple(read.literal(item, node) for item in value))
    except NotConstant:
        pass
    if isinstance(node, ast.Name):
        held = read.names.get(node.id)
        if isinstance(held, Listing):
            return held
    if isinstance(node, ast.Call) and node.args:
        name = read.module.dotted(node.func).rpartition(".")[2]
        if name in ("array", "asarray", "tensor"):
            return weights(read, node.args[0])
        if name == "stack":
            made = read.weights(node.args[0], 0)
            assert isinstance(made, Listing)
            return made
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        return read.listing(node.elts, 0)
    read.refuse("the probs of a Categorical are written out, such as jnp.array([p, 1 - p])", node)
