"""The published network for naming leads in PyTorch, from its own layers: the peer of `ecgjax.models.lead_set_net`."""

import flax.traverse_util
import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax.data.split import Split
from ecgjax.errors import InputError
from scripts.peers import agreement, record_views
from scripts.peers.batch_views import Records
from scripts.peers.lead_id import in_order
from scripts.peers.trainer import Batch, Peer


class Inception(nn.Module):
    """`ecgjax.models.lead_encoders.Inception` over `[sequence, channel, time]`."""

    def __init__(self, channels: int, bottleneck: int):
        super().__init__()
        self.direct = nn.Conv1d(channels, 32, 1)
        self.short_narrow = nn.Conv1d(channels, bottleneck, 1)
        self.short = nn.Conv1d(bottleneck, 32, 5, padding=2)
        self.long_narrow = nn.Conv1d(channels, bottleneck, 1)
        self.long = nn.Conv1d(bottleneck, 32, 11, padding=5)
        self.pooled = nn.Conv1d(channels, 32, 1)
        self.short_narrow_norm, self.long_narrow_norm = nn.BatchNorm1d(bottleneck), nn.BatchNorm1d(bottleneck)
        self.norm = nn.BatchNorm1d(128)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = self.short(F.relu(self.short_narrow_norm(self.short_narrow(x))))
        long = self.long(F.relu(self.long_narrow_norm(self.long_narrow(x))))
        pooled = self.pooled(F.max_pool1d(x, 3, stride=1, padding=1))
        return F.relu(self.norm(torch.cat([self.direct(x), short, long, pooled], 1)))


class LeadSetNet(nn.Module):
    """Encoder inception_gru and context sab; `num_outputs` names of leads."""

    def __init__(self, num_outputs: int, features: int, num_blocks: int, num_heads: int):
        super().__init__()
        self.inceptions = nn.ModuleList([Inception(1, 1), Inception(128, 64)])
        self.gru = nn.GRU(128, 128, num_layers=2, batch_first=True)
        self.attend_hidden = nn.Linear(128, 128, bias=False)
        self.attend_score = nn.Linear(128, 1, bias=False)
        self.out = nn.Linear(128, features)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(features, num_heads, 4 * features, 0.0, "gelu", batch_first=True)
            for _ in range(num_blocks)
        )
        self.head = nn.Sequential(
            nn.Linear(features, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, num_outputs)
        )

    def forward(self, signal_mv: torch.Tensor) -> torch.Tensor:
        """`[batch, time, lead]` -> `[batch, lead, name]`."""
        batch, time, num_leads = signal_mv.shape
        x = signal_mv.transpose(1, 2).reshape(batch * num_leads, 1, time)
        for inception in self.inceptions:
            x = F.max_pool1d(inception(x), 2)
        states, _ = self.gru(x.transpose(1, 2))
        weight = self.attend_score(torch.tanh(self.attend_hidden(states))).softmax(1)
        x = F.relu(self.out((weight * states).sum(1))).unflatten(0, (batch, num_leads))
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def load_flax(self, variables: dict) -> None:
        """Takes over weights and running statistics of the flax network."""
        theirs = _Flax(variables)
        state = theirs.layer("out", "encoder/out")
        state |= theirs.layer("attend_hidden", "encoder/pool/hidden")
        state |= theirs.layer("attend_score", "encoder/pool/score")
        for i in range(len(self.inceptions)):
            state |= theirs.inception(f"inceptions.{i}", f"encoder/inception_{i}")
            state |= theirs.gru_layer(i)
        for i in range(len(self.blocks)):
            state |= theirs.block(f"blocks.{i}", f"context/block_{i}")
        for ours, name in (("0", "head_0"), ("2", "head_1"), ("4", "head")):
            state |= theirs.layer(f"head.{ours}", name)
        self.load_state_dict({**self.state_dict(), **state})


def of_options(options: ConfigDict, num_outputs: int) -> LeadSetNet:
    """The network of `model.lead_set_net`, which has to be the one that was published."""
    if (options.encoder, options.context, options.dropout_rate) != ("inception_gru", "sab", 0.0):
        raise InputError(
            f"there is no peer for encoder {options.encoder}, context {options.context}, "
            f"dropout_rate {options.dropout_rate}",
            "use inception_gru, sab and 0",
        )
    return LeadSetNet(num_outputs, options.features, options.num_blocks, options.num_heads)


