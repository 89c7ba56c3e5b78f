"""xresnet1d against the sum of its parts and against the same layers in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.models.xresnet1d import DEPTHS, Residual, XResNet1D


def build(depth, num_outputs=5, dropout_rate=0.5):
    return XResNet1D(num_outputs, depth, dropout_rate, jnp.float32, None)


def variables_of(module, *arguments):
    """Any parameters and statistics, variances and scales positive."""
    random = np.random.default_rng(0)

    def some(path, x):
        spread = np.sqrt(2 / max(1, x.size // x.shape[-1])) if path[-1].key == "kernel" else 0.2
        return random.normal(path[-1].key in {"scale", "var"}, spread, x.shape).clip(-2, 2).astype(np.float32)

    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *arguments))
    filled = jax.tree_util.tree_map_with_path(some, shapes)
    filled["batch_stats"] = jax.tree.map(np.abs, filled["batch_stats"])
    return filled


def conv_norm(kernel_size, channels, features):
    return kernel_size * channels * features + 2 * features


@pytest.mark.parametrize(("depth", "parameters"), [(18, 364_933), (34, 694_661), (50, 953_989), (101, 1_872_261)])
def test_parameter_counts(depth, parameters):
    shapes = jax.eval_shape(lambda: build(depth).init(jax.random.key(0), jnp.zeros((1, 250, 12)), False))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == parameters

    stem = conv_norm(5, 12, 32) + conv_norm(5, 32, 32) + conv_norm(5, 32, 64)
    num_blocks, width = sum(DEPTHS[depth]), 64 if depth < 50 else 256
    if depth < 50:
        blocks = num_blocks * 2 * conv_norm(5, 64, 64)
    else:
        ends = [conv_norm(1, channels, 64) + conv_norm(1, 64, 256) for channels in (64, 256)]
        blocks = ends[0] + conv_norm(1, 64, 256) + (num_blocks - 1) * ends[1] + num_blocks * conv_norm(5, 64, 64)
    head = 2 * 2 * width + (2 * width + 1) * 128 + 2 * 128 + (128 + 1) * 5
    assert stem + blocks + head == parameters


def test_blocks_start_as_their_shortcuts():
    x = jax.random.normal(jax.random.key(1), (2, 7, 64))
    block = Residual(False, 2, jnp.float32, None)
    found = jax.jit(lambda key, x: block.init_with_output(key, x, False)[0])(jax.random.key(0), x)
    pairs = np.stack([x[:, 0:2].mean(1), x[:, 2:4].mean(1), x[:, 4:6].mean(1), x[:, 6]], axis=1)
    np.testing.assert_allclose(found, np.maximum(pairs, 0), atol=1e-6)


def as_torch(variables):
    """Parameters and statistics."""
    torch = pytest.importorskip("torch")
    return [jax.tree.map(torch.tensor, variables[group]) for group in ("params", "batch_stats")]


def norm(y, own, running):
    functional = pytest.importorskip("torch").nn.functional
    return functional.batch_norm(y, running["mean"], running["var"], own["scale"], own["bias"])


def conv(y, own, running, stride=1):
    functional = pytest.importorskip("torch").nn.functional
    kernel = own["kernel"]["kernel"]
    kernel = kernel if kernel.ndim == 3 else kernel[None]
    y = functional.conv1d(y, kernel.permute(2, 1, 0), stride=stride, padding=len(kernel) // 2)
    return norm(y, own["norm"], running["norm"])


def residual(y, own, running, stride):
    """A block in PyTorch; the last convolution but one is the strided."""
    functional = pytest.importorskip("torch").nn.functional
    inner = sorted(own.keys() - {"conv_last", "shortcut"})
    z = y
    for name in inner:
        z = functional.relu(conv(z, own[name], running[name], stride if name == inner[-1] else 1))
    z = conv(z, own["conv_last"], running["conv_last"])
    if stride == 2:
        y = functional.avg_pool1d(y, 2, 2, ceil_mode=True)
    if "shortcut" in own:
        y = conv(y, own["shortcut"], running["shortcut"])
    return functional.relu(y + z)


@pytest.mark.parametrize(("is_bottleneck", "stride", "channels"), [(False, 2, 64), (True, 1, 64), (True, 2, 256)])
def test_blocks_are_those_of_pytorch(is_bottleneck, stride, channels):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).normal(size=(2, 9, channels)).astype(np.float32)
    block = Residual(is_bottleneck, stride, jnp.float32, None)
    variables = variables_of(block, x, False)
    expected = residual(torch.tensor(x).transpose(1, 2), *as_torch(variables), stride).transpose(1, 2)
    np.testing.assert_allclose(jax.jit(block.apply, static_argnums=2)(variables, x, False), expected, atol=1e-4)


def test_outputs_are_those_of_the_same_layers_in_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = np.random.default_rng(1).normal(size=(2, 101, 12)).astype(np.float32)
    network = build(18)
    variables = variables_of(network, x, False)
    params, statistics = as_torch(variables)
    y = torch.tensor(x).transpose(1, 2)
    for i in range(3):
        y = functional.relu(conv(y, params[f"stem_{i}"], statistics[f"stem_{i}"], 2 if i == 0 else 1))
    y = functional.max_pool1d(y, 3, 2, 1)
    for stage in range(4):
        for i in range(2):
            name = f"stage_{stage}_block_{i}"
            y = residual(y, params[name], statistics[name], 2 if stage > 0 and i == 0 else 1)
    y = norm(torch.cat([y.amax(-1), y.mean(-1)], 1), params["pooled_norm"], statistics["pooled_norm"])
    y = functional.relu(y @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    y = norm(y, params["hidden_norm"], statistics["hidden_norm"]) @ params["out"]["kernel"] + params["out"]["bias"]
    found = jax.jit(network.apply, static_argnums=2)(variables, x, False)
    np.testing.assert_allclose(found, y, rtol=1e-3, atol=1e-4 * float(y.abs().max()))


def test_unknown_depth_is_named():
    with pytest.raises(InputError, match="unknown depth 20 of xresnet1d; use one of 18, 34, 50, 101"):
        build(20).init(jax.random.key(0), jnp.zeros((1, 50, 12)), False)
