"""What a network has to beat at finding reversals: a cardiographer's rule, a support vector machine, a random forest.

All of them look at the average beat. Beats are found by the squared slope of the nine electrode potentials about their
mean, which no exchange of electrodes changes, and averaging is linear: so the average beat of a reversed record is that
of the right one times the reversal's matrix. Only where a cable reads the neutral electrode are beats sought anew. That
electrode is taken to carry exactly the potential of the left leg.
"""

import dataclasses

import numpy as np
import scipy.ndimage
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ecgjax import leads
from ecgjax.data.split import Split
from ecgjax.errors import InputError

_NUM_CLASSES = len(leads.PLACEMENTS)
_MATRICES = np.stack([placement.matrix for placement in leads.PLACEMENTS])
_NAMES = [placement.name for placement in leads.PLACEMENTS]
_LIMB = [0] + [_NAMES.index(p.name) for p in (*leads.LIMB_SWAPS, *leads.LIMB_CYCLES)]
_CHEST = [0] + [_NAMES.index(p.name) for p in (*leads.PRECORDIAL_SWAPS, leads.PRECORDIAL_REVERSED)]
_NEUTRAL = [_NAMES.index(p.name) for p in leads.NEUTRAL_SWAPS]
_NEUTRAL_FLAT = ("II", "III", "I")
"""The limb lead that each of `leads.NEUTRAL_SWAPS` leaves flat."""

_V1 = leads.LEADS.index("V1")

_BEAT_HZ = 100.0
BEAT_S = np.arange(-26, 40) / _BEAT_HZ
"""[beat time]: where an average beat is sampled, from the middle of its QRS complex."""

_REFRACTORY_S = 0.25
_RECORDS_PER_CHUNK = 256
_BEATS_PER_CHUNK = 2048
_MOST_EXAMPLES = 6000
"""Training examples at most: a support vector machine's time grows with their square."""


def _window(from_s: float, to_s: float) -> np.ndarray:
    return (from_s <= BEAT_S) & (to_s >= BEAT_S)


_P, _PR, _QRS, _T = _window(-0.24, -0.08), _window(-0.08, -0.05), _window(-0.06, 0.08), _window(0.14, 0.38)


def find_beats(signal_mv: np.ndarray, fs_hz: float) -> list[np.ndarray]:
    """Sample indices of the QRS complexes of each record of `[record, time, 12]`.

    The same for every arrangement of the nine signal electrodes.
    """
    smooth = scipy.ndimage.uniform_filter1d(signal_mv, max(1, round(0.02 * fs_hz)), axis=1)
    energy = (np.diff(smooth, axis=1) @ leads.ELECTRODES_FROM_LEADS.T).var(axis=-1)
    energy = scipy.ndimage.uniform_filter1d(energy, max(1, round(0.1 * fs_hz)), axis=1)
    highest = scipy.ndimage.maximum_filter1d(energy, 2 * round(_REFRACTORY_S * fs_hz) + 1, axis=1)
    # Any two seconds hold a beat; the median over them is not led astray by one artefact.
    usual = np.median(scipy.ndimage.maximum_filter1d(energy, round(2 * fs_hz), axis=1), axis=1, keepdims=True)
    enough = 0.25 * usual
    is_beat = (energy == highest) & (energy > enough)
    return [np.flatnonzero(row) for row in is_beat]


def average_beats(signal_mv: np.ndarray, fs_hz: float) -> np.ndarray:
    """The average beat of each record of `[record, time, 12]`: `[record, beat time, 12]`, zero at the PR segment.

    Beats unlike the others are left out, again by a measure that electrode exchanges do not change. A record without a
    whole beat is all zero.
    """
    offsets = np.round(BEAT_S * fs_hz).astype(int)
    # Beats are sampled below the record's rate: average over what lies between two samples.
    smooth = scipy.ndimage.uniform_filter1d(signal_mv, max(1, round(fs_hz / _BEAT_HZ)), axis=1)
    averages = np.zeros((len(signal_mv), len(offsets), signal_mv.shape[2]))
    for average, record, peaks in zip(averages, smooth, find_beats(signal_mv, fs_hz), strict=True):
        whole = peaks[(peaks + offsets[0] >= 0) & (peaks + offsets[-1] < len(record))]
        if not whole.size:
            continue
        beats = record[whole[:, None] + offsets]
        beats -= beats[:, _PR].mean(axis=1, keepdims=True)
        potentials = beats @ leads.ELECTRODES_FROM_LEADS.T
        potentials -= potentials.mean(axis=2, keepdims=True)
        distance = np.square(potentials - potentials.mean(axis=0)).sum(axis=(1, 2))
        average[:] = beats[distance <= 2 * np.median(distance)].mean(axis=0)
    return averages


