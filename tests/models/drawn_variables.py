"""Variables drawn without compiling how a network would draw them."""

import jax
import jax.numpy as jnp
import numpy as np


def drawn(module, *arguments):
    """Variables of `module`, called with `arguments`, of which none has a value that could hide a mistake."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *arguments))
    rng = np.random.default_rng(3)

    def draw(path, shape):
        value = rng.normal(size=shape.shape) / np.prod(shape.shape[:-1]) ** 0.5
        return jnp.asarray(1 + 0.1 * value if path[-1].key in ("scale", "var") else value, jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def size(module, shape):
    """Number of parameters of a network that is shown signals of `shape`."""
    return sum(x.size for x in jax.tree.leaves(_shapes(module, shape)["params"]))


def product_types(module, shape):
    """Types of all products and convolutions of a network that is shown signals of `shape`, in order; of its output."""
    signal = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = _shapes(module, shape)
    traced, output = jax.make_jaxpr(lambda v, x: module.apply(v, x, False), return_shape=True)(variables, signal)
    types = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                types.append(str(equation.outvars[0].aval.dtype))
            params = dict(equation.params)
            if "branches" in params:
                # One for each platform, of which one is run.
                params["branches"] = params["branches"][-1:]
            for inner in jax.tree.leaves(list(params.values()), is_leaf=lambda x: hasattr(x, "jaxpr")):
                if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                    visit(getattr(inner, "jaxpr", inner))

    visit(traced.jaxpr)
    return types, str(output.dtype)


def _shapes(module, shape):
    signal = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda x: module.init(jax.random.key(0), x, is_training=False), signal)
