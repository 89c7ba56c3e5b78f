"""The published network for naming leads: its size, its indifference to order, and a reference in PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.models.lead_encoders import ENCODERS, LeadEncoder
from ecgjax.models.lead_set_net import LeadSetNet
from ecgjax.models.set_context import CONTEXTS

FLOAT = jnp.dtype("float32")
NUM_NAMES = 5


def network(encoder="inception_gru", context="sab", features=8, num_outputs=NUM_NAMES, num_blocks=2, num_heads=2):
    return LeadSetNet(num_outputs, encoder, context, features, num_blocks, num_heads, 3, 0.0, FLOAT, None)


def signals(batch=2, time=37, num_leads=4, seed=0):
    """Noise, in every lead of another level about another mean."""
    rng = np.random.default_rng(seed)
    level, mean = np.exp(rng.normal(size=(batch, 1, num_leads))), rng.normal(size=(batch, 1, num_leads))
    return (level * rng.normal(size=(batch, time, num_leads)) + mean).astype(np.float32)


def drawn(module):
    """Variables of which none has a value that could hide a mistake."""
    rng = np.random.default_rng(2)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), signals(), False))

    def draw(path, shape):
        value = rng.normal(size=shape.shape) / np.prod(shape.shape[:-1]) ** 0.5
        is_scale = path[-1].key in ("scale", "var")
        return jnp.asarray(1 + 0.1 * value if is_scale else value, jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def dense(inputs, outputs):
    return inputs * outputs + outputs


@pytest.mark.parametrize(
    ("features", "names", "encoder_published", "published"), [(64, 12, 290_377, 592_161), (128, 6, 307_017, 1_365_845)]
)
def test_parameters_are_those_of_the_released_files_less_what_nothing_reads(
    features, names, encoder_published, published
):
    module = network(features=features, num_outputs=names, num_blocks=5, num_heads=8)
    params = jax.eval_shape(lambda: module.init(jax.random.key(0), signals(), False))["params"]
    gate, second_projection, its_norm, first_head = 1, dense(128, features), 2 * features, dense(features, names)
    assert size(params["encoder"]) + gate + second_projection + its_norm == encoder_published
    assert size(params) + gate + second_projection + its_norm + first_head == published


@pytest.mark.parametrize(
    ("encoder", "published", "more"),
    [
        ("cnn", 278_592, 0),
        ("gru", 182_400, 0),
        ("cnn_gru", 353_152, 0),
        # The blocks of inception_gru and one dense layer; which of them was narrower is not published.
        ("inception", 68_844, 6_748),
        ("inception_gru", 307_017, -(1 + dense(128, 128) + 2 * 128)),
    ],
)
def test_encoders_have_the_published_sizes(encoder, published, more):
    module = LeadEncoder(encoder, 128, 0.0, FLOAT, None)
    params = jax.eval_shape(lambda: module.init(jax.random.key(0), signals(), False))["params"]
    assert size(params) == published + more


# Two encoders and each context; how they go together takes longer.
PAIRS = [
    pytest.param(
        encoder,
        context,
        marks=() if encoder == "gru" or (encoder, context) == ("inception", "sab") else pytest.mark.slow,
    )
    for encoder in ENCODERS
    for context in CONTEXTS
]


@pytest.mark.parametrize(("encoder", "context"), PAIRS)
def test_reordered_leads_give_reordered_names(encoder, context):
    module = network(encoder, context)
    variables, shown = drawn(module), signals()
    order = np.random.default_rng(1).permutation(shown.shape[2])

    @jax.jit
    def apply(x):
        trained, _ = module.apply(variables, x, True, mutable=["batch_stats"])
        return module.apply(variables, x, False), trained

    for plain, reordered in zip(apply(shown), apply(shown[:, :, order]), strict=True):
        assert plain.dtype == FLOAT
        # Names of different leads differ by far more than what order leaves in the last digits.
        assert np.abs(reordered - plain[:, order]).max() < 1e-2 * np.ptp(plain, axis=1).max()


@pytest.mark.parametrize("context", CONTEXTS)
def test_any_number_of_leads_and_they_learn_of_each_other(context):
    module = network("gru", context)
    variables, shown = drawn(module), signals()
    apply = jax.jit(lambda x: module.apply(variables, x, False))
    together, alone = np.asarray(apply(shown)), np.asarray(apply(shown[:, :, :2]))
    assert alone.shape == (2, 2, NUM_NAMES)
    assert np.allclose(alone, together[:, :2], atol=1e-5) == (context == "none")


def test_dropout_acts_in_training_alone():
    module = LeadEncoder("gru", 8, 0.5, FLOAT, None)
    variables, shown = drawn(module), signals()
    apply = jax.jit(lambda key, train: module.apply(variables, shown, train, rngs={"dropout": key}), static_argnums=1)
    keys = [jax.random.key(seed) for seed in range(2)]
    plain, same = (np.asarray(apply(key, False)) for key in keys)
    np.testing.assert_array_equal(plain, same)
    first, second = (np.asarray(apply(key, True)) for key in keys)
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "lstm"}, r"unknown encoder 'lstm'; use one of cnn, inception"),
        ({"context": "gnn"}, r"unknown context 'gnn'; use one of sab, isab, deepsets, none"),
        ({"num_heads": 3, "encoder": "cnn"}, r"8 features do not divide among 3 heads; change features or num_heads"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        jax.eval_shape(lambda: network(**options).init(jax.random.key(0), signals(), False))


def test_whole_network_equals_its_pytorch_version():
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("scripts.peers.published_lead_id")
    module = network(features=16, num_heads=4)
    variables, shown = drawn(module), signals(batch=3)
    peer, given = peers.LeadSetNet(NUM_NAMES, 16, 2, 4), torch.from_numpy(shown)
    peer.load_flax(variables)
    weigh = signals(batch=3, time=4, num_leads=NUM_NAMES, seed=1)

    def loss(params):
        output, _ = module.apply({**variables, "params": params}, shown, True, mutable=["batch_stats"])
        return jnp.sum(weigh * output), output

    (_, trained), slope = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    output = peer.train()(given)
    np.testing.assert_allclose(trained, output.detach(), atol=2e-4)
    (torch.from_numpy(weigh) * output).sum().backward()
    gradient = peers.LeadSetNet(NUM_NAMES, 16, 2, 4)
    gradient.load_flax({"params": slope, "batch_stats": variables["batch_stats"]})
    ours = torch.cat([p.flatten() for p in gradient.parameters()])
    theirs = torch.cat([p.grad.flatten() for p in peer.parameters()])
    assert torch.linalg.norm(ours - theirs) < 2e-3 * torch.linalg.norm(theirs)

    peer.load_flax(variables)
    with torch.no_grad():
        ours = jax.jit(lambda: module.apply(variables, shown, False))()
        np.testing.assert_allclose(ours, peer.eval()(given), atol=1e-4)
