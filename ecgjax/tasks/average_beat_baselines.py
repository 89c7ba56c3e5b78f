"""What a network has to beat at diagnosis and age: constants, and linear models of the average beat and the rhythm."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ecgjax import leads
from ecgjax.data.split import Split
from ecgjax.tasks.reversal_baselines import average_beats, find_beats

_RECORDS_PER_CHUNK = 512
_NUM_COMPONENTS = 150
_INVERSE_PENALTY = 0.01
_MOST_STEPS = 200
_PENALTIES = np.geomspace(10.0, 1e6, 26)
"""Leave-one-out cross-validation on the training records chooses among them (Golub et al., Technometrics 1979, 21)."""


def class_scores(train: Split, test: Split, is_class: np.ndarray, given: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Method -> probabilities `[test record, class]`, from the classes `[training record, class]` of `train`.

    `no_skill` gives every record the shares of the training records. `given` are the leads that are shown.
    """
    prevalence = np.tile(is_class.mean(axis=0), (len(test), 1))
    seen, shown = (_features(split, given) for split in (train, test))
    components = _components(seen)
    inputs, asked = components.fit_transform(seen), components.transform(shown)
    scores = prevalence.copy()
    for k in np.flatnonzero(is_class.any(axis=0) & ~is_class.all(axis=0)):
        model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_MOST_STEPS).fit(inputs, is_class[:, k])
        scores[:, k] = model.predict_proba(asked)[:, 1]
    return {"no_skill": prevalence, "logistic_regression": scores}


def ages(train: Split, test: Split, age_years: np.ndarray, given: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Method -> years `[test record]`, from the ages `[training record]` of `train`; `given` are the leads shown."""
    seen, shown = (_features(split, given) for split in (train, test))
    model = make_pipeline(*_components(seen), RidgeCV(_PENALTIES)).fit(seen, age_years.astype(float))
    return {
        "constant_median": np.full(len(test), np.median(age_years)),
        "ridge_regression": model.predict(shown),
    }


def _components(features: np.ndarray) -> Pipeline:
    """Scaled features to their principal components, with their variances: penalties hold back the small ones."""
    number = min(_NUM_COMPONENTS, *features.shape)
    return make_pipeline(StandardScaler(), PCA(number, svd_solver="covariance_eigh"))


def _features(split: Split, given: tuple[str, ...]) -> np.ndarray:
    """`[record, feature]`: samples of the average beat in independent leads, and the rhythm."""
    completion = leads.completion(given)
    columns = [leads.LEADS.index(name) for name in _independent(given)]
    parts = []
    for first in range(0, len(split), _RECORDS_PER_CHUNK):
        signal_mv = split.ecg[first : first + _RECORDS_PER_CHUNK] / split.gain @ completion.T
        beats = average_beats(signal_mv, split.fs_hz)[:, :, columns]
        rhythm = np.stack([_rhythm(peaks / split.fs_hz) for peaks in find_beats(signal_mv, split.fs_hz)])
        parts.append(np.concatenate([beats.reshape(len(beats), -1), rhythm], axis=1))
    return np.concatenate(parts)


def _independent(given: tuple[str, ...]) -> tuple[str, ...]:
    """Of the leads that `given` make known, those that no others repeat."""
    known = leads.derivable(given)
    limb = [name for name in known if name in leads.LIMB_LEADS]
    repeated = limb if len(limb) == 1 else leads.INDEPENDENT_LEADS
    return tuple(name for name in known if name in repeated or name in leads.PRECORDIAL_LEADS)


def _rhythm(beats_s: np.ndarray) -> np.ndarray:
    """Rate, its inverse, and how regular it is; zeros where fewer than three beats are found."""
    intervals_s = np.diff(beats_s)
    if len(intervals_s) < 2:
        return np.zeros(6)
    mean_s = intervals_s.mean()
    changes = np.abs(np.diff(intervals_s)) / mean_s
    spread = np.log(intervals_s.std() / mean_s + 0.01)
    return np.array(
        [mean_s, 1 / mean_s, spread, np.log(np.median(changes) + 0.01), changes.max(), intervals_s.min() / mean_s]
    )