def _reversed_beats(split: Split, record: np.ndarray, placement: np.ndarray) -> np.ndarray:
    """`[n, beat time, 12]` float32 in mV: the average beats of records under placements, both `[n]`."""
    beats = np.empty((len(record), len(BEAT_S), len(leads.LEADS)), np.float32)

    def fill(examples: np.ndarray, applied: leads.Placement, matrices: np.ndarray) -> None:
        for first in range(0, len(split.ecg), _RECORDS_PER_CHUNK):
            here = examples[(record[examples] >= first) & (record[examples] < first + _RECORDS_PER_CHUNK)]
            needed, row = np.unique(record[here], return_inverse=True)
            if needed.size:
                average = average_beats(applied.apply(split.ecg[needed] / split.gain), split.fs_hz)
                beats[here] = average[row] @ matrices[placement[here]].transpose(0, 2, 1)

    fill(np.flatnonzero(~np.isin(placement, _NEUTRAL)), leads.CORRECT, _MATRICES)
    unchanged = np.broadcast_to(np.eye(len(leads.LEADS)), _MATRICES.shape)
    for k in _NEUTRAL:
        fill(np.flatnonzero(placement == k), leads.PLACEMENTS[k], unchanged)
    return beats


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
    return 0.6 * progression - steps / np.where(size > 0, size, np.inf)


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
    """Weighs the three findings by what each was worth in training, and names the reversal that each speaks for."""

    any_reversal: LogisticRegression
    finding: LogisticRegression

    @classmethod
    def fit(cls, beats: np.ndarray, placement: np.ndarray, weights: np.ndarray) -> "_Rule":
        evidence, _ = _rule_evidence(beats)
        kind = np.select([placement == 0, np.isin(placement, _NEUTRAL), np.isin(placement, _LIMB)], [-1, 0, 1], 2)
        is_any = placement > 0
        return cls(
            LogisticRegression().fit(evidence, is_any, sample_weight=weights),
            LogisticRegression().fit(evidence[is_any], kind[is_any], sample_weight=weights[is_any]),
        )

    def predict_proba(self, beats: np.ndarray) -> np.ndarray:
        evidence, classes = _rule_evidence(beats)
        any_reversal = self.any_reversal.predict_proba(evidence)[:, 1]
        scores = np.zeros((len(beats), _NUM_CLASSES))
        np.put_along_axis(scores, classes, self.finding.predict_proba(evidence) * any_reversal[:, None], axis=1)
        scores[:, 0] = 1 - any_reversal
        return scores


def _unit(waves: np.ndarray) -> np.ndarray:
    """`[n, beat time, lead]` with every lead of norm 1, or 0 where it is flat."""
    norm = np.sqrt(np.square(waves).sum(axis=1, keepdims=True))
    return waves / np.where(norm > 0, norm, 1)


def features(beats: np.ndarray) -> np.ndarray:
    """What the learnt baselines see of beats `[n, beat time, 12]`: `[n, feature]`, blind to the record's gain.

    Size of each lead, correlations between leads over the QRS and over the whole beat (Jekova et al., Comput. Methods
    Programs Biomed. 2016, 134:31-41), means of P, QRS and T, extremes of QRS, distances between chest leads.
    """
    pairs, chest_pairs = np.triu_indices(len(leads.LEADS), 1), np.triu_indices(len(leads.PRECORDIAL_LEADS), 1)
    size = np.sqrt(np.square(beats[..., leads.INDEPENDENT_COLUMNS]).mean(axis=(1, 2), keepdims=True))
    beats = beats / np.where(size > 0, size, 1)
    found = [np.log(np.sqrt(np.square(beats).mean(axis=1)) + 0.02)]
    for waves in (_unit(beats[:, _QRS]), _unit(beats)):
        found.append((waves.transpose(0, 2, 1) @ waves)[:, *pairs])
    found += [beats[:, window].mean(axis=1) for window in (_P, _QRS, _T)]
    found += [beats[:, _QRS].max(axis=1), beats[:, _QRS].min(axis=1)]
    chest = beats[:, _QRS, _V1:]
    apart = np.square(chest[..., :, None] - chest[..., None, :]).mean(axis=1)
    found.append(np.sqrt(apart[:, *chest_pairs]))
    return np.concatenate(found, axis=1)


