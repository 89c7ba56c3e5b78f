"""The reversal step in PyTorch: the same network, views, loss and optimiser, batched, on data in memory.

Written as a fair peer for `benchmark_peers.py`: no Python loop over records, no copy to another device.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import leads
from ecgjax.augment import DOWER, SLOW_SAMPLES
from ecgjax.beats import POWER_METRIC, REFRACTORY_S, SMOOTHING_S, STRETCH_S, THRESHOLD, BeatWindow
from ecgjax.tasks.reversal import prior

UNDOABLE = [placement for placement in leads.PLACEMENTS if not placement.uses_neutral]
IS_UNDOABLE = torch.tensor([not placement.uses_neutral for placement in leads.PLACEMENTS])
INDEPENDENT = [leads.LEADS.index(name) for name in leads.INDEPENDENT_LEADS]


def constant(array: np.typing.ArrayLike) -> torch.Tensor:
    return torch.tensor(np.asarray(array), dtype=torch.float32)


MATRICES = constant(np.stack([placement.matrix for placement in leads.PLACEMENTS]))
NEUTRAL_GAINS = constant(np.stack([placement.neutral_gain for placement in leads.PLACEMENTS]))
UNDO = constant(np.stack([placement.inverse.matrix[INDEPENDENT] for placement in UNDOABLE]))
METRIC = constant(POWER_METRIC)
LEAD_VECTORS = constant(DOWER)
DIPOLE = torch.linalg.pinv(LEAD_VECTORS)
FROM_INDEPENDENT = constant(leads.LEADS_FROM_INDEPENDENT)
TO_LEADS, TO_ELECTRODES = constant(leads.LEADS_FROM_ELECTRODES), constant(leads.ELECTRODES_FROM_LEADS)


class PlacementNet(nn.Module):
    """`ecgjax.models.placement_net.PlacementNet`."""

    def __init__(self, num_samples: int, options: ConfigDict):
        super().__init__()
        self.patch, self.fine_gain = options.patch, options.fine_gain
        joined = num_samples // options.patch * options.features
        self.num_blocks = options.num_blocks
        layers = {
            "embed": nn.Linear(2 * len(INDEPENDENT) * options.patch, options.features),
            "embed_norm": nn.LayerNorm(options.features, eps=1e-6),
            "join": nn.Linear(joined, options.hidden),
            "score_norm": nn.LayerNorm(options.hidden, eps=1e-6),
            "score": nn.Linear(options.hidden, 1),
            "flat_hidden": nn.Linear(3, 32),
            "flat_score": nn.Linear(32, int((~IS_UNDOABLE).sum())),
        }
        for i in range(options.num_blocks):
            layers[f"norm_{i}"] = nn.LayerNorm(options.hidden, eps=1e-6)
            layers[f"block_{i}"] = nn.Linear(options.hidden, options.hidden)
        self.layers = nn.ModuleDict(layers)
        self.dropout_rate = options.dropout_rate

    def load_flax(self, params: dict) -> None:
        """Takes over the weights of the flax network, whose layers have the same names."""
        state: dict[str, torch.Tensor] = {}
        for name, weights in params.items():
            weight = weights["kernel"].T if "kernel" in weights else weights["scale"]
            state |= {f"{name}.weight": constant(weight), f"{name}.bias": constant(weights["bias"])}
        self.layers.load_state_dict(state)

    def forward(self, beat: torch.Tensor) -> torch.Tensor:
        """`[batch, time, lead]` -> `[batch, 1 + placement]`."""
        power = beat[..., :6].square().mean((1, 2)) + beat[..., 6:].square().mean((1, 2))
        beat = beat / (power + 1e-6).sqrt()[:, None, None]

        undone = torch.einsum("btl,hml->bhtm", beat, UNDO)
        x = torch.cat([undone, F.softsign(self.fine_gain * undone)], -1)
        x = x.reshape(*x.shape[:2], x.shape[2] // self.patch, -1)
        layers = self.layers
        x = F.gelu(layers["embed_norm"](layers["embed"](x)), approximate="tanh").flatten(2)
        x = layers["join"](x)
        for i in range(self.num_blocks):
            mask = F.dropout(torch.ones(len(x), 1, x.shape[2]), self.dropout_rate, self.training)
            x = x + layers[f"block_{i}"](mask * F.gelu(layers[f"norm_{i}"](x), approximate="tanh"))
        likelihood = layers["score"](F.gelu(layers["score_norm"](x), approximate="tanh"))[..., 0]

        limb_power = (beat[..., :3].square().mean(1) + 1e-5).log()
        share = limb_power - limb_power.logsumexp(1, keepdim=True)
        flatness = layers["flat_score"](F.gelu(layers["flat_hidden"](share), approximate="tanh"))
        scores = beat.new_zeros(len(beat), len(IS_UNDOABLE))
        scores[:, IS_UNDOABLE], scores[:, ~IS_UNDOABLE] = likelihood, flatness
        num_reversed = torch.tensor(scores.shape[1] - 1.0)
        any_reversal = scores[:, 1:].logsumexp(1) - num_reversed.log() - scores[:, 0]
        types = torch.cat([scores[:, :1], scores[:, 1:] - num_reversed.log()], 1)
        return torch.cat([any_reversal[:, None], types], 1)


def power(signal_mv: torch.Tensor) -> torch.Tensor:
    """`[..., lead]` -> `[...]`"""
    return ((signal_mv @ METRIC) * signal_mv).sum(-1)


def average_beat(signal_mv: torch.Tensor, window: BeatWindow) -> tuple[torch.Tensor, torch.Tensor]:
    """`ecgjax.beats.average_beat` of a batch `[batch, time, lead]`."""
    num_samples = signal_mv.shape[1]
    (slope,) = torch.gradient(signal_mv, dim=1)
    kernel = constant(np.hanning(2 * round(SMOOTHING_S * window.fs_hz / 2) + 3))
    energy = F.conv1d(power(slope)[:, None], (kernel / kernel.sum())[None, None], padding="same")[:, 0]
    reach = round(REFRACTORY_S * window.fs_hz)
    highest = F.max_pool1d(energy[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
    stretch = min(round(STRETCH_S * window.fs_hz), num_samples)
    stretches = energy[:, : num_samples // stretch * stretch].unflatten(1, (-1, stretch))
    threshold = THRESHOLD * torch.quantile(stretches.amax(2), 0.5, dim=1, keepdim=True)
    sample = torch.arange(num_samples)
    fits = (sample >= window.num_before) & (sample <= num_samples - (window.num_samples - window.num_before))
    is_peak = fits & (energy >= highest) & (energy > threshold)
    earliest, peaks = torch.where(is_peak, num_samples - sample, 0).topk(window.max_beats, dim=1)

    start = (peaks - window.num_before).clamp(0, num_samples - window.num_samples)
    rows = torch.arange(len(signal_mv))[:, None, None]
    beats = signal_mv[rows, start[..., None] + torch.arange(window.num_samples)]
    weight = (earliest > 0).float()
    mean = torch.einsum("bk,bktl->btl", weight / (weight.sum(1, keepdim=True) + 1e-6), beats)
    difference = power(beats - mean[:, None]).sum(2)
    weight = weight * torch.exp(-2 * difference / (power(mean).sum(1) + 1e-6)[:, None])
    num_beats = weight.sum(1).square() / (weight.square().sum(1) + 1e-6)
    return torch.einsum("bk,bktl->btl", weight / (weight.sum(1, keepdim=True) + 1e-6), beats), num_beats


def training_view(signal_mv: torch.Tensor, config: ConfigDict, window: BeatWindow) -> tuple[torch.Tensor, torch.Tensor]:
    """`Reversal.training_view` of a batch: views `[batch, time, lead]` and placements `[batch]`."""
    options, batch = config.reversal, len(signal_mv)
    beat, num_averaged = average_beat(signal_mv, window)
    beat = stretch_time(beat, window.num_before, options.stretch)
    placement = torch.multinomial(constant(prior(options.none_share)), batch, replacement=True)
    beat = beat + electrode_noise(batch, beat.shape[1], options.noise_mv)
    matrix = MATRICES[placement] @ vary_body(batch, options)
    beat = beat @ matrix.mT
    neutral = options.neutral_noise_mv * torch.randn(batch, beat.shape[1], 1) * NEUTRAL_GAINS[placement][:, None]
    return beat + neutral / num_averaged.clamp(min=1).sqrt()[:, None, None], placement


def stretch_time(beat: torch.Tensor, centre: int, sd: float) -> torch.Tensor:
    last = beat.shape[1] - 1
    place = centre + (torch.arange(last + 1) - centre) * torch.exp(sd * torch.randn(len(beat), 1))
    place = place.clamp(0, last)
    before = place.floor().long().clamp(0, last - 1)
    share = (place - before)[..., None]
    rows = torch.arange(len(beat))[:, None]
    return (1 - share) * beat[rows, before] + share * beat[rows, before + 1]


def turn_heart(rotation_rad: torch.Tensor, stretch: torch.Tensor) -> torch.Tensor:
    """`[batch, 12, 12]`"""
    x, y, z = rotation_rad.unbind(1)
    zero = torch.zeros_like(x)
    generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).unflatten(1, (3, 3))
    angle = rotation_rad.norm(dim=1)[:, None, None] + 1e-6
    turn = torch.eye(3) + torch.sinc(angle / torch.pi) * generator
    turn = turn + 0.5 * torch.sinc(angle / (2 * torch.pi)).square() * (generator @ generator)
    change = turn * stretch.exp()[:, None] - torch.eye(3)
    on_independent = torch.eye(len(INDEPENDENT)) + LEAD_VECTORS @ change @ DIPOLE
    return FROM_INDEPENDENT @ on_independent @ torch.eye(12)[INDEPENDENT]


def vary_body(batch: int, options: ConfigDict) -> torch.Tensor:
    """`[batch, 12, 12]`"""
    heart = turn_heart(options.rotation_rad * torch.randn(batch, 3), options.elongation * torch.randn(batch, 3))
    shift = (torch.randn(batch, 1) + torch.randn(batch, 6)).clamp(-2, 2)
    place = (torch.arange(6) + options.displacement * 0.5**0.5 * shift).clamp(0, 5)
    chest = torch.eye(9).repeat(batch, 1, 1)
    chest[:, 3:, 3:] = (1 - (place[..., None] - torch.arange(6)).abs()).clamp(min=0)
    gain = torch.exp(options.gain * torch.randn(batch, 1, 1))
    return gain * (TO_LEADS @ chest @ TO_ELECTRODES @ heart)


def electrode_noise(batch: int, num_samples: int, sd_mv: float) -> torch.Tensor:
    """`[batch, time, lead]`"""
    white = torch.randn(batch, num_samples, 9)
    knots = torch.arange(num_samples // SLOW_SAMPLES + 2)
    between = (1 - (torch.arange(num_samples)[:, None] / SLOW_SAMPLES - knots).abs()).clamp(min=0)
    slow = 1.5**0.5 * between @ torch.randn(batch, len(knots), 9)
    share = torch.rand(batch, 1, 9)
    level = sd_mv * torch.randn(batch, 1, 9).abs()
    return (level * (share.sqrt() * slow + (1 - share).sqrt() * white)) @ TO_LEADS.T


class Trainer:
    """One training step after another on records `[record, time, lead]` int16, gain units per mV."""

    def __init__(self, ecg: np.ndarray, gain: float, config: ConfigDict, window: BeatWindow, compile_step: bool):
        self.config, self.window, self.gain = config, window, gain
        self.ecg = torch.from_numpy(ecg)
        self.crop = round(config.data.crop_s * config.preprocess.fs_hz)
        self.network = PlacementNet(window.num_samples, config.model.placement_net)
        self.average = copy.deepcopy(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            config.schedule.learning_rate,
            weight_decay=config.optimizer.weight_decay,
            fused=True,
        )
        share = constant(prior(config.reversal.none_share))
        self.adjustment = (share / constant(prior(0.5))).log()
        self.odds = (1 / share[0] - 1).log()
        self._loss = torch.compile(self.loss) if compile_step else self.loss

    def loss(self, signal_mv: torch.Tensor) -> torch.Tensor:
        view, placement = training_view(signal_mv, self.config, self.window)
        outputs = self.network(view)
        any_loss = F.binary_cross_entropy_with_logits(outputs[:, 0] + self.odds, (placement > 0).float())
        return any_loss + F.cross_entropy(outputs[:, 1:] + self.adjustment, placement)

    def step(self, index: np.ndarray) -> torch.Tensor:
        """Gather, crop, augment, loss, update, moving average."""
        record = torch.from_numpy(index).long()
        offset = torch.randint(0, self.ecg.shape[1] - self.crop + 1, (len(record), 1))
        signal_mv = self.ecg[record[:, None], offset + torch.arange(self.crop)].float() / self.gain
        loss = self._loss(signal_mv)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimizer.clip_norm, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.network.parameters()), 1 - self.config.ema_decay
            )
        return loss.detach()
