"""Convolutions and recurrence to potentials: size as published, and the same in PyTorch, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn, product_types, size

from configs.transmembrane import get_config
from ecgjax import models
from ecgjax.models.cnn_bilstm import BiLSTM


def build(dtype="float32", **options):
    model = get_config("model=cnn_bilstm").model
    model.cnn_bilstm.update(options)
    return models.build(model, 75, jnp.dtype(dtype), None)


def signal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_parameters_as_published():
    assert size(build(), (1, 500, 12)) == 2_407_435


def test_recurrence_and_its_gradients_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    x, layer = signal(9, 3, 5), BiLSTM(6, jnp.float32)
    variables = drawn(layer, x)
    weigh = signal(9, 3, 12)
    ours, pull = jax.vjp(jax.jit(layer.apply), variables, jnp.asarray(x))
    of_params, of_x = pull(jnp.asarray(weigh))

    peer, given = torch.nn.LSTM(5, 6, bidirectional=True), torch.tensor(x, requires_grad=True)
    names = {"weight_ih": "input_kernel", "weight_hh": "recurrent_kernel", "bias_ih": "input_bias"}
    names["bias_hh"] = "recurrent_bias"
    pairs = [
        (getattr(peer, f"{theirs}_l0{'_reverse' * direction}"), name, direction)
        for theirs, name in names.items()
        for direction in range(2)
    ]
    with torch.no_grad():
        for weight, name, direction in pairs:
            weight.copy_(torch.tensor(np.asarray(variables["params"][name][direction]).T))
    theirs, _ = peer(given)
    np.testing.assert_allclose(ours, theirs.detach(), atol=1e-5)
    (theirs * torch.tensor(weigh)).sum().backward()
    np.testing.assert_allclose(of_x, given.grad, atol=1e-4)
    for weight, name, direction in pairs:
        np.testing.assert_allclose(of_params["params"][name][direction].T, weight.grad, atol=1e-4)


def test_outputs_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    module, x = build(features=(6, 5, 4), hidden=8), signal(2, 40, 12)
    variables = drawn(module, x, False)
    params = jax.tree.map(lambda value: torch.tensor(np.asarray(value)), variables["params"])
    y = torch.from_numpy(x).transpose(1, 2)
    for i in range(3):
        own = params[f"conv_{i}"]
        y = torch.relu(torch.nn.functional.conv1d(y, own["kernel"].permute(2, 1, 0), own["bias"], padding=1))
    peer = torch.nn.LSTM(4, 8, num_layers=2, bidirectional=True, batch_first=True)
    state = {}
    for layer in range(2):
        for direction in range(2):
            own, end = params[f"lstm_{layer}"], f"l{layer}" + "_reverse" * direction
            for short, name in (("ih", "input"), ("hh", "recurrent")):
                state[f"weight_{short}_{end}"] = own[f"{name}_kernel"][direction].T
                state[f"bias_{short}_{end}"] = own[f"{name}_bias"][direction]
    peer.load_state_dict(state)
    with torch.no_grad():
        expected = peer(y.transpose(1, 2))[0] @ params["out"]["kernel"] + params["out"]["bias"]
    found = jax.jit(lambda x: module.apply(variables, x, False))(x)
    assert found.shape == (2, 40, 75)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_half_precision_inside():
    module = build("bfloat16")
    # Three convolutions, in each recurrent layer the inputs' product and two of every step, and the output.
    assert product_types(module, (2, 50, 12)) == (["bfloat16"] * (3 + 2 * 3) + ["float32"], "float32")

    def loss(variables):
        rngs = {"dropout": jax.random.key(0)}
        return jnp.sum(module.apply(variables, jnp.ones((2, 50, 12)), True, rngs=rngs))

    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 50, 12)), False))
    slopes = jax.eval_shape(jax.grad(loss), variables)
    assert {str(x.dtype) for x in jax.tree.leaves(slopes)} == {"float32"}
