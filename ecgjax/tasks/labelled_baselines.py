"""What a network has to beat at a user's labels: constants, and linear models of what is easily measured."""

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecgjax.data.split import Split
from ecgjax.tasks import average_beat_baselines
from ecgjax.tasks.rhythm_features import bounded, measured

_INVERSE_PENALTY = 0.1
_MOST_STEPS = 1000
_PENALTIES = np.geomspace(1.0, 1e5, 21)


def class_scores(
    train: Split, test: Split, is_class: np.ndarray, given: tuple[str, ...], *, adds_up: bool
) -> dict[str, np.ndarray]:
    """Method -> probabilities `[test record, class]`, from the classes `[training record, class]` of `train`.

    Of twelve leads with those of `given` the average beat is judged, of recordings in one lead their measures.
    `adds_up` where a record is of one class.
    """
    if given:
        found = average_beat_baselines.class_scores(train, test, is_class, given)
    else:
        seen, shown = _measures(train), _measures(test)
        prevalence = np.tile(is_class.mean(axis=0), (len(test), 1))
        scores = prevalence.copy()
        for k in np.flatnonzero(is_class.any(axis=0) & ~is_class.all(axis=0)):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=_INVERSE_PENALTY, max_iter=_MOST_STEPS))
            scores[:, k] = model.fit(seen, is_class[:, k]).predict_proba(shown)[:, 1]
        found = {"no_skill": prevalence, "logistic_regression": scores}
    return {name: scores / scores.sum(axis=1, keepdims=True) for name, scores in found.items()} if adds_up else found


def numbers(train: Split, test: Split, label: np.ndarray, given: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Method -> numbers `[test record, number]`, from those of `train`; see `class_scores`."""
    columns = [_one_number(train, test, values, given) for values in label.T]
    return {name: np.stack([column[name] for column in columns], axis=1) for name in columns[0]}


def _one_number(train: Split, test: Split, values: np.ndarray, given: tuple[str, ...]) -> dict[str, np.ndarray]:
    if given:
        return average_beat_baselines.ages(train, test, values, given)
    model = make_pipeline(StandardScaler(), RidgeCV(_PENALTIES)).fit(_measures(train), values.astype(float))
    return {
        "constant_median": np.full(len(test), np.median(values)),
        "ridge_regression": model.predict(_measures(test)),
    }


def _measures(split: Split) -> np.ndarray:
    """`[record, measure]` of intervals, beats and atria."""
    return bounded(measured(split), np)
