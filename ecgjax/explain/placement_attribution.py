"""Which leads and which parts of the beat decided between two placements.

The networks score a record as each placement would have it put right. Attributed is therefore the difference of two
scores of one function, along the straight way from the record as the rival would have it to the record as the best
placement has it (integrated gradients; Sundararajan et al. 2017, arXiv:1703.01365). What both have alike decides
nothing. Where a placement cannot be undone, as a limb potential was never recorded, it is the gradient of the
difference times the record instead.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.beats import BeatWindow, average_beat, find_beats
from ecgjax.explain import waves
from ecgjax.leads import LEADS
from ecgjax.placements.evidence import Evidence, LogLikelihood
from ecgjax.placements.hypotheses import CORRECT, NUM_HYPOTHESES, is_undoable, matrices, undo_matrices
from ecgjax.placements.prior import likely_hypotheses
from ecgjax.placements.repair import Repair

NUM_NODES = 6
"""Of the Gauss-Legendre rule on the way: with it the parts add up to the difference to a per cent or so."""

BEFORE_S, AFTER_S, _MAX_BEATS = 0.40, 0.56, 24
"""Of the beats, around the R peak."""

_NAMED_SHARE = 0.12
"""Share from which a lead is named among those that decided."""


@dataclasses.dataclass(frozen=True)
class PlacementAttribution:
    """What decided between two placements; leads are the true ones, in standard order.

    Attributes:
      best, rival: the hypotheses.
      contributions: [time, lead] parts of the difference of their log-likelihoods, positive for the best.
      fs_hz: rate of the contributions.
      start_s: where they begin in the record.
      written_beat_mv: [beat time, lead] average beat of the record as it came, preprocessed.
      beat: [beat time, lead] contributions summed over the beats.
      wave: [beat time] index into `waves.WAVES`.
    """

    best: int
    rival: int
    contributions: np.ndarray
    fs_hz: float
    start_s: float
    written_beat_mv: np.ndarray
    beat: np.ndarray
    wave: np.ndarray

    def lead_shares(self) -> dict[str, float]:
        """Share of each lead in all that decided, the largest first."""
        of_lead = np.abs(self.beat).sum(axis=0)
        total = of_lead.sum() or 1.0
        return {LEADS[k]: float(of_lead[k] / total) for k in np.argsort(-of_lead, kind="stable")}

    def wave_shares(self) -> dict[str, float]:
        """Share of each part of the beat."""
        of_wave = np.bincount(self.wave, np.abs(self.beat).sum(axis=1), len(waves.WAVES))
        total = of_wave.sum() or 1.0
        return {name: float(share) for name, share in zip(waves.WAVES, of_wave / total, strict=True)}

    def sentence(self) -> str:
        """The leads and the part of the beat that decided most, for a person."""
        shares = self.lead_shares()
        most = [name for name, share in shares.items() if share >= _NAMED_SHARE][:4] or list(shares)[:2]
        named = [f"{name} ({100 * shares[name]:.0f} %)" for name in most]
        of_wave = self.wave_shares()
        wave = max(of_wave, key=lambda name: of_wave[name])
        part = "what lies outside of P, QRS and T" if wave == "rest" else f"the {wave} part of the beat"
        listed = " and ".join(part for part in (", ".join(named[:-1]), named[-1]) if part)
        return f"mostly lead{'s' * (len(named) > 1)} {listed}, and {part} ({100 * of_wave[wave]:.0f} %)"


def attribute(signal_mv: np.ndarray, fs_hz: float, found: Repair, evidence: Evidence) -> PlacementAttribution | None:
    """What decided for the best placement of `[time, 12]` against correct, or for correct against the next best.

    Where the verdict cannot be told, it is what speaks for the likeliest against the next. None where the record was
    not judged.
    """
    if found.hypothesis is None or not found.alternatives:
        return None
    best, next_best = found.hypothesis, found.alternatives[0][0]
    rival = next_best if best == CORRECT or found.undoing is None else CORRECT
    if found.undoing is not None and is_undoable()[best]:
        # Leads that were upside down were turned before the networks saw them.
        signal_mv = found.signal @ matrices()[best].T
    prepared = evidence.prepare(signal_mv, fs_hz)
    contributions = _contributions(prepared, best, rival, evidence)
    rate = evidence.preprocess.fs_hz
    length = round(len(signal_mv) / fs_hz * rate)
    window = BeatWindow(rate, BEFORE_S, AFTER_S, _MAX_BEATS)
    peaks, is_beat, beat_mv = (np.asarray(x) for x in _beats(prepared, window))
    return PlacementAttribution(
        best=best,
        rival=rival,
        contributions=contributions[:length],
        fs_hz=rate,
        start_s=max(0, (length - len(prepared)) // 2) / rate,
        written_beat_mv=beat_mv,
        beat=_on_beat(contributions, peaks[is_beat], window),
        wave=waves.wave_of_sample(beat_mv[None], window)[0],
    )


def _contributions(prepared: np.ndarray, best: int, rival: int, evidence: Evidence) -> np.ndarray:
    """`[time, lead]` parts of the difference of the log-likelihoods of `best` and `rival`."""
    # The likely hypotheses cost a part of all, and the first of either is the correct one.
    *_, score = (evidence.log_likelihood, *evidence.of_likely)
    hypotheses = likely_hypotheses() if evidence.of_likely else np.arange(NUM_HYPOTHESES)
    if is_undoable()[[best, rival]].all():
        end, start = (prepared @ undo_matrices()[hypothesis].T for hypothesis in (best, rival))
        nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)
        gradients = [_gradient(score, start + (node + 1) / 2 * (end - start), {CORRECT: 1}) for node in nodes]
        return np.tensordot(weights.astype(np.float32) / 2, np.stack(gradients), axes=1) * (end - start)
    places = {int(hypothesis): k for k, hypothesis in enumerate(hypotheses)}
    if {best, rival} <= places.keys():
        return _gradient(score, prepared, {places[best]: 1, places[rival]: -1}) * prepared
    return _gradient(evidence.log_likelihood, prepared, {best: 1, rival: -1}) * prepared


def _gradient(score: LogLikelihood, signal_mv: np.ndarray, weights: dict[int, int]) -> np.ndarray:
    """`[time, lead]`, of the log-likelihoods at these places, weighed."""

    def weighed(signal_mv: jax.Array) -> jax.Array:
        found = score(signal_mv[None])[0]
        return sum((weight * found[place] for place, weight in weights.items()), jnp.zeros(()))

    return np.asarray(jax.grad(weighed)(jnp.asarray(signal_mv, jnp.float32)))


@functools.partial(jax.jit, static_argnums=1)
def _beats(signal_mv: jax.Array, window: BeatWindow) -> tuple[jax.Array, jax.Array, jax.Array]:
    """R peaks, which of them are beats, and the average beat of `[time, lead]`."""
    return *find_beats(signal_mv, window), average_beat(signal_mv, window)[0]


def _on_beat(contributions: np.ndarray, peaks: np.ndarray, window: BeatWindow) -> np.ndarray:
    """`[time, lead]` summed around the beats, which leaves out what lies between them."""
    padded = np.pad(contributions, ((window.num_samples, window.num_samples), (0, 0)))
    starts = peaks - window.num_before + window.num_samples
    return padded[starts[:, None] + np.arange(window.num_samples)].sum(axis=0)
