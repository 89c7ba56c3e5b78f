"""What a network has to beat at rebuilding leads: linear estimates of I, II and V1..V6 from the given leads."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import augment, leads
from ecgjax.data.resident import Resident, resident, whole_record
from ecgjax.data.split import Split
from ecgjax.tasks.task import Task

_RECORDS_AT_ONCE = 32
# Directions with less than this share of the power of the strongest are rounding.
_SMALLEST_POWER = 1e-9


def second_moments(ecg: np.ndarray, gain: float) -> np.ndarray:
    """[8, 8]: mean products of I, II and V1..V6 over `[record, time, 12]`, in mV squared."""
    num_leads = len(leads.INDEPENDENT_LEADS)
    total = np.zeros((num_leads, num_leads))
    for start in range(0, len(ecg), _RECORDS_AT_ONCE):
        # Counts of microvolts are exact, and there is no level to be taken off: signals have none of meaning.
        some = ecg[start : start + _RECORDS_AT_ONCE][..., leads.INDEPENDENT_COLUMNS]
        part = some.reshape(-1, num_leads).astype(float)
        total += part.T @ part
    return total / (gain**2 * ecg.shape[0] * ecg.shape[1])


def least_squares(moments: np.ndarray, given: Sequence[str]) -> np.ndarray:
    """`[..., 8, 12]`: the linear estimate of least squared error from the leads `given`; `moments` `[..., 8, 8]`.

    Other columns than those of `given` are zero, so that it may be applied to what a network is shown.
    """
    rows = [leads.LEADS.index(name) for name in given]
    seen = leads.LEADS_FROM_INDEPENDENT[rows]
    of_given = seen @ moments @ seen.T
    weights = moments @ seen.T @ np.linalg.pinv(of_given, rcond=_SMALLEST_POWER, hermitian=True)
    estimate = np.zeros((*weights.shape[:-1], len(leads.LEADS)))
    estimate[..., rows] = weights
    return estimate


def from_dipole(given: Sequence[str]) -> np.ndarray:
    """[8, 12]: the dipole that fits the leads `given` best, by Dower's lead vectors, and its leads."""
    rows = [leads.LEADS.index(name) for name in given]
    vectors = augment.DOWER.astype(float)
    estimate = np.zeros((len(leads.INDEPENDENT_LEADS), len(leads.LEADS)))
    estimate[:, rows] = vectors @ np.linalg.pinv(leads.LEADS_FROM_INDEPENDENT[rows] @ vectors)
    return estimate


def rival_predictions(
    task: Task, train: Split, test: Split, sets: Sequence[tuple[str, ...]]
) -> dict[str, dict[str, np.ndarray]]:
    """Method -> what the task predicts from its estimates, for every record of `test` under every set of given leads.

    `least_squares` is fitted to `train`; `dipole` needs no fit. `own_least_squares` is fitted to the first half of the
    very record, all twelve leads of it, and judged on the second: no method can have that, and it shows how much a
    linear one could reach.
    """
    moments = second_moments(train.ecg, train.gain)
    shared = np.stack([least_squares(moments, given) for given in sets])
    dipole = np.stack([from_dipole(given) for given in sets])
    first_half, second_half = _halves(test)
    own_moments = np.stack([second_moments(record[None], test.gain) for record in first_half.ecg])
    own = np.stack([least_squares(own_moments, given) for given in sets], axis=1)
    step = _linear_step(task)
    return {
        "least_squares": linear_predictions(task, step, test, np.broadcast_to(shared, (len(test), *shared.shape))),
        "own_least_squares": linear_predictions(task, step, second_half, own),
        "dipole": linear_predictions(task, step, test, np.broadcast_to(dipole, (len(test), *dipole.shape))),
    }


def _halves(split: Split) -> tuple[Split, Split]:
    """The records cut in two."""
    middle = split.ecg.shape[1] // 2
    num_samples = split.labels.get("num_samples", np.full(len(split), split.ecg.shape[1]))
    halves = (slice(0, middle), np.minimum(num_samples, middle)), (slice(middle, None), num_samples - middle)
    first, second = (
        dataclasses.replace(split, ecg=split.ecg[:, part], labels={**split.labels, "num_samples": np.maximum(left, 0)})
        for part, left in halves
    )
    return first, second


Step = Callable[[Resident, np.ndarray, np.ndarray, np.ndarray], dict[str, jax.Array]]


def _linear_step(task: Task) -> Step:
    """Compiled: data, `index` and `view` `[batch]` and `estimate` `[batch, 8, 12]` to what `task` predicts."""

    @jax.jit
    def step(data: Resident, index: jax.Array, view: jax.Array, estimate: jax.Array) -> dict[str, jax.Array]:
        records = jax.vmap(lambda i, v: task.evaluation_view(whole_record(data, i), v))(index, view)
        outputs = jnp.einsum("btl,bkl->btk", records["signal_mv"], estimate)
        return task.predict(outputs, records)

    return step


def linear_predictions(task: Task, step: Step, split: Split, estimates: np.ndarray) -> dict[str, np.ndarray]:
    """What `task` predicts where a network's output is `estimates` `[record, view, 8, 12]` times what it is shown.

    Rows are in the order of a network's predictions: every view of the first record, then of the second.
    """
    data = jax.device_put(resident(split, task.targets(split)))
    num_views = task.num_views
    index = np.repeat(np.arange(len(split), dtype=np.int32), num_views)
    view = np.tile(np.arange(num_views, dtype=np.int32), len(split))
    parts = []
    for start in range(0, len(index), _RECORDS_AT_ONCE):
        filled = np.resize(np.arange(start, min(start + _RECORDS_AT_ONCE, len(index))), _RECORDS_AT_ONCE)
        found = step(data, index[filled], view[filled], estimates[index[filled], view[filled]].astype(np.float32))
        count = min(_RECORDS_AT_ONCE, len(index) - start)
        parts.append({name: np.asarray(values)[:count] for name, values in found.items()})
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    ids = {"record_ids": split.record_ids[index], "patient_ids": split.patient_ids[index], "view": view}
    return {**joined, **ids}
