"""What a network has to beat behind the electrodes: means, ridge regression and the nearest training record."""

import functools
import itertools

import jax
import numpy as np
from sklearn.metrics import pairwise_distances_argmin
from sklearn.model_selection import GroupKFold

from ecgjax.data import intracardiac
from ecgjax.data.split import Split
from ecgjax.tasks.heart_view import HeartView

_BLOCK_MS = 10
_RECORDS_PER_CHUNK = 128
_NUM_FOLDS = 5
_PENALTIES = np.geomspace(1e-6, 10.0, 15)
"""Over the mean power of a feature; cross-validation by heart on the training records chooses among them."""

_BEFORE_MS = 20
"""Reach of the mean action potential before the upstroke."""

_MOST_ALIGNED = 1000
"""Records behind the mean action potential; more do not change it."""


def activation_maps(train: Split, test: Split, shown: HeartView) -> dict[str, np.ndarray]:
    """Method -> times in ms `[test record, site]`; `shown` is what methods see of a record.

    `mean_map` is that of training; a site of the `nearest_record` that never fires has its time.
    """
    seen, asked = (_features(split, shown) for split in (train, test))
    true_ms = train.labels["activation_ms"].astype(float)
    mean_ms = _mean_map(true_ms)
    filled_ms = np.where(np.isnan(true_ms), mean_ms, true_ms)
    nearest = pairwise_distances_argmin(asked, seen)
    return {
        "mean_map": np.tile(mean_ms, (len(test), 1)),
        "nearest_record": filled_ms[nearest],
        "ridge_regression": ridge_regression(seen, filled_ms, train.patient_ids, asked),
    }


def potentials(train: Split, test: Split, shown: HeartView) -> dict[str, np.ndarray]:
    """Method -> mV `[test record, time, site]`.

    `mean_potentials` are those of training. `ridge_action_potential` is the mean action potential of each site, begun
    at the time that ridge regression tells.
    """
    vm = train.labels["vm"]
    mean_mv = vm.mean(axis=0, dtype=float) / intracardiac.VM_GAIN
    true_ms = train.labels["activation_ms"].astype(float)
    filled_ms = np.where(np.isnan(true_ms), _mean_map(true_ms), true_ms)
    told_ms = ridge_regression(_features(train, shown), filled_ms, train.patient_ids, _features(test, shown))
    some = np.linspace(0, len(vm) - 1, min(len(vm), _MOST_ALIGNED)).astype(int)
    shape_mv = mean_action_potential(vm[some], true_ms[some])
    return {
        "mean_potentials": np.broadcast_to(mean_mv.astype(np.float16), (len(test), *mean_mv.shape)),
        "ridge_action_potential": np.concatenate([begun_at(shape_mv, part) for part in _chunks(told_ms)]),
    }


