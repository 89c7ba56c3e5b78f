"""What a network has to beat at finding electrode reversals: a cardiographer's rule, a support vector machine, a forest.

All of them look at the average beat. Beats are found by the squared slope of the nine electrode potentials about their
mean, which no exchange of electrodes changes, and averaging is linear: so the average beat of a reversed record is that
of the right one times the reversal's matrix. Only where a cable reads the neutral electrode are beats sought anew. That
electrode is taken to carry exactly the potential of the left leg.
"""

import dataclasses

import numpy as np
import scipy.ndimage
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ecgjax import leads
from ecgjax.data.records import Split

_NUM_CLASSES = len(leads.PLACEMENTS)
_MATRICES = np.stack([placement.matrix for placement in leads.PLACEMENTS])
_NAMES = [placement.name for placement in leads.PLACEMENTS]
_LIMB = [0] + [_NAMES.index(p.name) for p in (*leads.LIMB_SWAPS, *leads.LIMB_CYCLES)]
_CHEST = [0] + [_NAMES.index(p.name) for p in (*leads.PRECORDIAL_SWAPS, leads.PRECORDIAL_REVERSED)]
_NEUTRAL = [_NAMES.index(p.name) for p in leads.NEUTRAL_SWAPS]
_NEUTRAL_FLAT = ("II", "III", "I")
"""The limb lead that each of `leads.NEUTRAL_SWAPS` leaves flat."""

_INDEPENDENT = [leads.LEADS.index(name) for name in leads.INDEPENDENT_LEADS]
_V1 = leads.LEADS.index("V1")

BEAT_HZ = 100.0
BEAT_FROM_S, BEAT_TO_S = -0.26, 0.40
_BEAT_S = BEAT_FROM_S + np.arange(round((BEAT_TO_S - BEAT_FROM_S) * BEAT_HZ)) / BEAT_HZ
_REFRACTORY_S = 0.25
_CHUNK = 256
_MOST_EXAMPLES = 6000
_MOST_DRAWS = 4


def _window(from_s: float, to_s: float) -> np.ndarray:
    return (_BEAT_S >= from_s) & (_BEAT_S <= to_s)


_P, _PR, _QRS = _window(-0.24, -0.08), _window(-0.08, -0.05), _window(-0.06, 0.08)


def find_beats(signal_mv: np.ndarray, fs_hz: float) -> list[np.ndarray]:
    """Sample indices of the QRS complexes of each record of `[record, time, 12]`.

    The same for every arrangement of the nine signal electrodes.
    """
    potentials = np.diff(signal_mv, axis=1) @ leads.ELECTRODES_FROM_LEADS.T
    energy = potentials.var(axis=-1)
    energy = scipy.ndimage.uniform_filter1d(energy, max(1, round(0.1 * fs_hz)), axis=1)
    highest = scipy.ndimage.maximum_filter1d(energy, 2 * round(_REFRACTORY_S * fs_hz) + 1, axis=1)
    enough = 0.25 * np.quantile(highest, 0.5, axis=1, keepdims=True)
    is_beat = (energy == highest) & (energy > enough)
    return [np.flatnonzero(row) for row in is_beat]


