"""Single beats of simulated hearts: the dataset of heartbeats that needs no download.

Each heart is recorded for half a minute in leads II and V1. Beats that come from the sinus node or from fibrillating
atria are N, atrial ectopic ones S, ventricular ones V. The simulator has no fusion beats; they are added to the
recordings of hearts with ventricular ones, see `with_fusions`. No beat is Q: there is no pacemaker here, and a spike on
a wide beat would be known by the spike alone.
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_prep.beat_records import beat_features, beats_of
from data_prep.build import RecordBuilder
from data_prep.shards import GAIN, Prepared, Source
from ecgjax.data.heartbeats import BEFORE_SAMPLES, CUT_SAMPLES, FS_HZ, LEAD_NAMES, WINDOW_SAMPLES, windows
from ecgjax.leads import LEADS

SEED = 20250301
SECONDS = 30.0
RECORDED = ("II", "V1")
HEARTS_PER_SHARD = 1024

SPLIT_HEARTS = {
    "full": {"train": 11264, "validation": 1408, "test": 1408},
    "smoke": {"train": 112, "validation": 48, "test": 48},
}
FIRST_HEART = {"full": 0, "smoke": 24576}
"""No heart is in two variants; from this one on the small splits of `smoke` hold every class."""

NUM_CONDUCTED = 3
"""N beats taken of a heart, at random; all of its ectopic beats are taken. So four N come to one S, V or F, where DS1
of the MIT-BIH database has nine, and all N beats would be sixty."""

NUM_FUSIONS = 2
"""Fusion beats of a heart with ventricular ectopic beats."""

CONDUCTED, ATRIAL, VENTRICULAR, FUSION = range(4)
"""Kinds of beat: `ecgjax.simulate.population.BEATS`, and fusions."""
CLASS_OF_KIND = ("N", "S", "V", "F")
SYMBOL_OF_KIND = ("N", "A", "V", "F")
SYMBOL_OF_BLOCK = {"lbbb": "L", "rbbb": "R", "rbbb+lafb": "R"}
"""Conduction -> symbol of its conducted beats, N for any other."""

FUSION_SHARE = (0.3, 0.7)
"""Range of the share of a fusion beat that the ectopic focus activates."""

R_REACH = 8
"""R lies so many samples (64 ms) at most from the middle of the QRS complex."""

RISE_SAMPLES = (16, 11)
"""Before the middle of its QRS complex, where a fusion beat begins to be one and where it is one altogether: after most
P waves, before the widest QRS complex."""


class SimulatedBeats(RecordBuilder):
    """Variants: `full`, and `smoke` for a run of seconds. The splits are different hearts, patients all.

    A beat counts as abnormal when it is ectopic or its heart has an infarct. The first and last beat of a recording,
    and those whose window reaches beyond it, are left out. The version changes with every change of the simulator that
    shows in its records.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("full", "smoke")
    MAKEABLE = True

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Beats of simulated hearts in II and V1, with AAMI classes and RR intervals (ecgjax.simulate).",
            features=tfds.features.FeaturesDict(beat_features(WINDOW_SAMPLES, len(LEAD_NAMES))),
            license="Apache-2.0",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(gain=GAIN, lead_names=list(LEAD_NAMES), seed=SEED),
        )

    def sources(self) -> dict[str, list[Source]]:
        first = FIRST_HEART[self.variant]
        splits: dict[str, list[Source]] = {}
        for split, num_hearts in SPLIT_HEARTS[self.variant].items():
            starts = range(first, first + num_hearts, HEARTS_PER_SHARD)
            splits[split] = [
                functools.partial(simulate, start, min(HEARTS_PER_SHARD, first + num_hearts - start))
                for start in starts
            ]
            first += num_hearts
        return splits


def simulate(first_heart: int, num_hearts: int) -> Iterator[Prepared]:
    """The beats of `num_hearts` hearts."""
    from ecgjax.simulate import generate  # noqa: PLC0415 - JAX starts here, and not in processes that prepare other datasets

    hearts = generate(SEED, num_hearts, FS_HZ, SECONDS, first_heart)
    lead_mv = hearts["ecg_mv"][..., [LEADS.index(name) for name in RECORDED]]
    del hearts["ecg_mv"]
    for index in range(num_hearts):
        yield from heart_beats(lead_mv[index], {name: values[index] for name, values in hearts.items()})


