"""The reader of a rhythm in one lead, in PyTorch: peer of the default of configs/rhythm.py."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import models, tasks
from ecgjax.beats import REFRACTORY_S, SMOOTHING_S, STRETCH_S, THRESHOLD, BeatWindow
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.models import rhythm_reader
from scripts.peers.trainer import Batch, Peer

CHECKED = 16
"""Recordings on which both are compared."""

NUM_INTERVALS = 8


class Conv(nn.Conv1d):
    """A convolution that gives one sample for every `stride` begun, padded as `ecgjax.models.signal_layers` has it."""

    def __init__(self, channels: int, features: int, kernel_size: int, stride: int):
        # A stride of 1 and an odd kernel need no copy for the padding.
        self.is_even = stride == 1 and kernel_size % 2
        super().__init__(channels, features, kernel_size, stride, kernel_size // 2 if self.is_even else 0, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.is_even:
            x = F.pad(x, padding(x.shape[2], self.kernel_size[0], self.stride[0]))
        return super().forward(x)


def padding(num_samples: int, size: int, stride: int) -> tuple[int, int]:
    """Of both ends."""
    total = max((-(-num_samples // stride) - 1) * stride + size - num_samples, 0)
    return total // 2, total - total // 2


class Unit(nn.Module):
    """A residual unit over the signal."""

    def __init__(self, channels: int, features: int, kernel_size: int, stride: int, dropout_rate: float):
        super().__init__()
        self.first, self.first_norm = Conv(channels, features, kernel_size, stride), nn.BatchNorm1d(features)
        self.second, self.second_norm = Conv(features, features, 5, 1), nn.BatchNorm1d(features)
        self.drop = nn.Dropout(dropout_rate)
        self.pool = nn.MaxPool1d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.kept = Conv(channels, features, 1, 1) if channels != features else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.drop(F.relu(self.first_norm(self.first(x)), inplace=True))
        inner = self.second_norm(self.second(inner))
        return F.relu(self.kept(self.pool(x)) + inner, inplace=True)


class BeatLayers(nn.Module):
    """Layers over beats and their neighbours."""

    def __init__(self, num_samples: int, width: int, num_layers: int, dropout_rate: float):
        super().__init__()
        self.norm = nn.ModuleList([nn.LayerNorm(width, eps=1e-6) for _ in range(num_layers + 2)])
        self.first = nn.Linear(2 * num_samples + NUM_INTERVALS, width)
        self.second = nn.Linear(width, width)
        self.layers = nn.ModuleList([nn.Linear(3 * width, width) for _ in range(num_layers)])
        self.last = nn.Linear(width, width)
        self.norm.append(nn.LayerNorm(3 * width + num_samples + 1, eps=1e-6))
        self.summary = nn.Linear(3 * width + num_samples + 1, width)
        self.drop = nn.Dropout(dropout_rate)

    def forward(
        self, beats: torch.Tensor, intervals: torch.Tensor, is_beat: torch.Tensor, seconds: torch.Tensor
    ) -> torch.Tensor:
        """`[batch, beat, sample]`, `[batch, beat, interval]`, `[batch, beat, 1]`, `[batch, 1]` -> `[batch, width]`."""
        count = is_beat.sum(1)
        mean_beat = (beats * is_beat).sum(1) / count.clamp(min=1)
        shown = torch.cat([beats, beats - mean_beat[:, None], intervals], -1)
        x = self.second(self.drop(gelu(self.norm[0](self.first(shown))))) * is_beat
        for i, layer in enumerate(self.layers):
            active = F.pad(gelu(self.norm[i + 1](x)) * is_beat, (0, 0, 1, 1))
            x = x + self.drop(layer(torch.cat([active[:, :-2], active[:, 1:-1], active[:, 2:]], -1)))
        x = self.last(gelu(self.norm[-2](x)))
        mean = (x * is_beat).sum(1) / count.clamp(min=1)
        variance = ((x - mean[:, None]).square() * is_beat).sum(1) / count.clamp(min=1)
        deviation = (variance + rhythm_reader.LEAST_DEVIATION**2).sqrt()
        parts = [mean, deviation, highest_where(x, is_beat, 1), mean_beat, count / seconds.clamp(min=1)]
        return gelu(self.summary(self.norm[-1](torch.cat(parts, 1))))


class RhythmReader(nn.Module):
    """`ecgjax.models.rhythm_reader.RhythmReader` with measures."""

    def __init__(self, num_measures: int, num_outputs: int, options: ConfigDict):
        super().__init__()
        self.fs_hz, features, rate = options.fs_hz, options.features, options.dropout_rate
        self.stem = Conv(1, features[0], round(rhythm_reader.STEM_S * options.fs_hz) | 1, 2)
        self.stem_norm = nn.BatchNorm1d(features[0])
        reduced = list(itertools.accumulate(options.strides, lambda so_far, stride: so_far * stride, initial=2))
        self.stride_in_all = reduced.pop()
        channels = (features[0], *features[:-1])
        self.units = nn.Sequential(
            *(
                Unit(before, after, 7 if so_far < 4 else 5, stride, rate)
                for before, after, so_far, stride in zip(channels, features, reduced, options.strides, strict=True)
            )
        )
        window = BeatWindow(options.fs_hz, rhythm_reader.BEFORE_S, rhythm_reader.AFTER_S, 0)
        self.beats = BeatLayers(window.num_samples, options.beat_features, options.num_beat_layers, rate)
        self.measure_norms = nn.ModuleList([nn.BatchNorm1d(num_measures) for _ in range(2)])
        self.measures = nn.Linear(num_measures, options.measure_features)
        self.measures_norm = nn.LayerNorm(options.measure_features, eps=1e-6)
        self.drop = nn.Dropout(options.head_dropout_rate)
        self.head = nn.Linear(2 * features[-1] + options.beat_features + options.measure_features, num_outputs)

    def forward(self, signal: torch.Tensor, is_in: torch.Tensor, measures: torch.Tensor) -> torch.Tensor:
        """Signal and what of it was recorded `[batch, time]`, measures `[batch, measure]` -> `[batch, num_outputs]`."""
        signal, mask = signal.clamp(-rhythm_reader.LARGEST, rhythm_reader.LARGEST), is_in.float()
        x = self.units(F.relu(self.stem_norm(self.stem(signal[:, None])), inplace=True))
        stride = self.stride_in_all
        padded = F.pad(-mask[:, None], padding(mask.shape[1], stride, stride), value=-torch.inf)
        is_whole = -F.max_pool1d(padded, stride)
        mean = (x * is_whole).sum(2) / is_whole.sum(2).clamp(min=1)
        with torch.no_grad():
            found = beat_sequence(signal, is_in, self.fs_hz)
        first, second = self.measure_norms
        farthest = rhythm_reader.FARTHEST_MEASURE
        normal = second(torch.asinh(first(measures))).clamp(-farthest, farthest)
        parts = [
            *(mean, highest_where(x, is_whole, 2)),
            self.beats(*found, mask.sum(1, keepdim=True) / self.fs_hz),
            gelu(self.measures_norm(self.measures(normal))),
        ]
        return self.head(self.drop(torch.cat(parts, 1)))

    def load_flax(self, variables: dict) -> None:
        """Takes over the weights of the flax network, whose layers of a kind are numbered in order of use."""
        beats = self.beats
        dense = [beats.first, beats.second, *beats.layers, beats.last, beats.summary, self.measures]
        convolutions, norms = [self.stem], [self.stem_norm]
        for unit in self.units:
            convolutions += [unit.first, unit.second, *([unit.kept] if isinstance(unit.kept, Conv) else [])]
            norms += [unit.first_norm, unit.second_norm]
        norms += list(self.measure_norms)
        named = {"head": self.head}
        for kind, layers in (
            ("Dense", dense),
            ("Conv", convolutions),
            ("BatchNorm", norms),
            ("LayerNorm", [*beats.norm, self.measures_norm]),
        ):
            named |= {f"{kind}_{i}": layer for i, layer in enumerate(layers)}
        params, statistics = variables["params"], variables["batch_stats"]
        assert set(named) == set(params)
        with torch.no_grad():
            for name, layer in named.items():
                own = {field: torch.tensor(np.asarray(x)) for field, x in params[name].items()}
                weight = own["kernel"] if "kernel" in own else own["scale"]
                layer.weight.copy_(weight.permute(*range(weight.ndim)[::-1]))
                if layer.bias is not None:
                    layer.bias.copy_(own["bias"])
                if name in statistics:
                    layer.running_mean.copy_(torch.tensor(np.asarray(statistics[name]["mean"])))
                    layer.running_var.copy_(torch.tensor(np.asarray(statistics[name]["var"])))


def gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def highest_where(x: torch.Tensor, is_in: torch.Tensor, axis: int) -> torch.Tensor:
    """The maximum over `axis` where `is_in` is 1; 0 if it never is."""
    highest = x.masked_fill(is_in == 0, -torch.inf).amax(axis)
    return torch.where(highest.isfinite(), highest, 0.0)


def find_beats(signal: torch.Tensor, is_in: torch.Tensor, fs_hz: float, max_beats: int) -> tuple[torch.Tensor, ...]:
    """`ecgjax.beats.find_beats` of one lead `[batch, time]`: R peaks and which of them are beats, `[batch, beat]`."""
    num_samples = signal.shape[1]
    (slope,) = torch.gradient(signal, dim=1)
    slope = slope * (is_in & F.pad(is_in[:, 1:], (0, 1)))
    kernel = torch.hann_window(2 * round(SMOOTHING_S * fs_hz / 2) + 3, periodic=False, device=signal.device)
    energy = F.conv1d(slope.square()[:, None], (kernel / kernel.sum())[None, None], padding="same")[:, 0]
    reach = round(REFRACTORY_S * fs_hz)
    highest = F.max_pool1d(energy[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]
    stretch = min(round(STRETCH_S * fs_hz), num_samples)
    highest_of = energy[:, : num_samples // stretch * stretch].unflatten(1, (-1, stretch)).amax(2)
    # Stretches that hold nothing come last.
    num_stretches = -(-is_in.sum(1, keepdim=True) // stretch)
    middle = (num_stretches // 2).clamp(max=highest_of.shape[1] - 1)
    threshold = THRESHOLD * highest_of.sort(1, descending=True).values.gather(1, middle)
    is_peak = is_in & (energy >= highest) & (energy > threshold)
    samples = torch.arange(num_samples, device=signal.device)
    earliest, peaks = torch.where(is_peak, num_samples - samples, 0).topk(max_beats, 1)
    return torch.where(earliest > 0, peaks, 0), earliest > 0


def beat_sequence(signal: torch.Tensor, is_in: torch.Tensor, fs_hz: float) -> tuple[torch.Tensor, ...]:
    """`ecgjax.models.rhythm_reader.beat_sequence` of a batch."""
    window = BeatWindow(fs_hz, rhythm_reader.BEFORE_S, rhythm_reader.AFTER_S, 0)
    shortest = rhythm_reader.SHORTEST_RR_S
    max_beats = max(round(rhythm_reader.FASTEST_BEATS_PER_S * signal.shape[1] / fs_hz), 1)
    peaks, found = find_beats(signal, is_in, fs_hz, max_beats)
    start = (peaks - window.num_before).clamp(0, signal.shape[1] - window.num_samples)
    beats = signal.unfold(1, window.num_samples, 1)[torch.arange(len(signal), device=signal.device)[:, None], start]
    has_next = F.pad(found[:, 1:], (0, 1))
    rr_s = F.pad(peaks.diff(dim=1), (0, 1)) / fs_hz * has_next
    mean_rr_s = (rr_s.sum(1, keepdim=True) / has_next.sum(1, keepdim=True).clamp(min=1)).clamp(min=shortest)
    after = (rr_s.clamp(min=shortest) / mean_rr_s).log() * has_next
    before, has_previous = F.pad(after[:, :-1], (1, 0)), F.pad(has_next[:, :-1], (1, 0))
    change = after - before
    mean = mean_rr_s.log().expand_as(after)
    intervals = [after, before, change, after.abs(), change.abs(), has_next.float(), has_previous.float(), mean]
    is_beat = found[..., None].float()
    return beats, torch.stack(intervals, 2) * is_beat, is_beat


class RhythmPeer(Peer):
    """Recordings of a split."""

    def __init__(self, config: ConfigDict, train: Split):
        super().__init__()
        self.options, task, self.gain = config.rhythm, tasks.build(config), train.gain
        targets = task.targets(train)
        self.crop_samples = round(config.data.crop_s * train.fs_hz)
        self.register_buffer("ecg", torch.from_numpy(train.ecg[..., 0]), persistent=False)
        self.register_buffer("num_samples", torch.from_numpy(train.labels["num_samples"]).long(), persistent=False)
        self.register_buffer("classes", torch.from_numpy(targets["classes"]).long(), persistent=False)
        self.register_buffer("loss_weight", torch.from_numpy(targets["loss_weight"]), persistent=False)
        self.register_buffer("measures", torch.from_numpy(targets["measures"]), persistent=False)
        self.register_buffer("samples", torch.arange(train.ecg.shape[1]), persistent=False)
        self.network = RhythmReader(self.measures.shape[1], task.num_outputs, config.model.rhythm_reader)

    def batch(self, index: torch.Tensor) -> Batch:
        """A random crop and `RhythmView.training_signal` of all records."""
        options, shape, device = self.options, (len(index), 1), index.device
        num_samples, samples = self.num_samples[index, None], self.samples[: self.crop_samples]
        room = (num_samples - self.crop_samples).clamp(min=0)
        offset = (torch.rand(shape, device=device) * (room + 1)).long()
        signal = self.ecg[index[:, None], offset + samples].float() / self.gain
        factor = torch.exp(options.stretch * torch.randn(shape, device=device))
        num_samples = ((num_samples - offset).clamp(max=self.crop_samples) * factor).long()
        is_in = samples < num_samples.clamp(1, self.crop_samples)
        place = (samples / factor).clamp(max=self.crop_samples - 1)
        before = place.long().clamp(max=self.crop_samples - 2)
        signal = torch.lerp(signal.gather(1, before), signal.gather(1, before + 1), place - before)
        level = options.noise * torch.randn(shape, device=device).abs() * moments(signal, is_in)[1]
        signal = torch.addcmul(signal, level, torch.randn_like(signal))
        gain = torch.exp(options.gain * torch.randn(shape, device=device))
        return self._shown(signal, is_in, index, gain)

    def _shown(self, signal: torch.Tensor, is_in: torch.Tensor, index: torch.Tensor, gain: torch.Tensor) -> Batch:
        mean, deviation = moments(signal, is_in)
        scale = gain / torch.where(deviation > 0, deviation, 1.0)
        return {
            "signal": (signal - mean) * scale * is_in,
            "is_in": is_in,
            "measures": self.measures[index],
            "classes": self.classes[index],
            "loss_weight": self.loss_weight[index],
        }

    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        options, size, num_samples = self.options, self.crop_samples, int(self.num_samples[index])
        offset = rng.integers(max(num_samples - size, 0) + 1)
        signal = self.ecg[index, offset : offset + size].numpy() / np.float32(self.gain)
        factor = np.exp(options.stretch * rng.normal())
        samples = np.arange(size)
        signal = np.interp(samples / factor, samples, signal)
        num_samples = int(np.clip(min(num_samples - offset, size) * factor, 1, size))
        recorded = signal[:num_samples]
        recorded += options.noise * abs(rng.normal()) * recorded.std() * rng.normal(size=num_samples)
        recorded -= recorded.mean()
        recorded *= np.exp(options.gain * rng.normal()) / (recorded.std() or 1.0)
        signal[num_samples:] = 0
        return {
            "signal": signal.astype(np.float32),
            "is_in": samples < num_samples,
            "measures": self.measures[index].numpy(),
            "classes": self.classes[index].numpy(),
            "loss_weight": self.loss_weight[index].numpy(),
        }

    def loss(self, batch: Batch) -> torch.Tensor:
        outputs = self.network(batch["signal"], batch["is_in"], batch["measures"])
        smoothing = self.options.label_smoothing
        each = F.cross_entropy(outputs, batch["classes"], reduction="none", label_smoothing=smoothing)
        return (each * batch["loss_weight"]).mean()


def moments(signal: torch.Tensor, is_in: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of `[batch, time]` where `is_in`, `[batch, 1]` each."""
    count = is_in.sum(1, keepdim=True).clamp(min=1)
    mean = (signal * is_in).sum(1, keepdim=True) / count
    return mean, (((signal - mean) * is_in).square().sum(1, keepdim=True) / count).sqrt()


