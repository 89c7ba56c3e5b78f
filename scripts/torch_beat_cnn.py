"""The convolutional network of one beat in PyTorch, from its own layers, and its training step.

The peer of `ecgjax.models.beat_cnn` with what `configs/heartbeat.py` has by default.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import tasks
from ecgjax.data.heartbeats import CUT_SAMPLES
from ecgjax.data.records import Split
from ecgjax.errors import InputError
from ecgjax.tasks.heartbeat_view import r_sample


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

    def load_flax(self, params: dict) -> None:
        """Takes over the weights of the flax network, which flattens `[time, channel]` where this does the other."""
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


class Trainer:
    """One training step after another on the beats of a split, shown as they are cut by Kaggle."""

    def __init__(self, train: Split, config: ConfigDict, compile_step: bool):
        options, optimizer = config.heartbeat, config.optimizer
        changes = (options.gain, options.noise_mv, options.wander_mv, options.shift_s, options.stretch)
        plain = (options.view, options.loss, options.sampling, config.preprocess.normalise, any(changes))
        if plain != ("cut", "cross_entropy", "natural", "none", False) or options.classes == "binary":
            raise InputError(f"there is no peer for the options {plain}", "use those of configs/heartbeat.py")
        if (optimizer.name, optimizer.weight_decay, optimizer.clip_norm) != ("adam", 0.0, 0.0):
            raise InputError(f"there is no peer for the optimiser {optimizer.name}", "use that of configs/heartbeat.py")
        task = tasks.build(config)
        targets = task.targets(train)
        self.ecg, self.gain, self.start = torch.from_numpy(train.ecg), train.gain, r_sample(train.ecg.shape[2])
        self.classes = torch.from_numpy(targets["classes"]).long()
        self.weight, self.cut_samples = (torch.from_numpy(targets[name]) for name in ("loss_weight", "cut_samples"))
        self.network = BeatCNN(CUT_SAMPLES, 1, task.num_outputs, config.model.beat_cnn).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.schedule.learning_rate, fused=True)
        self._loss = torch.compile(self.loss) if compile_step else self.loss

    def view(self, index: torch.Tensor) -> torch.Tensor:
        """`ecgjax.tasks.heartbeat_view.cut` of a batch: `[batch, 187, 1]`."""
        beat = self.ecg[index, self.start : self.start + CUT_SAMPLES, 0].float() / self.gain
        is_in = torch.arange(CUT_SAMPLES) < self.cut_samples[index, None]
        low = torch.where(is_in, beat, torch.inf).amin(1, keepdim=True)
        extent = torch.where(is_in, beat, -torch.inf).amax(1, keepdim=True) - low
        return torch.where(is_in, (beat - low) / torch.where(extent > 0, extent, 1.0), 0.0)[..., None]

    def loss(self, index: torch.Tensor) -> torch.Tensor:
        each = F.cross_entropy(self.network(self.view(index)), self.classes[index], reduction="none")
        return (each * self.weight[index]).mean()

    def step(self, index: np.ndarray) -> torch.Tensor:
        """Gather, cut, loss, update."""
        loss = self._loss(torch.from_numpy(index).long())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()