def heart_beats(signal_mv: np.ndarray, heart: dict[str, Any]) -> Iterator[Prepared]:
    """The beats taken of one heart, from leads II and V1 [time, 2] and the labels of `ecgjax.simulate.generate`."""
    rng = np.random.default_rng([SEED, int(heart["heart_id"])])
    inside = np.isfinite(heart["beat_s"])
    middle_s, kinds = heart["beat_s"][inside].astype(float), heart["beat_kind"][inside]
    signal_mv, kinds = with_fusions(signal_mv, middle_s, kinds, float(heart["qt_ms"]) / 1000, rng)
    r_s = middle_s + r_offsets(signal_mv, middle_s, kinds) / FS_HZ
    r_samples = np.rint(r_s * FS_HZ)
    is_whole = (r_samples >= BEFORE_SAMPLES) & (r_samples <= len(signal_mv) - CUT_SAMPLES)
    is_whole[[0, -1]] = False
    conducted = np.flatnonzero(is_whole & (kinds == CONDUCTED))
    taken = rng.choice(conducted, min(NUM_CONDUCTED, len(conducted)), replace=False)
    taken = np.sort(np.concatenate([taken, np.flatnonzero(is_whole & (kinds != CONDUCTED))]))
    symbols = (SYMBOL_OF_BLOCK.get(str(heart["conduction"]), SYMBOL_OF_KIND[CONDUCTED]), *SYMBOL_OF_KIND[1:])
    labels = [
        {
            "beat_class": CLASS_OF_KIND[kind],
            "symbol": symbols[kind],
            "is_abnormal": bool(kind != CONDUCTED or heart["infarct"] != "none"),
        }
        for kind in kinds
    ]
    yield from beats_of(f"heart {heart['heart_id']}", signal_mv, r_s, labels, taken)


def with_fusions(
    signal_mv: np.ndarray, middle_s: np.ndarray, kinds: np.ndarray, qt_s: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The recording [time, lead] and its kinds [beat] with some of its conducted beats made fusions.

    In a fusion beat the ectopic focus and the conducted wave each activate a part of the ventricles at the usual time
    of the beat. Fields add, so to a conducted beat comes a share of the difference between the heart's mean ventricular
    and mean conducted beat, from the QRS complex to the end of T: P, the next beat and the noise stay its own.
    """
    windows_mv = windows(signal_mv, np.rint(middle_s * FS_HZ).astype(int))
    is_whole = (middle_s * FS_HZ > BEFORE_SAMPLES) & (middle_s * FS_HZ < len(signal_mv) - CUT_SAMPLES)
    conducted, ventricular = (np.flatnonzero(is_whole & (kinds == kind)) for kind in (CONDUCTED, VENTRICULAR))
    # What follows an ectopic beat comes late, when no focus is in time.
    usual = conducted[(kinds[conducted - 1] == CONDUCTED) & (conducted > 1)]
    if not len(ventricular) or not len(usual):
        return signal_mv, kinds
    change_mv = windows_mv[ventricular].mean(axis=0) - windows_mv[conducted].mean(axis=0)
    place = np.arange(-BEFORE_SAMPLES, CUT_SAMPLES)
    fall = np.array([0.9, 1.1]) * qt_s * FS_HZ
    edges = (-RISE_SAMPLES[0], -RISE_SAMPLES[1], *fall)
    weight = np.interp(place, edges, (0, 1, 1, 0))[:, None]
    # The mean beats may differ by a constant and a drift, which would leave steps.
    first, last = (change_mv[np.abs(place - edge) <= 1].mean(axis=0) for edge in edges[1:3])
    drift = np.interp(place, edges[1:3], (0, 1))[:, None]
    change_mv = weight * (change_mv - first - drift * (last - first))
    signal_mv, kinds = signal_mv.copy(), kinds.copy()
    for beat in rng.choice(usual, min(NUM_FUSIONS, len(usual)), replace=False):
        start = round(middle_s[beat] * FS_HZ) - BEFORE_SAMPLES
        signal_mv[start : start + WINDOW_SAMPLES] += rng.uniform(*FUSION_SHARE) * change_mv
        kinds[beat] = FUSION
    return signal_mv, kinds


def r_offsets(signal_mv: np.ndarray, middle_s: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Samples from the middle of each QRS complex to its main peak in the first lead: int [beat].

    Beats of one origin have one QRS complex and share the peak of their mean; each fusion has its own.
    """
    windows_mv = windows(signal_mv[:, 0], np.rint(middle_s * FS_HZ).astype(int))
    origin = np.where(kinds == FUSION, FUSION + np.arange(len(kinds)), np.where(kinds == ATRIAL, CONDUCTED, kinds))
    offsets = np.zeros(len(kinds), int)
    near = slice(BEFORE_SAMPLES - R_REACH, BEFORE_SAMPLES + R_REACH + 1)
    for one in np.unique(origin):
        mean_mv = windows_mv[origin == one].mean(axis=0)
        level_mv = np.median(mean_mv)
        offsets[origin == one] = np.argmax(np.abs(mean_mv[near] - level_mv)) - R_REACH
    return offsets
