"""What a network has to beat at naming leads: chance, algebra alone, and a classifier of one lead at a time."""

import jax
import numpy as np
from scipy.special import softmax
from sklearn.ensemble import RandomForestClassifier

from ecgjax import leads
from ecgjax.data.split import Split
from ecgjax.models.arrangement_net import identity_residuals
from ecgjax.tasks.reversal_baselines import average_beats

_NUM_TREES = 100
_SMALLEST_LEAF = 3
_FINE_GAIN = 5.0
_SHARPNESS = 20.0


def fit_and_score(train: Split, test: Split, names: tuple[str, ...], seed: int) -> dict[str, np.ndarray]:
    """Method -> probabilities `[record, lead, name]`, the leads of `test` in the order of `names`."""
    columns = [leads.LEADS.index(name) for name in names]
    beats, shown = (average_beats(split.ecg / split.gain, split.fs_hz)[:, :, columns] for split in (train, test))
    luck = np.random.default_rng(seed).uniform(size=(len(test), len(names), len(names)))
    return {
        "chance": softmax(luck, axis=2),
        "identities_alone": _by_identities(shown, names, luck),
        "each_lead_alone": _by_each_lead(beats, shown, seed),
    }


def _by_identities(beats: np.ndarray, names: tuple[str, ...], luck: np.ndarray) -> np.ndarray:
    """Each limb lead takes the roles it plays in Einthoven's and Goldberger's identities; the rest is luck."""
    roles = np.asarray(jax.jit(identity_residuals, static_argnums=1)(beats.astype(np.float32), names))
    score, k = 1e-3 * luck, 0
    for identity in leads.IDENTITIES:
        if set(identity) <= set(names):
            for name in identity:
                # A lead that plays none of the roles of the limb leads is a chest lead.
                score[:, :, names.index(name)] += -0.5 - roles[:, :, k]
                k += 1
    return softmax(_SHARPNESS * score, axis=2)


def _by_each_lead(beats: np.ndarray, shown: np.ndarray, seed: int) -> np.ndarray:
    """A random forest on the samples of one lead's average beat, relative to the power of the set."""

    def features(beats: np.ndarray) -> np.ndarray:
        scaled = beats / np.sqrt(np.mean(beats**2, axis=(1, 2), keepdims=True) + 1e-6)
        fine = scaled * _FINE_GAIN / (1 + _FINE_GAIN * np.abs(scaled))
        each = np.concatenate([scaled, fine], axis=1).transpose(0, 2, 1)
        return each.reshape(-1, each.shape[2])

    num_leads = beats.shape[2]
    forest = RandomForestClassifier(_NUM_TREES, min_samples_leaf=_SMALLEST_LEAF, n_jobs=-1, random_state=seed)
    forest.fit(features(beats), np.tile(np.arange(num_leads), len(beats)))
    return forest.predict_proba(features(shown)).reshape(len(shown), num_leads, num_leads)