def average_beats(signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
    """The average beat of each record of `[record, time, 12]`: `[record, len(_BEAT_S), 12]`, zero at the PR segment.

    Beats unlike the others are left out, again by a measure that electrode exchanges do not change. A record without a
    whole beat is all zero.
    """
    offsets = np.round(_BEAT_S * fs_hz).astype(int)
    # Beats are sampled below the record's rate: average over what lies between two samples.
    smooth = scipy.ndimage.uniform_filter1d(signal_mv, max(1, round(fs_hz / BEAT_HZ)), axis=1)
    averages = np.zeros((len(signal_mv), len(offsets), signal_mv.shape[2]))
    for average, record, peaks in zip(averages, smooth, find_beats(signal_mv, fs_hz), strict=True):
        whole = peaks[(peaks + offsets[0] >= 0) & (peaks + offsets[-1] < len(record))]
        if not whole.size:
            continue
        beats = record[whole[:, None] + offsets]
        beats -= beats[:, _PR].mean(axis=1, keepdims=True)
        potentials = beats @ leads.ELECTRODES_FROM_LEADS.T
        potentials -= potentials.mean(axis=2, keepdims=True)
        distance = np.square(potentials - np.median(potentials.mean(axis=0), axis=0)).sum(axis=(1, 2))
        distance = np.square(potentials - potentials.mean(axis=0)).sum(axis=(1, 2))
        average[:] = beats[distance <= 2 * np.median(distance)].mean(axis=0)
    return averages


def _beats_by_class(split: Split) -> np.ndarray:
    """The average beat of every record under every placement, `[record, class, beat time, 12]` float32 in mV."""
    by_class = np.empty((len(split.ecg), _NUM_CLASSES, len(_BEAT_S), len(leads.LEADS)), np.float32)
    for start in range(0, len(split.ecg), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        signal_mv = split.ecg[chunk] / split.gain
        right = average_beats(signal_mv, split.fs_hz)
        by_class[chunk] = np.einsum("rtl,kml->rktm", right, _MATRICES, optimize=True)
        for k in _NEUTRAL:
            by_class[chunk, k] = average_beats(leads.PLACEMENTS[k].apply(signal_mv), split.fs_hz)
    return by_class


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine between the last axes; 0 where one of them vanishes."""
    norms = np.sqrt(np.square(a).sum(-1) * np.square(b).sum(-1))
    return (a * b).sum(-1) / np.where(norms > 0, norms, np.inf)


def _axis_nearness(beat: np.ndarray, window: np.ndarray, normal_deg: float) -> np.ndarray:
    """Cosine of the angle between a wave's mean frontal axis and the normal one; `beat` `[..., beat time, 12]`."""
    lead_i, lead_avf = (beat[..., window, leads.LEADS.index(name)].sum(-1) for name in ("I", "aVF"))
    # aVF is measured against two electrodes, I between two: its vector is 2/sqrt(3) as long.
    frontal = np.stack([lead_i, 2 / np.sqrt(3) * lead_avf], axis=-1)
    return _cosine(frontal, np.array([np.cos(np.deg2rad(normal_deg)), np.sin(np.deg2rad(normal_deg))]))


def _limb_normality(beat: np.ndarray) -> np.ndarray:
    """How much the limb leads of `[..., beat time, 12]` look rightly placed.

    P and QRS axes near the normal ones, aVR negative with them, and lead I concordant with V6.
    """
    lead_i, lead_v6 = (beat[..., leads.LEADS.index(name)] for name in ("I", "V6"))
    concordance = _cosine(lead_i[..., _QRS], lead_v6[..., _QRS])
    return _axis_nearness(beat, _P, 50) + 0.5 * _axis_nearness(beat, _QRS, 40) + 0.5 * concordance


def _chest_normality(beat: np.ndarray) -> np.ndarray:
    """How much V1..V6 of `[..., beat time, 12]` follow on each other: small steps, and R growing from V1 on."""
    chest = beat[..., _QRS, _V1:]
    size = np.sqrt(np.square(chest).mean(axis=(-2, -1)))
    steps = np.sqrt(np.square(np.diff(chest, axis=-1)).mean(axis=-2)).sum(-1)
    net = chest.sum(axis=-2) / np.where(size > 0, size, np.inf)[..., None] / _QRS.sum()
    progression = net[..., 3:].mean(-1) - net[..., :3].mean(-1)
    return 0.3 * progression - steps / np.where(size > 0, size, np.inf)


def _rule_evidence(beat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a cardiographer measures on beats `[n, beat time, 12]`.

    Returns:
      `[n, 3]`: how flat the flattest of I, II, III is, and how much better the limb and the chest leads look with their
      likeliest exchange undone; and the class that each of the three speaks for, `[n, 3]`.
    """
    extent = np.ptp(beat[..., [leads.LEADS.index(name) for name in _NEUTRAL_FLAT]], axis=1)
    ratio = extent / np.maximum(extent.max(axis=1, keepdims=True), 1e-6)
    evidence, classes = [-np.log(ratio.min(axis=1) + 0.02)], [np.array(_NEUTRAL)[ratio.argmin(axis=1)]]
    for candidates, normality in ((_LIMB, _limb_normality), (_CHEST, _chest_normality)):
        undone = [normality(beat @ leads.PLACEMENTS[k].inverse.matrix.T.astype(np.float32)) for k in candidates]
        gain = np.stack(undone[1:], axis=1) - undone[0][:, None]
        evidence.append(gain.max(axis=1))
        classes.append(np.array(candidates[1:])[gain.argmax(axis=1)])
    return np.stack(evidence, axis=1), np.stack(classes, axis=1)


@dataclasses.dataclass(frozen=True)
class _Rule:
    """Weighs the three findings by what each was worth in training, and believes the strongest."""

    any_reversal: LogisticRegression
    finding: LogisticRegression

    @classmethod
    def fit(cls, beats: np.ndarray, placement: np.ndarray) -> "_Rule":
        evidence, _ = _rule_evidence(beats)
        group = np.select([placement == 0, np.isin(placement, _NEUTRAL), np.isin(placement, _LIMB)], [0, 1, 2], 3)
        return cls(LogisticRegression().fit(evidence, placement > 0), LogisticRegression().fit(evidence, group))

    def predict_proba(self, beats: np.ndarray) -> np.ndarray:
        evidence, classes = _rule_evidence(beats)
        any_reversal = self.any_reversal.predict_proba(evidence)[:, 1]
        share = self.finding.predict_proba(evidence)[:, 1:]
        scores = np.zeros((len(beats), _NUM_CLASSES))
        np.put_along_axis(scores, classes, share / share.sum(axis=1, keepdims=True) * any_reversal[:, None], axis=1)
        scores[:, 0] = 1 - any_reversal
        return scores


def _network_like_features(beats: np.ndarray) -> np.ndarray:
    """`[n, feature]` from beats `[n, beat time, 12]`: the eight independent leads in units of the beat's size."""
    independent = beats[..., _INDEPENDENT]
    size = np.sqrt(np.square(independent).mean(axis=(1, 2), keepdims=True))
    return (independent / np.where(size > 0, size, 1.0)).reshape(len(beats), -1)


def _draw(split: Split, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of records and their placements: half right, the other half any reversal, several a record if few."""
    draws = int(np.clip(_MOST_EXAMPLES // len(split.ecg), 1, _MOST_DRAWS))
    record = rng.permutation(np.tile(np.arange(len(split.ecg)), draws))[:_MOST_EXAMPLES]
    placement = np.where(rng.uniform(size=len(record)) < 0.5, 0, rng.integers(1, _NUM_CLASSES, size=len(record)))
    return record, placement


def fit_and_score(train: Split, test: Split, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Fits each method on `train` and scores every record of `test` under every placement.

    Returns:
      name -> predictions: `targets` and `view` `[n]`, `scores` `[n, class]` (probabilities at a prior of one half for
      `none`), `record_ids` and `patient_ids` `[n]`.
    """
    record, placement = _draw(train, np.random.default_rng(seed))
    beats = _beats_by_class(train)[record, placement]
    features, patients = _features(beats), train.patient_ids[record]
