"""The reader of a beat beside its recording's typical beat, in PyTorch: peer of the default of configs/heartbeat.py."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import models, tasks
from ecgjax.data.heartbeats import FS_HZ, WINDOW_SAMPLES
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.models.beat_reader import COARSE
from ecgjax.tasks.heartbeat_view import NUM_INTERVALS, SMALLEST_RANGE_MV
from scripts.peers.trainer import Batch, Peer

CHECKED = 64
"""Beats on which both are compared."""


class BeatReader(nn.Module):
    """`ecgjax.models.beat_reader.BeatReader` of the wide view."""

    def __init__(self, num_outputs: int, options: ConfigDict):
        super().__init__()
        self.fine, hidden = slice(*options.fine_samples), options.hidden
        self.num_means = -(-WINDOW_SAMPLES // COARSE)
        self.coarse = nn.Linear(2 * self.num_means, hidden)
        self.exact = nn.Linear(2 * len(range(*options.fine_samples)), hidden)
        self.rhythm = nn.Linear(NUM_INTERVALS, hidden)
        drop = nn.Dropout(options.dropout_rate)
        self.rest = nn.Sequential(
            *(nn.LayerNorm(3 * hidden, eps=1e-6), nn.GELU("tanh"), drop),
            *(nn.Linear(3 * hidden, hidden), nn.GELU("tanh"), drop),
            nn.Linear(hidden, num_outputs),
        )

    def forward(self, signal_mv: torch.Tensor, log_rr: torch.Tensor) -> torch.Tensor:
        """Beat and typical beat `[batch, 2, time]`, intervals `[batch, interval]` -> `[batch, num_outputs]`."""
        beat, typical = signal_mv.unbind(1)
        shape = torch.stack([beat, beat - typical], 1)
        padded = F.pad(shape, (0, COARSE * self.num_means - shape.shape[2]), mode="replicate")
        means = padded.unflatten(2, (-1, COARSE)).mean(3)
        parts = self.coarse(means.flatten(1)), self.exact(shape[..., self.fine].flatten(1)), self.rhythm(log_rr)
        return self.rest(torch.cat(parts, 1))

    def load_flax(self, variables: dict) -> None:
        """Takes over the weights of the flax network, which flattens `[time, channel]` where this does the other."""
        params = variables["params"]
        dense = [self.coarse, self.exact, self.rhythm, self.rest[3], self.rest[6]]
        with torch.no_grad():
            for i, layer in enumerate(dense):
                kernel = np.asarray(params[f"Dense_{i}"]["kernel"])
                if i < 2:
                    kernel = kernel.reshape(-1, 2, kernel.shape[1]).swapaxes(0, 1).reshape(kernel.shape)
                layer.weight.copy_(torch.tensor(kernel.T))
                layer.bias.copy_(torch.tensor(np.asarray(params[f"Dense_{i}"]["bias"])))
            self.rest[0].weight.copy_(torch.tensor(np.asarray(params["LayerNorm_0"]["scale"])))
            self.rest[0].bias.copy_(torch.tensor(np.asarray(params["LayerNorm_0"]["bias"])))


class HeartbeatPeer(Peer):
    """Beats of a split, with time last as PyTorch has it."""

    def __init__(self, config: ConfigDict, train: Split):
        super().__init__()
        self.options, task = config.heartbeat, tasks.build(config)
        targets = task.targets(train)
        self.gain = train.gain
        self.register_buffer("ecg", torch.from_numpy(train.ecg.swapaxes(1, 2).copy()), persistent=False)
        self.register_buffer("classes", torch.from_numpy(targets["classes"]).long(), persistent=False)
        self.register_buffer("loss_weight", torch.from_numpy(targets["loss_weight"]), persistent=False)
        self.register_buffer("log_rr", torch.from_numpy(targets["log_rr"]), persistent=False)
        self.register_buffer("samples", torch.arange(WINDOW_SAMPLES), persistent=False)
        self.network = BeatReader(task.num_outputs, config.model.beat_reader)

    def batch(self, index: torch.Tensor) -> Batch:
        """`HeartbeatView.training_signal` of all records."""
        options, size, device = self.options, len(index), index.device
        signal_mv, log_rr = self.ecg[index].float() / self.gain, self.log_rr[index]
        is_turned = torch.rand(size, 1, 1, device=device) < options.turned
        angle = torch.pi * (2 * torch.rand(size, 1, 1, device=device) - 1) * is_turned
        gain = torch.exp(options.gain * torch.randn(size, 1, 1, device=device))
        signal_mv = gain * (torch.cos(angle) * signal_mv[:, ::2] + torch.sin(angle) * signal_mv[:, 1::2])
        beat, typical = signal_mv.unbind(1)
        place = self.samples - FS_HZ * options.shift_s * torch.randn(size, 1, device=device)
        place = place.clamp(0, WINDOW_SAMPLES - 1)
        before = place.long().clamp(max=WINDOW_SAMPLES - 2)
        beat = torch.lerp(beat.gather(1, before), beat.gather(1, before + 1), place - before)
        level_mv = options.noise_mv * torch.randn(size, 1, device=device).abs()
        beat = torch.addcmul(beat, level_mv, torch.randn_like(beat))
        log_rr = log_rr + options.rr_jitter * torch.randn_like(log_rr)
        return self._shown(torch.stack([beat, typical], 1), log_rr, index)

    def _shown(self, signal_mv: torch.Tensor, log_rr: torch.Tensor, index: torch.Tensor) -> Batch:
        centred = signal_mv - signal_mv.quantile(0.5, 2, keepdim=True)
        extent = signal_mv[:, 1].amax(1) - signal_mv[:, 1].amin(1)
        scaled = centred / extent.clamp(min=SMALLEST_RANGE_MV)[:, None, None]
        return {
            "signal_mv": scaled,
            "log_rr": log_rr,
            "classes": self.classes[index],
            "loss_weight": self.loss_weight[index],
        }

    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        options = self.options
        signal_mv = self.ecg[index].numpy() / np.float32(self.gain)
        angle = rng.uniform(-np.pi, np.pi) * (rng.random() < options.turned)
        signal_mv = np.cos(angle) * signal_mv[::2] + np.sin(angle) * signal_mv[1::2]
        samples = np.arange(WINDOW_SAMPLES)
        signal_mv[0] = np.interp(samples - FS_HZ * options.shift_s * rng.normal(), samples, signal_mv[0])
        signal_mv *= np.exp(options.gain * rng.normal())
        signal_mv[0] += options.noise_mv * abs(rng.normal()) * rng.normal(size=WINDOW_SAMPLES)
        log_rr = self.log_rr[index].numpy() + options.rr_jitter * rng.normal(size=NUM_INTERVALS)
        signal_mv -= np.median(signal_mv, axis=1, keepdims=True)
        signal_mv /= max(np.ptp(signal_mv[1]), SMALLEST_RANGE_MV)
        return {
            "signal_mv": signal_mv.astype(np.float32),
            "log_rr": log_rr.astype(np.float32),
            "classes": self.classes[index].numpy(),
            "loss_weight": self.loss_weight[index].numpy(),
        }

    def loss(self, batch: Batch) -> torch.Tensor:
        outputs = self.network(batch["signal_mv"], batch["log_rr"])
        each = F.cross_entropy(outputs, batch["classes"], reduction="none")
        return (each * batch["loss_weight"]).mean()


def build(config: ConfigDict, train: Split) -> HeartbeatPeer:
    """The peer of the network that `config` names.

    Raises:
      InputError: it is not the default, or the beats are shown in another way.
    """
    options = config.heartbeat
    shown = (options.view, options.scaling, options.loss, options.sampling, config.preprocess.normalise)
    changes = (options.wander_mv, options.stretch)
    is_default = shown == ("wide", "typical", "cross_entropy", "natural", "none") and not any(changes)
    if config.model.name != "beat_reader" or not is_default or options.classes == "binary":
        raise InputError(
            f"there is no peer for model.name={config.model.name} with such beats", "use configs/heartbeat.py as it is"
        )
    return HeartbeatPeer(config, train)


def check(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both show beats alike, where nothing is left to chance, and both networks agree."""
    index, still, task = np.arange(min(CHECKED, len(train))), ConfigDict(config.to_dict()), tasks.build(config)
    still.heartbeat.update(dict.fromkeys(("turned", "gain", "noise_mv", "shift_s", "rr_jitter"), 0.0))
    few = train.select(index)
    peer, rng = build(still, few).eval(), np.random.default_rng(config.seed)
    record = {"signal_mv": few.ecg / np.float32(few.gain), **task.targets(few)}
    shown = np.array(jax.jit(jax.vmap(lambda one: task.evaluation_view(one, jnp.int32(0))["signal_mv"]))(record))
    batch, single = peer.batch(torch.from_numpy(index)), [peer.one(i, rng) for i in index]
    for signal_mv, log_rr in (
        (batch["signal_mv"].numpy(), batch["log_rr"].numpy()),
        tuple(np.stack([one[name] for one in single]) for name in ("signal_mv", "log_rr")),
    ):
        np.testing.assert_allclose(signal_mv.swapaxes(1, 2), shown[..., :2], atol=1e-5)
        np.testing.assert_allclose(log_rr, shown[:, 0, 2:], atol=1e-6)
    module = models.build(config.model, task.num_outputs, jnp.dtype("float32"), None)
    variables = jax.jit(lambda key: module.init(key, shown[:1], is_training=False))(jax.random.key(config.seed))
    peer.network.load_flax(variables)
    with torch.no_grad():
        outputs = peer.network(batch["signal_mv"], batch["log_rr"]).numpy()
    ours = jax.jit(lambda signal_mv: module.apply(variables, signal_mv, is_training=False))(shown)
    np.testing.assert_allclose(outputs, np.asarray(ours), atol=1e-4)
