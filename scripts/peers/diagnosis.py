"""Diagnosis in PyTorch: the views, network and loss of `configs/diagnosis.py`."""

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import leads, scp
from ecgjax.beats import BeatWindow
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.models.beat_encoder import LONG_RR_S, SHORT_RR_S
from scripts.peers import agreement, record_views
from scripts.peers.batch_views import AverageBeat, Body, Records, constant, stretch_time
from scripts.peers.trainer import Batch, Peer

_NUM_RHYTHM = 8
_NUM_LIMB = len(leads.LIMB_LEADS)
_LIMB_KNOWN = (0.2, 0.3, 0.5)  # shares of records with no limb lead, with one and with all, as in augment.random_leads


class BeatNet(nn.Module):
    """`ecgjax.models.beat_net.BeatNet`."""

    def __init__(self, num_outputs: int, window: BeatWindow, options: ConfigDict):
        super().__init__()
        self.window, self.patch, self.fine_gain = window, options.patch, options.fine_gain
        self.average_beat = AverageBeat(window, metric=None)
        features, hidden = options.features, options.hidden
        self.piece = nn.Linear(2 * len(leads.LEADS) * options.patch, features)
        self.piece_norm = nn.LayerNorm(features, eps=1e-6)
        self.pace = nn.Linear(_NUM_RHYTHM, 32)
        self.join = nn.Linear(window.num_samples // options.patch * features + 32, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, eps=1e-6) for _ in range(options.num_blocks + 1))
        self.blocks = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(options.num_blocks))
        self.dropout = nn.Dropout(options.dropout_rate)
        self.out = nn.Linear(hidden, num_outputs)

    def load_flax(self, variables: dict) -> None:
        """Takes over the weights of the flax network, whose layers are numbered."""
        params = variables["params"]
        dense = {"Dense_0": self.piece, "Dense_1": self.pace, "Dense_2": self.join}
        dense |= {f"Dense_{3 + i}": block for i, block in enumerate(self.blocks)}
        norms = {f"LayerNorm_{i}": norm for i, norm in enumerate([self.piece_norm, *self.norms])}
        pairs = [(layer, params["encoder"][name]) for name, layer in {**dense, **norms}.items()]
        with torch.no_grad():
            for layer, own in [*pairs, (self.out, params["Dense_0"])]:
                layer.weight.copy_(constant(own["kernel"].T if "kernel" in own else own["scale"]))
                layer.bias.copy_(constant(own["bias"]))

    def forward(self, signal_mv: torch.Tensor) -> torch.Tensor:
        """`[batch, time, lead]` -> `[batch, num_outputs]`."""
        peaks, is_beat = self.average_beat.find(signal_mv)
        beat, _ = self.average_beat.average(signal_mv, peaks, is_beat)
        shown = torch.cat([2 * beat, F.softsign(self.fine_gain * beat)], 2).unflatten(1, (-1, self.patch)).flatten(2)
        x = F.gelu(self.piece_norm(self.piece(shown)), approximate="tanh").flatten(1)
        paced = F.gelu(self.pace(rhythm_figures(peaks, is_beat, self.window.fs_hz)), approximate="tanh")
        x = self.join(torch.cat([x, paced], 1))
        *norms, last_norm = self.norms
        for norm, block in zip(norms, self.blocks, strict=True):
            x = x + block(self.dropout(F.gelu(norm(x), approximate="tanh")))
        return self.out(self.dropout(F.gelu(last_norm(x), approximate="tanh"))).float()


def rhythm_figures(peaks: torch.Tensor, is_beat: torch.Tensor, fs_hz: float) -> torch.Tensor:
    """`ecgjax.models.beat_encoder.rhythm_figures` of a batch of R peaks `[batch, beat]`: `[batch, 8]`."""
    rr_s = peaks.diff(dim=1) / fs_hz
    is_interval = is_beat[:, 1:] & is_beat[:, :-1]
    mean_s = _mean(rr_s, is_interval)
    deviation_s = _root_mean(rr_s - mean_s[:, None], is_interval)
    successive_s = _root_mean(rr_s.diff(dim=1), is_interval[:, 1:] & is_interval[:, :-1])
    figures = [
        mean_s,
        (mean_s + 0.1).log(),
        deviation_s / (mean_s + 0.1),
        successive_s / (mean_s + 0.1),
        (deviation_s + 0.005).log(),
        (successive_s + 0.005).log(),
        (mean_s < SHORT_RR_S).float(),
        (mean_s > LONG_RR_S).float(),
    ]
    return torch.stack(figures, 1)


