"""What the networks are shown of twelve-lead records, whole batches at once in PyTorch.

The counterparts of `ecgjax.beats` and `ecgjax.augment`, which handle one record and are mapped over the batch.
"""

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import leads
from ecgjax.augment import DOWER, SLOW_SAMPLES
from ecgjax.beats import REFRACTORY_S, SMOOTHING_S, STRETCH_S, THRESHOLD, BeatWindow


def constant(array: np.typing.ArrayLike) -> torch.Tensor:
    """float32"""
    return torch.tensor(np.asarray(array), dtype=torch.float32)


class Records(nn.Module):
    """Records `[record, time, lead]` int16, `gain` units per mV, and crops of `num_samples` of them."""

    def __init__(self, ecg: np.ndarray, gain: float, num_samples: int):
        super().__init__()
        self.register_buffer("ecg", torch.from_numpy(ecg), persistent=False)
        self.gain, self.num_samples = gain, num_samples

    def crops(self, index: torch.Tensor) -> torch.Tensor:
        """`[batch]` -> `[batch, time, lead]` in mV, from random samples on."""
        device = self.ecg.device
        last = self.ecg.shape[1] - self.num_samples
        offset = torch.randint(0, last + 1, (len(index), 1), device=device)
        return self.ecg[index[:, None], offset + torch.arange(self.num_samples, device=device)].float() / self.gain