def ridge_regression(seen: np.ndarray, targets: np.ndarray, groups: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """`[asked record, target]` from features and `targets` of training records; folds keep `groups` together."""
    mean, target_mean = seen.mean(axis=0), targets.mean(axis=0)
    inputs, outputs, asked = seen - mean, targets - target_mean, asked - mean
    penalties = _PENALTIES * max(np.sum(inputs**2) / inputs.shape[1], np.finfo(float).tiny)
    if len(inputs) < inputs.shape[1]:
        # Weights lie in the span of the records, whatever the penalty.
        directions = np.linalg.svd(inputs, full_matrices=False)[2]
        inputs, asked = inputs @ directions.T, asked @ directions.T
    gram, moments = inputs.T @ inputs, inputs.T @ outputs
    # Without two groups nothing can be held out: the middle of the penalties.
    errors = np.abs(np.arange(len(penalties)) - len(penalties) // 2).astype(float)
    num_folds = min(_NUM_FOLDS, len(np.unique(groups)))
    if num_folds > 1:
        errors = np.zeros(len(penalties))
        for _, out in GroupKFold(num_folds).split(inputs, groups=groups):
            held, wanted = inputs[out], outputs[out]
            rest = _ridge_weights(gram - held.T @ held, moments - held.T @ wanted, penalties)
            errors += [np.sum((held @ weights - wanted) ** 2) for weights in rest]
    (best,) = _ridge_weights(gram, moments, penalties[[np.argmin(errors)]])
    return target_mean + asked @ best


def _ridge_weights(gram: np.ndarray, moments: np.ndarray, penalties: np.ndarray) -> list[np.ndarray]:
    """`[feature, target]` for each penalty, from one factorisation."""
    power, directions = np.linalg.eigh(gram)
    turned = directions.T @ moments
    return [directions @ (turned / (np.maximum(power, 0) + penalty)[:, None]) for penalty in penalties]


def mean_action_potential(vm: np.ndarray, activation_ms: np.ndarray) -> np.ndarray:
    """`[lag, site]` in mV from _BEFORE_MS before the upstroke on; `vm` int16 `[record, time, site]`.

    What comes later than any record tells is as its last value; sites that never fire stay at rest.
    """
    lags = np.arange(-_BEFORE_MS, intracardiac.NUM_SAMPLES)[:, None]
    total, count = np.zeros((2, len(lags), vm.shape[2]))
    for part, fired_ms in zip(_chunks(vm), _chunks(activation_ms), strict=True):
        fires = ~np.isnan(fired_ms)
        sample = np.rint(np.where(fires, fired_ms, 0)).astype(int)[:, None] + lags
        is_inside = (sample >= 0) & (sample < part.shape[1]) & fires[:, None]
        values = np.take_along_axis(part, np.clip(sample, 0, part.shape[1] - 1), axis=1)
        total += np.where(is_inside, values, 0).sum(axis=0)
        count += is_inside.sum(axis=0)
    known = count > 0
    mean_mv = np.where(known, total / np.maximum(count, 1) / intracardiac.VM_GAIN, intracardiac.REST_MV)
    last = np.maximum.accumulate(np.where(known, np.arange(len(lags))[:, None], 0), axis=0)
    return np.take_along_axis(mean_mv, last, axis=0).astype(np.float32)


def begun_at(shape_mv: np.ndarray, activation_ms: np.ndarray) -> np.ndarray:
    """float16 mV `[record, time, site]` of a `mean_action_potential` begun at `activation_ms` `[record, site]`."""
    place = np.arange(intracardiac.NUM_SAMPLES)[:, None] - activation_ms[:, None] + _BEFORE_MS
    place = np.clip(place, 0, len(shape_mv) - 1)
    before = np.minimum(place.astype(int), len(shape_mv) - 2)
    site = np.arange(shape_mv.shape[1])
    first, second = shape_mv[before, site], shape_mv[before + 1, site]
    return (first + (place - before) * (second - first)).astype(np.float16)


def _mean_map(true_ms: np.ndarray) -> np.ndarray:
    """`[site]` of those records in which a site fires; where it never does, the mean of all sites."""
    fires = ~np.isnan(true_ms)
    total, count = np.where(fires, true_ms, 0).sum(axis=0), fires.sum(axis=0)
    return np.where(count, total / np.maximum(count, 1), total.sum() / max(count.sum(), 1))


def _features(split: Split, shown: HeartView) -> np.ndarray:
    """`[record, feature]`: means of what is shown over stretches of _BLOCK_MS, all leads."""
    block = max(1, round(_BLOCK_MS * split.fs_hz / 1000))
    parts = [np.asarray(_blocks(part, np.float32(split.gain), shown, block), float) for part in _chunks(split.ecg)]
    return np.concatenate(parts)


@functools.partial(jax.jit, static_argnames=("shown", "block"))
def _blocks(ecg: jax.Array, gain: jax.Array, shown: HeartView, block: int) -> jax.Array:
    signal_mv = jax.vmap(shown.evaluation_signal)(ecg / gain)
    count = signal_mv.shape[1] // block
    blocks = signal_mv[:, : count * block].reshape(len(ecg), count, block, -1)
    return blocks.mean(axis=2).reshape(len(ecg), -1)


def _chunks(values: np.ndarray) -> list[np.ndarray]:
    """A few records each, so that what is computed from them stays small."""
    bounds = [*range(0, len(values), _RECORDS_PER_CHUNK), len(values)]
    return [values[a:b] for a, b in itertools.pairwise(bounds)]