def _mean(values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return (values * counts).sum(1) / counts.sum(1).clamp(min=1)


def _root_mean(values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return (_mean(values.square(), counts) + 1e-10).sqrt()


class DiagnosisPeer(Peer):
    """Whole signals, half of them with only some leads."""

    def __init__(self, config: ConfigDict, train: Split):
        super().__init__()
        self.options, classes = config.diagnosis, scp.labels(train, config.diagnosis.labels)
        window = BeatWindow(config.preprocess.fs_hz, **config.beat.to_dict())
        self.network = BeatNet(classes.shape[1], window, config.model.beat_net)
        self.records = Records(train.ecg, train.gain, round(config.data.crop_s * train.fs_hz))
        self.body = Body(self.options)
        tensors = {
            "classes": classes,
            "limb_known": np.array(_LIMB_KNOWN),
            "completions": leads.LIMB_COMPLETIONS,
            "limb_bits": 2 ** np.arange(_NUM_LIMB),
        }
        for name, array in tensors.items():
            self.register_buffer(name, constant(array), persistent=False)

    def batch(self, index: torch.Tensor) -> Batch:
        signal_mv = self.records.crops(index)
        batch, num_samples, num_leads = signal_mv.shape
        signal_mv = stretch_time(signal_mv, num_samples // 2, self.options.stretch)
        is_reduced = torch.rand(batch, 1, device=signal_mv.device) < self.options.random_leads
        is_given = self._random_leads(batch, num_leads) | ~is_reduced
        change = self._showing(is_given) @ self.body.matrices(batch)
        signal_mv = (signal_mv + self.body.noise(batch, num_samples)) @ change.mT
        return {"signal_mv": signal_mv, "classes": self.classes[index]}

    def _showing(self, is_given: torch.Tensor) -> torch.Tensor:
        """`[batch, 12, 12]`: the given leads, those that follow from them, and zeros."""
        change = torch.diag_embed(is_given.float())
        change[:, :_NUM_LIMB, :_NUM_LIMB] = self.completions[(is_given[:, :_NUM_LIMB] * self.limb_bits).sum(1).long()]
        return change

    def _random_leads(self, batch: int, num_leads: int) -> torch.Tensor:
        """bool `[batch, lead]`, `ecgjax.augment.random_leads`."""
        device, num_chest = self.classes.device, num_leads - _NUM_LIMB
        known = torch.multinomial(self.limb_known, batch, replacement=True)[:, None]
        one = torch.arange(_NUM_LIMB, device=device) == torch.randint(_NUM_LIMB, (batch, 1), device=device)
        number = torch.randint(num_chest + 1, (batch, 1), device=device)
        rank = torch.rand(batch, num_chest, device=device).argsort(1)
        is_given = torch.cat([(known == 2) | (known == 1) & one, rank < number], 1)
        fallback = torch.arange(num_leads, device=device) == torch.randint(num_leads, (batch, 1), device=device)
        return torch.where(is_given.any(1, keepdim=True), is_given, fallback)

    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        options, records = self.options, self.records
        signal_mv = record_views.random_crop(records.ecg[index].numpy(), records.gain, records.num_samples, rng)
        signal_mv = record_views.stretch_time(signal_mv, len(signal_mv) // 2, options.stretch, rng)
        signal_mv = signal_mv + record_views.electrode_noise(len(signal_mv), options.noise_mv, rng)
        body = record_views.vary_body(options, rng)
        if rng.random() < options.random_leads:
            # Withholding leads is linear, too.
            body = leads.completion(_given_leads(rng)) @ body
        signal_mv = signal_mv @ body.T.astype(np.float32)
        return {"signal_mv": signal_mv, "classes": self.classes[index].numpy()}

    def loss(self, batch: Batch) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(self.network(batch["signal_mv"]), batch["classes"].float())


def _given_leads(rng: np.random.Generator) -> list[str]:
    """`ecgjax.augment.random_leads`."""
    is_given = np.zeros(len(leads.LEADS), bool)
    known = rng.choice(3, p=_LIMB_KNOWN)
    is_given[:_NUM_LIMB] = known == 2
    if known == 1:
        is_given[rng.integers(_NUM_LIMB)] = True
    num_chest = len(leads.PRECORDIAL_LEADS)
    is_given[_NUM_LIMB + rng.permutation(num_chest)[: rng.integers(num_chest + 1)]] = True
    if not is_given.any():
        is_given[rng.integers(len(is_given))] = True
    return [leads.LEADS[i] for i in np.flatnonzero(is_given)]


def build(config: ConfigDict, train: Split) -> DiagnosisPeer:
    """The peer of the task's default options, whose labels, sizes and levels may be others."""
    options = config.diagnosis
    plain = (config.model.name, options.view, options.leads, options.weighting, config.preprocess.normalise)
    if plain != ("beat_net", "signal", "all", "none", "none") or options.lead_noise_mv:
        raise InputError(f"there is no peer for the options {plain}", "use those of configs/diagnosis.py")
    return DiagnosisPeer(config, train)


def check(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both frameworks do the same."""
    names = ("rotation_rad", "elongation", "displacement", "noise_mv", "stretch", "random_leads")
    quiet = {f"diagnosis.{name}": 0.0 for name in names} | {"diagnosis.gain": agreement.HARDLY}
    agreement.check(build, config, train, quiet, lambda shown: shown["signal_mv"])
