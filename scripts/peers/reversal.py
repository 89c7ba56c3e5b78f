"""Electrode reversal in PyTorch: the views, network and loss of `configs/reversal.py`."""

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import leads
from ecgjax.beats import POWER_METRIC, BeatWindow
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.tasks.reversal import prior
from scripts.peers import agreement, record_views
from scripts.peers.batch_views import AverageBeat, Body, Records, constant, stretch_time
from scripts.peers.trainer import Batch, Peer

_UNDOABLE = [placement for placement in leads.PLACEMENTS if not placement.uses_neutral]
_MATRICES = np.stack([placement.matrix for placement in leads.PLACEMENTS]).astype(np.float32)
_NEUTRAL_GAINS = np.stack([placement.neutral_gain for placement in leads.PLACEMENTS]).astype(np.float32)


class PlacementNet(nn.Module):
    """`ecgjax.models.placement_net.PlacementNet` without decoys."""

    def __init__(self, num_samples: int, options: ConfigDict):
        super().__init__()
        self.patch, self.fine_gain = options.patch, options.fine_gain
        joined = num_samples // options.patch * options.features
        self.num_blocks = options.num_blocks
        self.num_reversals = len(leads.PLACEMENTS) - 1
        layers = {
            "embed": nn.Linear(2 * len(leads.INDEPENDENT_LEADS) * options.patch, options.features),
            "embed_norm": nn.LayerNorm(options.features, eps=1e-6),
            "join": nn.Linear(joined, options.hidden),
            "score_norm": nn.LayerNorm(options.hidden, eps=1e-6),
            "score": nn.Linear(options.hidden, 1),
            "flat_hidden": nn.Linear(3, 32),
            "flat_score": nn.Linear(32, len(leads.PLACEMENTS) - len(_UNDOABLE)),
        }
        for i in range(options.num_blocks):
            layers[f"norm_{i}"] = nn.LayerNorm(options.hidden, eps=1e-6)
            layers[f"block_{i}"] = nn.Linear(options.hidden, options.hidden)
        self.layers = nn.ModuleDict(layers)
        self.dropout_rate = options.dropout_rate
        undo = np.stack([placement.inverse.matrix[leads.INDEPENDENT_COLUMNS] for placement in _UNDOABLE])
        self.register_buffer("undo", constant(undo), persistent=False)
        is_undoable = torch.tensor([not placement.uses_neutral for placement in leads.PLACEMENTS])
        self.register_buffer("is_undoable", is_undoable, persistent=False)

    def load_flax(self, variables: dict) -> None:
        """Takes over the weights of the flax network, whose layers have the same names."""
        state: dict[str, torch.Tensor] = {}
        for name, weights in variables["params"].items():
            weight = weights["kernel"].T if "kernel" in weights else weights["scale"]
            state |= {f"{name}.weight": constant(weight), f"{name}.bias": constant(weights["bias"])}
        self.layers.load_state_dict(state)

    def forward(self, beat: torch.Tensor) -> torch.Tensor:
        """`[batch, time, lead]` -> `[batch, 1 + placement]`."""
        power = beat[..., :6].square().mean((1, 2)) + beat[..., 6:].square().mean((1, 2))
        beat = beat / (power + 1e-6).sqrt()[:, None, None]

        undone = torch.einsum("btl,hml->bhtm", beat, self.undo)
        x = torch.cat([undone, F.softsign(self.fine_gain * undone)], -1)
        x = x.reshape(*x.shape[:2], x.shape[2] // self.patch, -1)
        layers = self.layers
        x = F.gelu(layers["embed_norm"](layers["embed"](x)), approximate="tanh").flatten(2)
        x = layers["join"](x)
        for i in range(self.num_blocks):
            mask = F.dropout(x.new_ones(len(x), 1, x.shape[2]), self.dropout_rate, self.training)
            x = x + layers[f"block_{i}"](mask * F.gelu(layers[f"norm_{i}"](x), approximate="tanh"))
        likelihood = layers["score"](F.gelu(layers["score_norm"](x), approximate="tanh"))[..., 0]

        limb_power = (beat[..., :3].square().mean(1) + 1e-5).log()
        share = limb_power - limb_power.logsumexp(1, keepdim=True)
        flatness = layers["flat_score"](F.gelu(layers["flat_hidden"](share), approximate="tanh"))
        scores = beat.new_zeros(len(beat), 1 + self.num_reversals)
        scores[:, self.is_undoable], scores[:, ~self.is_undoable] = likelihood.float(), flatness.float()
        shared = float(np.log(self.num_reversals))
        any_reversal = scores[:, 1:].logsumexp(1) - shared - scores[:, 0]
        return torch.cat([any_reversal[:, None], scores[:, :1], scores[:, 1:] - shared], 1)


class ReversalPeer(Peer):
    """Average beats under random placements."""

    def __init__(self, config: ConfigDict, train: Split):
        super().__init__()
        self.options, self.window = config.reversal, BeatWindow(config.preprocess.fs_hz, **config.beat.to_dict())
        self.network = PlacementNet(self.window.num_samples, config.model.placement_net)
        self.records = Records(train.ecg, train.gain, round(config.data.crop_s * train.fs_hz))
        self.average_beat = AverageBeat(self.window, POWER_METRIC)
        self.body = Body(self.options)
        share = prior(self.options.none_share)
        self.share, self.odds = share, float(np.log(1 / share[0] - 1))
        tensors = {
            "prior": share,
            "adjustment": np.log(share / prior(0.5)),
            "matrices": _MATRICES,
            "neutral_gains": _NEUTRAL_GAINS,
        }
        for name, array in tensors.items():
            self.register_buffer(name, constant(array), persistent=False)

    def batch(self, index: torch.Tensor) -> Batch:
        beat, num_averaged = self.average_beat(self.records.crops(index))
        batch, num_samples, _ = beat.shape
        beat = stretch_time(beat, self.window.num_before, self.options.stretch)
        placement = torch.multinomial(self.prior, batch, replacement=True)
        beat = beat + self.body.noise(batch, num_samples)
        beat = beat @ (self.matrices[placement] @ self.body.matrices(batch)).mT
        neutral = self.options.neutral_noise_mv * torch.randn(batch, num_samples, 1, device=beat.device)
        level = self.neutral_gains[placement] / num_averaged.clamp(min=1).sqrt()[:, None]
        return {"signal_mv": beat + neutral * level[:, None], "placement": placement}

    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        options, records = self.options, self.records
        signal_mv = record_views.random_crop(records.ecg[index].numpy(), records.gain, records.num_samples, rng)
        beat, num_averaged = record_views.average_beat(signal_mv, self.window, POWER_METRIC)
        beat = record_views.stretch_time(beat, self.window.num_before, options.stretch, rng)
        placement = rng.choice(len(self.share), p=self.share)
        beat = beat + record_views.electrode_noise(len(beat), options.noise_mv, rng)
        beat = beat @ (_MATRICES[placement] @ record_views.vary_body(options, rng)).T
        neutral = options.neutral_noise_mv * rng.standard_normal((len(beat), 1), np.float32)
        beat = beat + neutral * _NEUTRAL_GAINS[placement] / np.sqrt(max(num_averaged, 1.0))
        return {"signal_mv": beat.astype(np.float32), "placement": np.asarray(placement)}

    def loss(self, batch: Batch) -> torch.Tensor:
        placement = batch["placement"].long()
        outputs = self.network(batch["signal_mv"])
        any_loss = F.binary_cross_entropy_with_logits(outputs[:, 0] + self.odds, (placement > 0).float())
        return any_loss + F.cross_entropy(outputs[:, 1:] + self.adjustment, placement)


def build(config: ConfigDict, train: Split) -> ReversalPeer:
    """The peer of the task's default options, whose sizes and levels may be others."""
    options = config.reversal
    plain = (config.model.name, options.view, options.typed, config.preprocess.normalise)
    if plain != ("placement_net", "beat", True, "none") or options.random_chest_share:
        raise InputError(f"there is no peer for the options {plain}", "use those of configs/reversal.py")
    if config.model.placement_net.num_decoys:
        raise InputError("there is no peer for decoys", "use model.placement_net.num_decoys=0")
    return ReversalPeer(config, train)


def check(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both frameworks do the same."""
    names = ("rotation_rad", "elongation", "displacement", "noise_mv", "neutral_noise_mv", "stretch")
    quiet = {f"reversal.{name}": 0.0 for name in names}
    quiet |= {"reversal.gain": agreement.HARDLY, "reversal.none_share": 1 - 1e-7}
    agreement.check(build, config, train, quiet, lambda shown: shown["signal_mv"])
