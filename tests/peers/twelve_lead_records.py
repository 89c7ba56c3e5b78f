"""Records of twelve leads with beats, for the peers."""

import numpy as np

from ecgjax import leads
from ecgjax.data.split import Split

_CODES = (["NORM", "SR"], ["AFIB"], ["STACH"], [], ["CLBBB", "SR"])


def recordings(num_records: int = 12) -> Split:
    """Ten seconds at 100 Hz; the heart beats at intervals of its own in each."""
    rng, time_s = np.random.default_rng(0), np.arange(1000) / 100
    codes = np.empty(num_records, object)
    codes[:] = [np.array(_CODES[i % len(_CODES)], str) for i in range(num_records)]
    ecg = np.zeros((num_records, len(time_s), len(leads.LEADS)), np.int16)
    for row in ecg:
        since_r_s = time_s[:, None] - np.cumsum(rng.uniform(0.6, 1.2, 16))
        waves = [
            np.exp(-(((since_r_s - after_s) / width_s) ** 2)).sum(1) for after_s, width_s in ((0, 0.02), (0.3, 0.06))
        ]
        potentials_mv = np.stack(waves, 1) @ rng.normal(0, 1, (2, len(leads.ELECTRODES)))
        row[:] = 1000 * (potentials_mv + rng.normal(0, 0.01, potentials_mv.shape)) @ leads.LEADS_FROM_ELECTRODES.T
    names = np.arange(num_records).astype(str)
    return Split("made", "train", ecg, 1000.0, 100.0, leads.LEADS, names, names, {"scp_codes": codes})
