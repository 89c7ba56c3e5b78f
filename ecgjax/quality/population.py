"""How sizes and shapes of leads go together in people, and how sure a departure from that makes one of a fault.

From the 1,490 records of PTB-XL's folds 1-8 that were at hand (ids up to 1999, 100 Hz), typical beats of
`quality/typical_beat.py`. Covariances, so that what holds among the leads of a record that lacks some follows too.
"""

import functools

import numpy as np

SHAPE_COVARIANCE = (
    (0.4984,),
    (0.3837, 0.5323),
    (-0.3078, -0.2500, 0.5458),
    (0.0734, 0.0794, 0.6073, 1.5797),
    (0.3922, 0.4815, 0.2026, 1.1612, 1.4850),
    (0.5884, 0.6900, -0.1868, 0.5759, 1.1873, 1.3977),
    (0.6191, 0.6819, -0.3642, 0.1953, 0.8144, 1.1770, 1.1600),
    (0.5346, 0.5733, -0.3829, 0.0046, 0.5261, 0.8772, 0.9279, 0.8009),
)
"""Of I, II and V1 to V6 over the time of the typical beat, each record's scaled to the same likelihood."""

SIZE_MEAN = (-0.29, -0.08, 0.40, 0.44, 0.49, 0.37, 0.10)
SIZE_COVARIANCE = (
    (0.1004,),
    (0.0521, 0.1999),
    (0.0335, 0.0829, 0.2058),
    (0.0294, 0.0317, 0.1156, 0.1892),
    (0.0350, 0.0210, 0.0599, 0.1186, 0.1825),
    (0.0477, 0.0204, 0.0233, 0.0606, 0.1272, 0.1750),
    (0.0558, 0.0320, 0.0193, 0.0400, 0.0929, 0.1550, 0.1840),
)
"""Median and covariance of the logarithms of sizes in mV: the root mean square of the QRS heights of the six limb
leads, which hardly depends on the heart's axis or on how the limb electrodes are exchanged, and of V1 to V6."""

LEAD_SIZE_MEAN, LEAD_SIZE_DEVIATION = -0.045, 0.62
"""The same of the QRS height of any single lead."""

SIGN_SCALES = (0.20, 0.56, 0.92, 0.70)
SIGN_WEIGHTS = (
    (0.7, 0.0, 0.2, 1.5, 0.5, 0.5, 0.9, 1.3),
    (0.1, -1.1, 1.5, 0.0, -2.1, -2.1, -2.3, -1.0),
    (2.0, 1.7, -0.1, -0.1, 1.5, 2.4, 2.9, 4.0),
    (-1.0, 0.8, 0.7, 1.0, 1.5, 1.0, 0.3, 0.5),
)
"""A logistic regression, odd by construction, of which way round a record is, whichever of the placements of
`leads.PLACEMENTS` it has. Of the beat over its root mean square in I, II and V1 to V6: the mean of P, the mean of QRS,
a quarter of the sum of the highest and lowest of QRS, and the mean of T; each over its scale and bent by tanh, so that
flutter waves in the place of P and T count no more than these would: chosen by records of fold 9 that have them."""

PRIOR = 0.002
"""Share of records that have a certain fault of gain or polarity, before they are looked at."""

AT_LIMIT, FADE = 0.0005, 9.0
"""Share of right records that depart from the population by more than a limit, which is set where about that many do,
and how fast, in limits, that share falls beyond: tenfold over a quarter of it, as over the last percent before."""


def full(lower: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """The symmetric matrix whose lower triangle is given."""
    matrix = np.zeros((len(lower), len(lower)))
    for k, row in enumerate(lower):
        matrix[k, : k + 1] = matrix[: k + 1, k] = row
    return matrix


@functools.cache
def shape_precision(present: tuple[int, ...]) -> np.ndarray:
    """The inverse of `SHAPE_COVARIANCE` among some of its leads."""
    return np.linalg.inv(full(SHAPE_COVARIANCE)[np.ix_(present, present)])


@functools.cache
def size_precision(present: tuple[int, ...]) -> np.ndarray:
    """The inverse of `SIZE_COVARIANCE` among some of its sizes."""
    return np.linalg.inv(full(SIZE_COVARIANCE)[np.ix_(present, present)])


def probability(departure: float, limit: float) -> float:
    """That a record is at fault which departs from the population so far, by the share of right ones that do."""
    false_alarms = AT_LIMIT * np.exp(-FADE * (departure / limit - 1))
    return float(PRIOR / (PRIOR + false_alarms))