def _all_views(num_records: int) -> tuple[np.ndarray, np.ndarray]:
    """Every record under every placement, `[n]` each."""
    record, placement = np.indices((num_records, _NUM_CLASSES)).reshape(2, -1)
    return record, placement


def _draw(num_records: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Records and placements to train on, `[n]` each: every record under every placement, or as many as are allowed."""
    if num_records * _NUM_CLASSES <= _MOST_EXAMPLES:
        return _all_views(num_records)
    record = np.concatenate([rng.permutation(num_records) for _ in range(-(-_MOST_EXAMPLES // num_records))])
    reversals = np.resize(np.arange(1, _NUM_CLASSES), _MOST_EXAMPLES // 2)
    placement = np.concatenate([reversals, np.zeros(_MOST_EXAMPLES - len(reversals), int)])
    return record[:_MOST_EXAMPLES], rng.permutation(placement)


def _even_prior(placement: np.ndarray) -> np.ndarray:
    """Weights `[n]` of mean 1 under which half is right and the other half shared evenly by the reversals."""
    count = np.bincount(placement, minlength=_NUM_CLASSES)
    share = np.full(_NUM_CLASSES, 0.5 / (_NUM_CLASSES - 1))
    share[0] = 0.5
    return len(placement) * share[placement] / count[placement]


@dataclasses.dataclass(frozen=True)
class _Learnt:
    """A classifier of standardised features."""

    scaler: StandardScaler
    classifier: ClassifierMixin

    @classmethod
    def fit(
        cls, classifier: ClassifierMixin, beats: np.ndarray, placement: np.ndarray, weights: np.ndarray
    ) -> "_Learnt":
        scaler = StandardScaler()
        standard = scaler.fit_transform(features(beats))
        return cls(scaler, classifier.fit(standard, placement, sample_weight=weights))

    def predict_proba(self, beats: np.ndarray) -> np.ndarray:
        return self.classifier.predict_proba(self.scaler.transform(features(beats)))


def fit_and_score(train: Split, test: Split, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Fits each method on `train` and scores every record of `test` under every placement.

    Returns:
      name -> predictions: `targets` and `view` `[n]`, `scores` `[n, class]` (probabilities at a prior of one half for
      `none`), `record_ids` and `patient_ids` `[n]`.

    Raises:
      InputError: `train` holds a single patient.
    """
    if len(np.unique(train.patient_ids)) < 2:
        raise InputError("expected training records of several patients, found one", "train on more records")
    record, placement = _draw(len(train.ecg), np.random.default_rng(seed))
    weights = _even_prior(placement)
    beats = _reversed_beats(train, record, placement)
    patients = train.patient_ids[record]
    folds = GroupKFold(min(3, len(np.unique(patients)))).split(beats, placement, patients)
    machine = SVC(C=30, gamma=0.25 / features(beats[:1]).shape[1])
    machine = CalibratedClassifierCV(machine, cv=list(folds), ensemble=False)
    forest = RandomForestClassifier(120, n_jobs=-1, random_state=seed)
    methods: dict[str, _Rule | _Learnt] = {
        "cardiographer_rule": _Rule.fit(beats, placement, weights),
        "support_vector_machine": _Learnt.fit(machine, beats, placement, weights),
        "random_forest": _Learnt.fit(forest, beats, placement, weights),
    }
    record, view = _all_views(len(test.ecg))
    beats = _reversed_beats(test, record, view)
    chunks = [beats[first : first + _BEATS_PER_CHUNK] for first in range(0, len(beats), _BEATS_PER_CHUNK)]
    shown = {
        "targets": view,
        "view": view,
        "record_ids": test.record_ids[record],
        "patient_ids": test.patient_ids[record],
    }
    return {
        name: shown | {"scores": np.concatenate([method.predict_proba(chunk) for chunk in chunks])}
        for name, method in methods.items()
    }