class AverageBeat(nn.Module):
    """`ecgjax.beats.average_beat`, with the power of a sample `x` as `x @ metric @ x`, or its square without one."""

    def __init__(self, window: BeatWindow, metric: np.ndarray | None):
        super().__init__()
        self.window = window
        kernel = np.hanning(2 * round(SMOOTHING_S * window.fs_hz / 2) + 3)
        self.register_buffer("kernel", constant(kernel / kernel.sum())[None, None], persistent=False)
        self.register_buffer("metric", None if metric is None else constant(metric), persistent=False)

    def forward(self, signal_mv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`[batch, time, lead]` -> beats `[batch, time, lead]` and of how many each is the mean."""
        return self.average(signal_mv, *self.find(signal_mv))

    def find(self, signal_mv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """R peaks `[batch, beat]` in order of time, and which of them are beats."""
        window, num_samples = self.window, signal_mv.shape[1]
        (slope,) = torch.gradient(signal_mv, dim=1)
        energy = F.conv1d(self._power(slope)[:, None], self.kernel, padding="same")[:, 0]
        reach = round(REFRACTORY_S * window.fs_hz)
        highest = F.max_pool1d(energy[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
        stretch = min(round(STRETCH_S * window.fs_hz), num_samples)
        stretches = energy[:, : num_samples // stretch * stretch].unflatten(1, (-1, stretch))
        threshold = THRESHOLD * torch.quantile(stretches.amax(2), 0.5, dim=1, keepdim=True)
        sample = torch.arange(num_samples, device=signal_mv.device)
        fits = (sample >= window.num_before) & (sample <= num_samples - (window.num_samples - window.num_before))
        is_peak = fits & (energy >= highest) & (energy > threshold)
        earliest, peaks = torch.where(is_peak, num_samples - sample, 0).topk(window.max_beats, dim=1)
        return peaks, earliest > 0

    def average(
        self, signal_mv: torch.Tensor, peaks: torch.Tensor, is_beat: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The beats at `peaks` averaged, those unlike the others weighed down."""
        window, device = self.window, signal_mv.device
        start = (peaks - window.num_before).clamp(0, signal_mv.shape[1] - window.num_samples)
        rows = torch.arange(len(signal_mv), device=device)[:, None, None]
        beats = signal_mv[rows, start[..., None] + torch.arange(window.num_samples, device=device)]
        weight = is_beat.float()
        mean = _weighted_mean(beats, weight)
        difference = self._power(beats - mean[:, None]).sum(2)
        weight = weight * torch.exp(-2 * difference / (self._power(mean).sum(1) + 1e-6)[:, None])
        num_beats = weight.sum(1).square() / (weight.square().sum(1) + 1e-6)
        return _weighted_mean(beats, weight), num_beats

    def _power(self, signal_mv: torch.Tensor) -> torch.Tensor:
        """`[..., lead]` -> `[...]`"""
        if self.metric is None:
            return signal_mv.square().sum(-1)
        return ((signal_mv @ self.metric) * signal_mv).sum(-1)


def _weighted_mean(beats: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bk,bktl->btl", weight / (weight.sum(1, keepdim=True) + 1e-6), beats)


class Body(nn.Module):
    """`ecgjax.augment.vary_body` and `electrode_noise`, with the options of the task's group of the config."""

    def __init__(self, options: ConfigDict):
        super().__init__()
        self.options = options
        matrices = {
            "lead_vectors": DOWER,
            "dipole": np.linalg.pinv(DOWER),
            "from_independent": leads.LEADS_FROM_INDEPENDENT,
            "pick_independent": np.eye(12)[leads.INDEPENDENT_COLUMNS],
            "to_leads": leads.LEADS_FROM_ELECTRODES,
            "to_electrodes": leads.ELECTRODES_FROM_LEADS,
        }
        for name, matrix in matrices.items():
            self.register_buffer(name, constant(matrix), persistent=False)

    def matrices(self, batch: int) -> torch.Tensor:
        """`[batch, 12, 12]`: other positions of the heart, other electrode sites and other gains."""
        options, device = self.options, self.to_leads.device
        shift = (torch.randn(batch, 1, device=device) + torch.randn(batch, 6, device=device)).clamp(-2, 2)
        site = torch.arange(6, device=device)
        place = (site + options.displacement * 0.5**0.5 * shift).clamp(0, 5)
        chest = torch.eye(9, device=device).repeat(batch, 1, 1)
        chest[:, 3:, 3:] = (1 - (place[..., None] - site).abs()).clamp(min=0)
        gain = torch.exp(options.gain * torch.randn(batch, 1, 1, device=device))
        return gain * (self.to_leads @ chest @ self.to_electrodes @ self._turns(batch))

    def _turns(self, batch: int) -> torch.Tensor:
        """`[batch, 12, 12]`: the dipole of the heart turned and stretched."""
        device = self.to_leads.device
        rotation_rad = self.options.rotation_rad * torch.randn(batch, 3, device=device)
        elongation = self.options.elongation * torch.randn(batch, 3, device=device)
        x, y, z = rotation_rad.unbind(1)
        zero = torch.zeros_like(x)
        generator = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).unflatten(1, (3, 3))
        angle = rotation_rad.norm(dim=1)[:, None, None] + 1e-6
        one = torch.eye(3, device=device)
        turn = one + torch.sinc(angle / torch.pi) * generator
        turn = turn + 0.5 * torch.sinc(angle / (2 * torch.pi)).square() * (generator @ generator)
        change = turn * elongation.exp()[:, None] - one
        on_independent = torch.eye(len(self.lead_vectors), device=device) + self.lead_vectors @ change @ self.dipole
        return self.from_independent @ on_independent @ self.pick_independent

    def noise(self, batch: int, num_samples: int) -> torch.Tensor:
        """`[batch, time, lead]` of noise at the electrodes."""
        device = self.to_leads.device
        white = torch.randn(batch, num_samples, 9, device=device)
        knots = torch.arange(num_samples // SLOW_SAMPLES + 2, device=device)
        sample = torch.arange(num_samples, device=device)[:, None]
        between = (1 - (sample / SLOW_SAMPLES - knots).abs()).clamp(min=0)
        slow = 1.5**0.5 * between @ torch.randn(batch, len(knots), 9, device=device)
        share = torch.rand(batch, 1, 9, device=device)
        level = self.options.noise_mv * torch.randn(batch, 1, 9, device=device).abs()
        return (level * (share.sqrt() * slow + (1 - share).sqrt() * white)) @ self.to_leads.T


def stretch_time(signal_mv: torch.Tensor, centre: int, sd: float) -> torch.Tensor:
    """`ecgjax.augment.stretch_time` of a batch."""
    device, last = signal_mv.device, signal_mv.shape[1] - 1
    away = torch.arange(last + 1, device=device) - centre
    place = (centre + away * torch.exp(sd * torch.randn(len(signal_mv), 1, device=device))).clamp(0, last)
    before = place.floor().long().clamp(0, last - 1)
    rows = torch.arange(len(signal_mv), device=device)[:, None]
    return torch.lerp(signal_mv[rows, before], signal_mv[rows, before + 1], (place - before)[..., None])