class LeadIdPeer(Peer):
    """Whole records with noise; the network is indifferent to the order of their leads."""

    def __init__(self, config: ConfigDict, train: Split):
        super().__init__()
        self.lead_noise_mv = config.lead_id.lead_noise_mv
        self.network = of_options(config.model.lead_set_net, train.ecg.shape[2])
        self.records = Records(train.ecg, train.gain, round(config.data.crop_s * train.fs_hz))

    def batch(self, index: torch.Tensor) -> Batch:
        signal_mv = self.records.crops(index)
        level_mv = self.lead_noise_mv * 10 ** (-2 * torch.rand(len(signal_mv), 1, 1, device=signal_mv.device))
        names = torch.arange(signal_mv.shape[2], device=signal_mv.device).expand(len(signal_mv), -1)
        return {"signal_mv": signal_mv + level_mv * torch.randn_like(signal_mv), "names": names}

    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        records = self.records
        signal_mv = record_views.random_crop(records.ecg[index].numpy(), records.gain, records.num_samples, rng)
        level_mv = np.float32(self.lead_noise_mv * 10 ** (-2 * rng.random()))
        noise_mv = level_mv * rng.standard_normal(signal_mv.shape, np.float32)
        return {"signal_mv": signal_mv + noise_mv, "names": np.arange(signal_mv.shape[1])}

    def loss(self, batch: Batch) -> torch.Tensor:
        return F.cross_entropy(self.network(batch["signal_mv"]).flatten(0, 1), batch["names"].flatten().long())


def build(config: ConfigDict, train: Split) -> LeadIdPeer:
    """The peer of `configs/lead_id.py:model=original`."""
    options = config.lead_id
    changes = (options.rotation_rad, options.elongation, options.displacement, options.gain, options.noise_mv)
    plain = (config.model.name, options.leads, options.view, options.min_leads, config.preprocess.normalise)
    if plain != ("lead_set_net", "all", "signal", 0, "none") or any(changes):
        raise InputError(f"there is no peer for the options {plain}", "use those of configs/lead_id.py:model=original")
    return LeadIdPeer(config, train)


def check(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both frameworks do the same."""
    agreement.check(build, config, train, {"lead_id.lead_noise_mv": 0.0}, in_order)


class _Flax:
    """Weights of the flax network, as entries of the state of the one above."""

    def __init__(self, variables: dict):
        flat = flax.traverse_util.flatten_dict(variables, sep="/")
        self._values = {name: torch.from_numpy(np.array(array)) for name, array in flat.items()}

    def layer(self, ours: str, path: str) -> dict[str, torch.Tensor]:
        """Of a dense layer, a convolution or a normalisation."""
        names = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
        state = {}
        for group in ("params", "batch_stats"):
            for leaf, name in names.items():
                value = self._values.get(f"{group}/{path}/{leaf}")
                if value is not None:
                    state[f"{ours}.{name}"] = value.permute(*range(value.ndim)[::-1])
        return state

    def inception(self, ours: str, path: str) -> dict[str, torch.Tensor]:
        state = self.layer(f"{ours}.norm", f"{path}/norm")
        for name in ("direct", "short", "long", "pooled"):
            state |= self.layer(f"{ours}.{name}", f"{path}/{name}")
        for name in ("narrow", "narrow_norm"):
            # One layer in flax whose outputs are those of both branches.
            for field, value in self.layer(name, f"{path}/{name}").items():
                short, long = value.chunk(2)
                state |= {f"{ours}.short_{field}": short, f"{ours}.long_{field}": long}
        # Flax has no axis for the one sample that some convolutions span.
        return {name: value if value.ndim in (1, 3) else value[..., None] for name, value in state.items()}

    def gru_layer(self, i: int) -> dict[str, torch.Tensor]:
        path = f"params/encoder/gru_{i}"
        state = {}
        for name, source in (("ih", "input"), ("hh", "recurrent")):
            state[f"gru.weight_{name}_l{i}"] = self._values[f"{path}/{source}_kernel"].mT
            state[f"gru.bias_{name}_l{i}"] = self._values[f"{path}/{source}_bias"]
        return state

    def block(self, ours: str, path: str) -> dict[str, torch.Tensor]:
        pairs = {"linear1": "widen", "linear2": "narrow", "norm1": "attention_norm", "norm2": "norm"}
        state = self.layer(f"{ours}.self_attn.out_proj", f"{path}/attention/out")
        for name, theirs in pairs.items():
            state |= self.layer(f"{ours}.{name}", f"{path}/{theirs}")
        projections = [self.layer("", f"{path}/attention/{name}") for name in ("query", "key", "value")]
        for field in ("weight", "bias"):
            state[f"{ours}.self_attn.in_proj_{field}"] = torch.cat([p[f".{field}"] for p in projections])
        return state
