"""ML-ResNet: sizes as published, a branch against PyTorch, and leads that keep to their own branch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_variables import drawn

from ecgjax.errors import InputError
from ecgjax.models.ml_resnet import LeadBranches, MLResNet

FLOAT = jnp.dtype("float32")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("time", "hidden", "num_outputs", "total"),
    [(5000, 12, 6, 29_226), (5000, 100, 1, 43_417), (1000, 12, 6, 27_216 + 12 * 33 + 78)],
)
def test_parameters_as_published(time, hidden, num_outputs, total):
    module = MLResNet(num_outputs, hidden, FLOAT, None)
    params = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, time, 12)), False))["params"]
    assert size(params["branches"]) == 12 * 2268
    assert size(params) == total


@pytest.mark.parametrize("is_training", [False, True])
def test_a_lead_reaches_its_own_branch_alone(is_training):
    signal, module = 100 * normal(3, 260, 12), LeadBranches(FLOAT, None)
    variables = drawn(module, signal, False)
    apply = jax.jit(lambda x: module.apply(variables, x, is_training, mutable=["batch_stats"])[0])
    whole, changes = apply(signal), []
    assert whole.shape == (3, 2, 12, 4)
    for masked in ([0], [3, 4], [11], [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]):
        part = apply(np.where(np.isin(np.arange(12), masked), 0, signal).astype(np.float32))
        shown = [lead for lead in range(12) if lead not in masked]
        np.testing.assert_allclose(part[:, :, shown], whole[:, :, shown], rtol=1e-5, atol=1e-5)
        changes.append(np.abs(part - whole).max())
    assert max(changes) > 1e-2


def test_a_branch_belongs_to_its_lead():
    signal, module = np.repeat(normal(2, 130, 1), 12, axis=-1), LeadBranches(FLOAT, None)
    variables = drawn(module, signal, False)
    by_lead = np.asarray(jax.jit(lambda x: module.apply(variables, x, False))(signal))
    assert all(not np.allclose(by_lead[:, :, 0], by_lead[:, :, lead], atol=1e-3) for lead in range(1, 12))


@pytest.mark.parametrize("lead", [0, 7])
def test_a_branch_is_that_of_pytorch(lead):
    torch = pytest.importorskip("torch")
    signal, module = normal(2, 270, 12), LeadBranches(FLOAT, None)
    variables = drawn(module, signal, False)
    ours = jax.jit(lambda x: module.apply(variables, x, False))(signal)[:, :, lead]
    params, stats = variables["params"], variables["batch_stats"]

    def tensor(x):
        return torch.tensor(np.array(x))

    def normalised(x, i):
        layer, norm, running = params[f"LeadConv_{i}"], params[f"BatchNorm_{i}"], stats[f"BatchNorm_{i}"]
        of_lead = slice(lead * layer["kernel"].shape[-1], (lead + 1) * layer["kernel"].shape[-1])
        weight = tensor(layer["kernel"][lead].transpose(2, 1, 0))
        x = torch.nn.functional.conv1d(x, weight, tensor(layer["bias"][of_lead]), padding="same")
        affine = [tensor(v[of_lead]) for v in (running["mean"], running["var"], norm["scale"], norm["bias"])]
        return torch.nn.functional.batch_norm(x, *affine, eps=1e-5)

    x = torch.tensor(signal[:, None, :, lead])
    for block in range(3):
        first, second, third, shortcut = range(4 * block, 4 * block + 4)
        y = torch.relu(normalised(torch.relu(normalised(x, first)), second))
        x = torch.nn.functional.avg_pool1d(torch.relu(normalised(y, third) + normalised(x, shortcut)), 5)
    pairs = torch.nn.functional.avg_pool1d(x.transpose(1, 2), 2)
    np.testing.assert_allclose(ours, pairs.numpy(), rtol=1e-4, atol=1e-4)


def test_too_short_and_unlike_training():
    module = MLResNet(2, 12, FLOAT, None)

    def variables(time):
        return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, time, 12)), False))

    with pytest.raises(InputError, match="shown 124 samples; show it at least 125: data.crop_s"):
        variables(124)
    with pytest.raises(InputError, match="ends in 12 values where .* reads 8,"):
        jax.eval_shape(lambda given: module.apply(given, jnp.zeros((1, 375, 12)), False), variables(250))
