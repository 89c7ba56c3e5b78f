"""InceptionTime against the sum of its parts and against the same layers in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.models.inception_time import InceptionTime


def build(num_outputs=5, num_modules=6, features=32, bottleneck=32, kernel_sizes=(39, 19, 9)):
    return InceptionTime(num_outputs, num_modules, features, bottleneck, kernel_sizes, jnp.float32, None)


@pytest.mark.parametrize(("kernel_sizes", "parameters"), [((39, 19, 9), 473_989), ((40, 20, 10), 492_421)])
def test_parameter_counts(kernel_sizes, parameters):
    network = build(kernel_sizes=kernel_sizes)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, 250, 12)), False))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == parameters

    bottlenecks = pooled = (12 + 5 * 128) * 32
    convolutions = 6 * sum(kernel_sizes) * 32 * 32
    shortcuts = (12 + 128) * 128
    norms = (6 + 2) * 2 * 128
    assert bottlenecks + pooled + convolutions + shortcuts + norms + (128 + 1) * 5 == parameters


def test_outputs_are_those_of_the_same_layers_in_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = np.random.default_rng(1).normal(size=(3, 21, 12)).astype(np.float32)
    network = build(num_modules=4, features=3, bottleneck=2, kernel_sizes=(9, 5, 4))
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), x, False))
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda v: random.uniform(0.1, 0.6, v.shape).astype(np.float32), shapes)
    params, statistics = (jax.tree.map(torch.tensor, variables[group]) for group in ("params", "batch_stats"))

    def conv(y, name):
        kernel = params[name]["kernel"]
        kernel = kernel if kernel.ndim == 3 else kernel[None]
        before = (len(kernel) - 1) // 2
        return functional.conv1d(functional.pad(y, (before, len(kernel) - 1 - before)), kernel.permute(2, 1, 0))

    def norm(y, name):
        own, running = params[name], statistics[name]
        return functional.batch_norm(y, running["mean"], running["var"], own["scale"], own["bias"], eps=1e-3)

    y = start = torch.tensor(x).transpose(1, 2)
    for i in range(4):
        narrow, pooled = conv(y, f"bottleneck_{i}"), functional.max_pool1d(y, 3, 1, 1)
        branches = [conv(narrow, f"conv_{i}_{k}") for k in range(3)] + [conv(pooled, f"pooled_{i}")]
        y = functional.relu(norm(torch.cat(branches, 1), f"norm_{i}"))
        if i == 2:
            y = start = functional.relu(y + norm(conv(start, f"shortcut_{i}"), f"shortcut_norm_{i}"))
    expected = y.mean(-1) @ params["out"]["kernel"] + params["out"]["bias"]
    found = jax.jit(network.apply, static_argnums=2)(variables, x, False)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