def build(config: ConfigDict, train: Split) -> RhythmPeer:
    """The peer of the network that `config` names.

    Raises:
      InputError: it is not the default, or recordings are shown in another way.
    """
    options = config.rhythm
    changes = (options.wander, options.flip, options.mask_s)
    if config.model.name != "rhythm_reader" or options.scaling != "zscore" or not options.measures or any(changes):
        raise InputError(
            f"there is no peer for model.name={config.model.name} with such recordings",
            "use configs/rhythm.py as it is",
        )
    return RhythmPeer(config, train)


def check(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both show recordings alike, where nothing is left to chance, and both networks
    agree, with the statistics of the batch as with running ones."""
    index, still, task = np.arange(min(CHECKED, len(train))), ConfigDict(config.to_dict()), tasks.build(config)
    still.data.crop_s = train.ecg.shape[1] / train.fs_hz
    still.rhythm.update(dict.fromkeys(("noise", "gain", "stretch"), 0.0))
    still.model.rhythm_reader.update(dropout_rate=0.0, head_dropout_rate=0.0)
    few = train.select(index)
    peer, rng = build(still, few), np.random.default_rng(config.seed)
    record = {
        "signal_mv": few.ecg / np.float32(few.gain),
        "num_samples": few.labels["num_samples"].astype(np.int32),
        **task.targets(few),
    }
    shown = np.array(jax.jit(jax.vmap(lambda one: task.evaluation_view(one, jnp.int32(0))["signal_mv"]))(record))
    batch, single = peer.batch(torch.from_numpy(index)), [peer.one(int(i), rng) for i in index]
    for signal, is_in in (
        (batch["signal"].numpy(), batch["is_in"].numpy()),
        tuple(np.stack([one[name] for one in single]) for name in ("signal", "is_in")),
    ):
        np.testing.assert_allclose(signal, shown[..., 0], atol=1e-4)
        np.testing.assert_array_equal(is_in, shown[..., 1])
    module = models.build(still.model, task.num_outputs, jnp.dtype("float32"), None)
    variables = jax.jit(lambda key: module.init(key, shown[:1], is_training=False))(jax.random.key(config.seed))

    @functools.partial(jax.jit, static_argnums=0)
    def ours(is_training: bool) -> jax.Array:
        return module.apply(variables, shown, is_training, mutable=["batch_stats"])[0]

    peer.network.load_flax(variables)
    # Samples that differ by rounding alone might make other beats.
    same = torch.from_numpy(shown[..., 0].copy()), batch["is_in"], batch["measures"]
    for is_training in (False, True):
        with torch.no_grad():
            outputs = peer.network.train(is_training)(*same).numpy()
        np.testing.assert_allclose(outputs, np.asarray(ours(is_training)), atol=1e-3)
