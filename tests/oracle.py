"""Evidence that knows the heart of every record: what a perfect and what a useless network would make of it."""

import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.data.split import Split
from ecgjax.placements.evidence import Evidence
from ecgjax.placements.hypotheses import NUM_HYPOTHESES, matrices
from ecgjax.preprocess import Preprocess

FS_HZ = 50.0
NUM_SAMPLES = 40
_PREPROCESS = Preprocess(fs_hz=FS_HZ, filter="none", low_hz=0.5, high_hz=20.0, normalise="none")


def heart_mv() -> np.ndarray:
    """`[time, 12]` float32 in whole microvolts, of nine unrelated potentials."""
    potentials = np.random.default_rng(0).normal(size=(NUM_SAMPLES, len(leads.ELECTRODES)))
    return np.round(potentials @ leads.LEADS_FROM_ELECTRODES.T, 3).astype(np.float32)


def knowing(noise_mv: float) -> Evidence:
    """The likelihood of white noise about what each hypothesis writes of `heart_mv`."""
    expected = (matrices() @ heart_mv().T).transpose(0, 2, 1).reshape(NUM_HYPOTHESES, -1)

    def log_likelihood(signal_mv):
        flat = jnp.reshape(signal_mv, (len(signal_mv), -1))
        distance = jnp.sum(flat**2, axis=1)[:, None] - 2 * flat @ expected.T + jnp.sum(expected**2, axis=1)
        return -distance / (2 * noise_mv**2)

    return Evidence(_PREPROCESS, NUM_SAMPLES / FS_HZ, log_likelihood)


def ignorant() -> Evidence:
    """Finds every hypothesis as likely as any other."""
    return Evidence(
        _PREPROCESS, NUM_SAMPLES / FS_HZ, lambda signal_mv: jnp.zeros((len(signal_mv), NUM_HYPOTHESES), jnp.float32)
    )


def split_of(signals_mv: np.ndarray, name: str = "r") -> Split:
    """Records `[record, time, 12]`, two of each patient."""
    number = np.arange(len(signals_mv))
    return Split(
        dataset="hearts/default",
        split="test",
        ecg=np.rint(signals_mv * 1000).astype(np.int16),
        gain=1000.0,
        fs_hz=FS_HZ,
        lead_names=leads.LEADS,
        record_ids=np.array([f"{name}{i}" for i in number]),
        patient_ids=np.array([f"{name} patient {i // 2}" for i in number]),
        labels={"sex": np.where(number % 2, "male", "female")},
    )
