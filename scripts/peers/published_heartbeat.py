"""The published network of one beat in PyTorch, from its own layers: the peer of `ecgjax.models.beat_cnn`."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import tasks
from ecgjax.data.heartbeats import CUT_SAMPLES
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.tasks.heartbeat_view import r_sample
from scripts.peers import agreement
from scripts.peers.trainer import Batch, Peer


class BeatCNN(nn.Module):
    """`ecgjax.models.beat_cnn.BeatCNN` with the options of its group in the config."""

    def __init__(self, num_samples: int, num_channels: int, num_outputs: int, options: ConfigDict):
        super().__init__()
        channels = (num_channels, *options.features)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [nn.Conv1d(before, after, 3, padding=1), nn.LeakyReLU(options.negative_slope)]
        self.convolutions = nn.Sequential(*layers, nn.MaxPool1d(3, 2, 1), nn.Dropout(options.dropout_rate))
        widths = ((num_samples + 1) // 2 * channels[-1], *options.hidden)
        layers = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(options.negative_slope)]
        self.head = nn.Sequential(*layers, nn.Linear(widths[-1], num_outputs))

    def load_flax(self, variables: dict) -> None:
        """Takes over the weights of the flax network, which flattens `[time, channel]` where this does the other."""
        params = variables["params"]
        convolutions = [layer for layer in self.convolutions if isinstance(layer, nn.Conv1d)]
        dense = [layer for layer in self.head if isinstance(layer, nn.Linear)]
        names = [*(f"hidden_{i}" for i in range(len(dense) - 1)), "out"]
        head = {name: dict(params["head"][name]) for name in names}
        first = np.asarray(head["hidden_0"]["kernel"])
        by_sample = first.reshape(-1, convolutions[-1].out_channels, first.shape[1])
        head["hidden_0"]["kernel"] = by_sample.transpose(1, 0, 2).reshape(first.shape)
        pairs = [(layer, params[f"conv_{i}"]) for i, layer in enumerate(convolutions)]
        with torch.no_grad():
            for layer, own in [*pairs, *zip(dense, head.values(), strict=True)]:
                layer.weight.copy_(torch.tensor(np.asarray(own["kernel"]).T))
                layer.bias.copy_(torch.tensor(np.asarray(own["bias"])))

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """`[batch, time, channel]` -> `[batch, num_outputs]`."""
        return self.head(self.convolutions(signal.transpose(1, 2)).flatten(1))


class HeartbeatPeer(Peer):
    """Beats as they are cut by Kaggle."""

    def __init__(self, config: ConfigDict, train: Split):
        super().__init__()
        task = tasks.build(config)
        targets = task.targets(train)
        self.network = BeatCNN(CUT_SAMPLES, 1, task.num_outputs, config.model.beat_cnn)
        start = r_sample(train.ecg.shape[2])
        self.gain = train.gain
        self.register_buffer("ecg", torch.from_numpy(train.ecg[:, start : start + CUT_SAMPLES, 0]), persistent=False)
        for name in ("classes", "loss_weight", "cut_samples"):
            self.register_buffer(name, torch.from_numpy(targets[name]), persistent=False)

    def batch(self, index: torch.Tensor) -> Batch:
        beat = self.ecg[index].float() / self.gain
        is_in = torch.arange(CUT_SAMPLES, device=beat.device) < self.cut_samples[index, None]
        low = torch.where(is_in, beat, torch.inf).amin(1, keepdim=True)
        extent = torch.where(is_in, beat, -torch.inf).amax(1, keepdim=True) - low
        shown = torch.where(is_in, (beat - low) / torch.where(extent > 0, extent, 1.0), 0.0)
        targets = {"classes": self.classes[index], "loss_weight": self.loss_weight[index]}
        return {"signal_mv": shown[..., None], **targets}

    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shown, length = np.zeros((CUT_SAMPLES, 1), np.float32), int(self.cut_samples[index])
        beat = self.ecg[index, :length].numpy() / np.float32(self.gain)
        shown[:length, 0] = (beat - beat.min()) / (np.ptp(beat) or 1.0)
        return {
            "signal_mv": shown,
            **{name: self.get_buffer(name)[index].numpy() for name in ("classes", "loss_weight")},
        }

    def loss(self, batch: Batch) -> torch.Tensor:
        outputs = self.network(batch["signal_mv"])
        return (F.cross_entropy(outputs, batch["classes"].long(), reduction="none") * batch["loss_weight"]).mean()


def build(config: ConfigDict, train: Split) -> HeartbeatPeer:
    """The peer of `configs/heartbeat.py:model=beat_cnn`."""
    options = config.heartbeat
    changes = (options.gain, options.noise_mv, options.wander_mv, options.shift_s, options.stretch)
    plain = (config.model.name, options.view, options.loss, options.sampling, config.preprocess.normalise, any(changes))
    if plain != ("beat_cnn", "cut", "cross_entropy", "natural", "none", False) or options.classes == "binary":
        raise InputError(
            f"there is no peer for the options {plain}", "use those of configs/heartbeat.py:model=beat_cnn"
        )
    return HeartbeatPeer(config, train)


def check(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both frameworks do the same."""
    agreement.check(build, config, train, {}, lambda shown: shown["signal_mv"])
