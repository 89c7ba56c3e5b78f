"""Lead identification in PyTorch: the views, network and loss of `configs/lead_id.py`."""

import numpy as np
import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn

from ecgjax import leads
from ecgjax.beats import BeatWindow
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.models.arrangement_net import Orders
from scripts.peers import agreement, record_views
from scripts.peers.batch_views import AverageBeat, Body, Records, constant, stretch_time
from scripts.peers.trainer import Batch, Peer

_SMALLEST, _ROUNDING = 1e-20, 1e-4


class Blocks(nn.Module):
    """Residual blocks and a last normalisation."""

    def __init__(self, hidden: int, num_blocks: int, dropout_rate: float):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, eps=1e-6) for _ in range(num_blocks))
        self.blocks = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(num_blocks))
        self.last_norm = nn.LayerNorm(hidden, eps=1e-6)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, block in zip(self.norms, self.blocks, strict=True):
            x = x + block(self.dropout(F.gelu(norm(x), approximate="tanh")))
        return F.gelu(self.last_norm(x), approximate="tanh")


class ArrangementNet(nn.Module):
    """`ecgjax.models.arrangement_net.ArrangementNet` of all twelve leads."""

    def __init__(self, num_samples: int, options: ConfigDict):
        super().__init__()
        self.patch, self.fine_gain = options.patch, options.fine_gain
        hidden, num_names = options.hidden, len(leads.LEADS)
        self.first_chest = leads.LEADS.index(leads.PRECORDIAL_LEADS[0])
        self.size = num_names - self.first_chest
        self.piece = nn.Linear(2 * options.patch, options.features)
        self.piece_norm = nn.LayerNorm(options.features, eps=1e-6)
        self.join = nn.Linear(num_samples // options.patch * options.features, hidden)
        self.algebra = nn.Linear(3 * len(leads.IDENTITIES), hidden)
        self.others = nn.Linear(hidden, hidden)
        self.lead = Blocks(hidden, options.num_blocks, options.dropout_rate)
        self.unary = nn.Linear(hidden, num_names)
        self.pair_first, self.pair_second = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.pair = Blocks(hidden, options.num_pair_blocks, options.dropout_rate)
        self.pair_score = nn.Linear(hidden, self.size * (self.size - 1) // 2)
        orders = Orders(self.size)
        self.register_buffer("of_lead", constant(orders.of_lead), persistent=False)
        self.register_buffer("of_pair", constant(orders.of_pair), persistent=False)
        self.register_buffer("weights", constant([[*identity.values()] for identity in leads.IDENTITIES]), False)
        differ = ~np.eye(num_names, dtype=bool)
        distinct = differ[:, :, None] & differ[:, None] & differ
        self.register_buffer("distinct", torch.tensor(distinct), persistent=False)

    def load_flax(self, variables: dict) -> None:
        """Takes over the weights of the flax network."""
        names = {"lead_norm": "lead.last_norm", "pair_norm": "pair.last_norm", "pair": "pair_score"}
        state: dict[str, torch.Tensor] = {}
        for theirs, weights in variables["params"].items():
            part, _, kind = theirs.partition("_")
            name = names.get(theirs, theirs)
            if kind.startswith(("norm_", "block_")):
                name = f"{part}.{kind.replace('_', 's.')}"
            weight = weights["kernel"].T if "kernel" in weights else weights["scale"]
            state |= {f"{name}.weight": constant(weight), f"{name}.bias": constant(weights["bias"])}
        self.load_state_dict(state)

    def forward(self, beat: torch.Tensor) -> torch.Tensor:
        """`[batch, time, lead]` -> `[batch, lead, name]`."""
        is_present = (beat != 0).any(1)
        num_present = is_present.sum(1).clamp(min=1)
        power = beat.square().mean(1).sum(1) / num_present
        beat = beat / (power + 1e-6).sqrt()[:, None, None]

        lead = self._embed(beat) + self.algebra(self._residuals(beat))
        shown = is_present[..., None].to(lead.dtype)
        others = (shown * F.gelu(lead, approximate="tanh")).sum(1) / num_present[:, None]
        lead = self.lead(lead + self.others(others)[:, None])
        unary = (shown * self.unary(lead)).float()
        logits = unary.log_softmax(2)

        any_chest = logits[..., self.first_chest :].logsumexp(2)
        odds = any_chest - logits[..., : self.first_chest].logsumexp(2)
        chosen = (odds * is_present).argsort(dim=1, descending=True, stable=True)[:, : self.size, None]
        of_name = unary[..., self.first_chest :].gather(1, chosen.expand(-1, -1, self.size))
        energy = of_name.flatten(1) @ self.of_lead
        is_shown = shown.gather(1, chosen)
        pairs = self._pairs(lead.gather(1, chosen.expand(-1, -1, lead.shape[2])))
        energy = energy + (pairs * (is_shown * is_shown.mT)[..., None]).flatten(1) @ self.of_pair

        marginal = (energy.softmax(1) @ self.of_lead.T).unflatten(1, (self.size, self.size))
        arranged = marginal.clamp(min=_SMALLEST).log() + any_chest.gather(1, chosen[..., 0])[..., None]
        chest = logits[..., self.first_chest :].scatter(1, chosen.expand(-1, -1, self.size), arranged)
        return torch.cat([logits[..., : self.first_chest], chest], 2)

    def _embed(self, beat: torch.Tensor) -> torch.Tensor:
        """`[batch, time, lead]` -> `[batch, lead, hidden]`."""
        each = beat.mT.unflatten(2, (-1, self.patch))
        views = torch.stack([each, F.softsign(self.fine_gain * each)], -1).flatten(3)
        return self.join(F.gelu(self.piece_norm(self.piece(views)), approximate="tanh").flatten(2))

    @torch.no_grad()
    def _residuals(self, beat: torch.Tensor) -> torch.Tensor:
        """`ecgjax.models.arrangement_net.identity_residuals`, all identities at once."""
        gram = beat.mT @ beat
        power = gram.diagonal(dim1=1, dim2=2)
        x, y, z = power[:, :, None, None], power[:, None, :, None], power[:, None, None, :]
        xy, xz, yz = gram[:, :, :, None], gram[:, :, None, :], gram[:, None, :, :]
        is_present = self.distinct & (x > 0) & (y > 0) & (z > 0)
        a, b, c = self.weights[:, :, None, None, None, None].unbind(1)
        separate = a * a * x + b * b * y + c * c * z
        together = separate + 2 * (a * b * xy + a * c * xz + b * c * yz)
        share = torch.where(is_present, together / separate.clamp(min=_SMALLEST), 1.0)
        roles = torch.stack([share.amin(axes) for axes in ((3, 4), (2, 4), (2, 3))], 1)
        return (roles.permute(2, 3, 0, 1).flatten(2).clamp(min=0) + _ROUNDING).log() / -np.log(_ROUNDING)

    def _pairs(self, chosen: torch.Tensor) -> torch.Tensor:
        """`[batch, place, hidden]` -> `[batch, place, place, name pair]`."""
        x = self.pair_first(chosen)[:, :, None] + self.pair_second(chosen)[:, None]
        return self.pair_score(self.pair(x)).float()


class LeadIdPeer(Peer):
    """Average beats whose leads come in random order."""

    def __init__(self, config: ConfigDict, train: Split):
        super().__init__()
        self.options, self.window = config.lead_id, BeatWindow(config.preprocess.fs_hz, **config.beat.to_dict())
        self.network = ArrangementNet(self.window.num_samples, config.model.arrangement_net)
        self.records = Records(train.ecg, train.gain, round(config.data.crop_s * train.fs_hz))
        self.average_beat = AverageBeat(self.window, metric=None)
        self.body = Body(self.options)

    def batch(self, index: torch.Tensor) -> Batch:
        beat, _ = self.average_beat(self.records.crops(index))
        batch, num_samples, num_leads = beat.shape
        beat = stretch_time(beat, self.window.num_before, self.options.stretch)
        beat = (beat + self.body.noise(batch, num_samples)) @ self.body.matrices(batch).mT
        level_mv = self.options.lead_noise_mv * 10 ** (-2 * torch.rand(batch, 1, 1, device=beat.device))
        beat = beat + level_mv * torch.randn_like(beat)
        names = torch.rand(batch, num_leads, device=beat.device).argsort(1)
        return {"signal_mv": beat.gather(2, names[:, None].expand_as(beat)), "names": names}

    def one(self, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        options, records = self.options, self.records
        signal_mv = record_views.random_crop(records.ecg[index].numpy(), records.gain, records.num_samples, rng)
        beat, _ = record_views.average_beat(signal_mv, self.window, metric=None)
        beat = record_views.stretch_time(beat, self.window.num_before, options.stretch, rng)
        beat = beat + record_views.electrode_noise(len(beat), options.noise_mv, rng)
        beat = beat @ record_views.vary_body(options, rng).T
        level_mv = options.lead_noise_mv * 10 ** (-2 * rng.random())
        beat = beat + np.float32(level_mv) * rng.standard_normal(beat.shape, np.float32)
        names = rng.permutation(beat.shape[1])
        return {"signal_mv": beat[:, names].astype(np.float32), "names": names}

    def loss(self, batch: Batch) -> torch.Tensor:
        return F.cross_entropy(self.network(batch["signal_mv"]).flatten(0, 1), batch["names"].long().flatten())


def build(config: ConfigDict, train: Split) -> LeadIdPeer:
    """The peer of the task's default options, whose sizes and levels may be others."""
    options = config.lead_id
    plain = (config.model.name, options.leads, options.view, options.min_leads, config.preprocess.normalise)
    if plain != ("arrangement_net", "all", "beat", 0, "none"):
        raise InputError(f"there is no peer for the options {plain}", "use those of configs/lead_id.py")
    return LeadIdPeer(config, train)


def in_order(shown: agreement.Shown) -> np.ndarray:
    """Views `[batch, time, name]` with the leads put back in order."""
    return np.take_along_axis(shown["signal_mv"], np.argsort(shown["names"], axis=1)[:, None], axis=2)


def check(config: ConfigDict, train: Split) -> None:
    """Raises AssertionError unless both frameworks do the same."""
    names = ("rotation_rad", "elongation", "displacement", "noise_mv", "lead_noise_mv", "stretch")
    quiet = {f"lead_id.{name}": 0.0 for name in names} | {"lead_id.gain": agreement.HARDLY}
    agreement.check(build, config, train, quiet, in_order)
