"""What XLA counts, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ecgjax.benchmark.cost import shapes, step_cost
from ecgjax.models.signal_layers import convolve
from ecgjax.native import library
from ecgjax.parallel import AXIS, SHARDINGS, Parallel

BATCH, TIME, LEADS, FEATURES, KERNEL, CLASSES = 4, 50, 12, 16, 5, 3


def cost_of(function, *arguments):
    return step_cost(jax.jit(function), shapes(jax.tree.map(jnp.asarray, arguments)), num_read=len(arguments[1]))


def test_a_product_of_matrices_and_its_gradients():
    a, b = np.ones((64, 128), np.float32), np.ones((128, 32), np.float32)
    product = 2 * 64 * 128 * 32
    found = cost_of(jnp.matmul, a, b)
    assert found.flops == product
    assert found.bytes == 4 * (a.size + b.size + 64 * 32)
    assert found.memory_bytes >= found.bytes
    assert cost_of(jnp.matmul, a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)).flops == product
    both = cost_of(jax.grad(lambda a, b: jnp.sum(jnp.sin(a @ b)), argnums=(0, 1)), a, b)
    assert both.flops == pytest.approx(3 * product, rel=0.02)


def network(weights, signal_mv):
    """A convolution, its mean over time, and a dense layer."""
    kernel, dense = weights
    hidden = lax.conv_general_dilated(signal_mv, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
    return jnp.maximum(hidden, 0).mean(axis=1) @ dense


def test_a_convolutional_network_and_its_training_step():
    weights = np.ones((KERNEL, LEADS, FEATURES), np.float32), np.ones((FEATURES, CLASSES), np.float32)
    signal_mv = np.ones((BATCH, TIME, LEADS), np.float32)
    # Two samples at either end meet four and three of the five weights of the kernel.
    places = TIME * KERNEL - 2 * (1 + 2)
    convolution, dense = 2 * BATCH * places * LEADS * FEATURES, 2 * BATCH * FEATURES * CLASSES
    assert cost_of(network, weights, signal_mv).flops == pytest.approx(convolution + dense, rel=0.03)
    # No gradient is asked for with regard to the signal.
    step = jax.grad(lambda weights, signal_mv: jnp.sum(network(weights, signal_mv) ** 2))
    assert cost_of(step, weights, signal_mv).flops == pytest.approx(2 * convolution + 3 * dense, rel=0.05)


@pytest.mark.parametrize("length", [1, 3])
def test_native_gradients_count_as_those_of_xla(length, monkeypatch):
    if not library.load():
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(library, "is_wanted", True)
    kernel, signal_mv = np.ones((KERNEL, LEADS, LEADS), np.float32), np.ones((BATCH, TIME, LEADS), np.float32)

    def twice(x, kernel):
        return convolve(convolve(x, kernel), kernel)

    def flops():
        def run(kernel, signal_mv):
            again = lambda x, _: (lax.platform_dependent(x, kernel, cpu=convolve, default=twice), None)  # noqa: E731
            return jnp.sum(lax.scan(again, signal_mv, length=length)[0] ** 2)

        return cost_of(jax.grad(run), kernel, signal_mv).flops

    native = flops()
    monkeypatch.setattr(library, "is_wanted", False)
    assert native == pytest.approx(flops(), rel=0.05)


def test_loops_count_as_often_as_they_run():
    weights, start = np.ones((32, 32), np.float32), np.ones((8, 32), np.float32)
    product = 2 * 8 * 32 * 32

    def looped(start, weights):
        inner = lambda state: lax.scan(lambda state, _: (state @ weights, None), state, length=7)[0]  # noqa: E731
        outer = lambda state, _: (inner(state @ weights), None)  # noqa: E731
        return lax.scan(outer, start, length=5)[0]

    once = cost_of(jnp.matmul, start, weights)
    found = cost_of(looped, start, weights)
    assert found.flops == pytest.approx(5 * (1 + 7) * product, rel=0.01)
    assert 5 * 8 * once.bytes <= found.bytes <= 5 * 8 * 3 * once.bytes


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_a_step_reads_its_batch_and_no_other_records(sharding):
    parallel = Parallel(sharding)

    def step(weights, data, batch):
        shown = data["ecg"][batch["index"]].astype(jnp.float32) / data["gain"]
        return weights - lax.pmean(jax.grad(lambda weights: jnp.sum(jnp.sin(shown @ weights)))(weights), AXIS)

    compiled = parallel.compile(step, donate=True)
    batch = parallel.shard({"index": np.zeros(16, np.int32)})

    def cost(num_records):
        weights = parallel.replicate(np.ones((64, 32), np.float32))
        data = parallel.replicate({"ecg": np.ones((num_records, 64), np.int16), "gain": np.float32(1)})
        kept = shapes((weights, data, batch))
        compiled(weights, data, batch)  # which gives up the weights, that are known by their shape
        return step_cost(compiled, kept, 16)

    few, many = cost(16), cost(4096)
    assert few.flops == many.flops == pytest.approx(2 * 2 * 16 * 64 * 32, rel=0.1)
    assert few.bytes == pytest.approx(many.bytes, rel=0.05)
    assert many.memory_bytes - few.memory_bytes == pytest.approx(2 * 64 * (4096 - 16), rel=0.01)
