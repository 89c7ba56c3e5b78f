import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.medians import median

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from ecgjax.export.onnx_graph import to_onnx  # noqa: E402

TIME, LEAD = 24, 3
KERNEL = np.random.default_rng(1).normal(size=(5, LEAD, 4)).astype(np.float32)


def _convolved(x, **options):
    return jax.lax.conv_general_dilated(x[None], KERNEL, dimension_numbers=("NWC", "WIO", "NWC"), **options)[0]


def _scanned(x):
    def step(state, row):
        state = 0.5 * state + row
        return state, jnp.tanh(state)

    last, rows = jax.lax.scan(step, jnp.zeros(LEAD), x, reverse=True)
    return rows + last


def _counted(x):
    return jax.lax.fori_loop(0, 5, lambda i, total: total + i * x, jnp.zeros_like(x))


FUNCTIONS = {
    "pieces of the record around its highest samples": lambda x: x[
        jnp.clip(jax.lax.top_k(x[:, 0], 2)[1] - 2, 0, TIME - 5)[:, None] + jnp.arange(5)
    ],
    "a slice at an index": lambda x: jax.lax.dynamic_slice(x, (jnp.argmax(x[:, 0]), 0), (4, LEAD)),
    "along an axis": lambda x: jnp.take_along_axis(x, jnp.argsort(x, axis=0), axis=0),
    "columns and rows of a constant": lambda x: (
        x[:, np.array([2, 0])] + jnp.asarray(KERNEL)[jnp.argmax(x[:5, 0]), :2, 0]
    ),
    "writing columns": lambda x: jnp.zeros((TIME, 5)).at[:, np.array([4, 0, 2])].set(x).at[:, 1:].add(1.5),
    "median by bits": jax.vmap(median, in_axes=1),
    "median by sorting": lambda x: jnp.median(x, axis=0),
    "convolution": lambda x: _convolved(x, window_strides=(2,), padding=[(3, 1)], rhs_dilation=(2,)),
    "transposed convolution": lambda x: _convolved(x, window_strides=(1,), padding=[(2, 2)], lhs_dilation=(3,)),
    "negative padding": lambda x: _convolved(x, window_strides=(1,), padding=[(-2, 1)]),
    "padding between": lambda x: jax.lax.pad(x, 7.0, ((1, -2, 2), (0, 1, 0))),
    "highest of windows": lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (4, 1), (2, 1), "VALID"),
    "sums of windows": lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (3, 1), (3, 1), [(1, 1), (0, 0)]),
    "running sum": lambda x: jnp.cumsum(x, axis=0),
    "scan": _scanned,
    "loop": _counted,
    "one of two ways": lambda x: jax.lax.cond(jnp.sum(jnp.ones(3)) > 2, jnp.tanh, lambda y: y - x, x + 1),
    "equations": lambda x: jnp.linalg.solve(x.T @ x + jnp.eye(LEAD), x.T),
    "products": lambda x: jnp.einsum("tl,lmt->tm", x, np.ones((LEAD, 2, TIME), np.float32)) @ KERNEL[0, :2],
    "conditions": lambda x: jnp.where((x > 0) & ~(x >= 1) | (x < -1), x, jnp.clip(x, -0.5, 0.25)) + jnp.any(x > 2),
    "small and large": lambda x: (
        jnp.expm1(1e-4 * x) + jnp.log1p(jnp.abs(x)) + jnp.sign(x) * x**3 + jnp.arcsinh(9 * x) + jnp.mod(x, 0.7)
    ),
    "order and shape": lambda x: jnp.stack([x[::-1], jnp.roll(x, 2, axis=0)], axis=1).reshape(TIME, -1)[1::3],
    "nothing": lambda x: jnp.concatenate([x[:, :0].reshape(0, TIME), x.T]),
    "softmax and norm": lambda x: jax.nn.softmax(x / jnp.sqrt(jnp.mean(x**2, axis=0)), axis=-1) * jnp.isfinite(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_graphs_compute_what_jax_does(name):
    function = jax.vmap(lambda x: {"y": FUNCTIONS[name](x)})
    model = to_onnx(function, {"signal_mv": (TIME, LEAD)}, {"made_by": "test"})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        x = np.random.default_rng(batch).normal(size=(batch, TIME, LEAD)).astype(np.float32)
        (found,) = session.run(None, {"signal_mv": x})
        expected = np.asarray(jax.jit(function)(x)["y"])
        assert found.shape == expected.shape
        assert np.allclose(found, expected, atol=2e-6, rtol=2e-6)
    assert session.get_inputs()[0].shape == ["batch", TIME, LEAD]
    assert session.get_modelmeta().custom_metadata_map == {"made_by": "test"}


def test_what_onnx_cannot_say_is_named():
    with pytest.raises(InputError, match="uses fft, for which no ONNX is written here; use --formats=stablehlo"):
        to_onnx(jax.vmap(lambda x: {"y": jnp.fft.rfft(x, axis=0).real}), {"signal_mv": (TIME, LEAD)}, {})
