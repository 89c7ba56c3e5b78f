"""Small simulated hearts: as splits in memory, and as a folder in the published layout."""

from pathlib import Path

import numpy as np

from data_prep.intracardiac import FILE_ELECTRODES
from ecgjax.data.intracardiac import FS_HZ, NUM_SAMPLES, NUM_SITES, REST_MV, SITES, VM_GAIN, activation_ms
from ecgjax.data.split import Split
from ecgjax.leads import ELECTRODES, LEADS, LEADS_FROM_ELECTRODES

_RNG = np.random.default_rng(0)
SITE_MM = _RNG.uniform(0, 80, (NUM_SITES, 3)).astype(np.float32)
_WEIGHTS = _RNG.normal(0, 2e-4, (NUM_SITES, len(FILE_ELECTRODES)))


def beat(heart: int, pattern: int) -> tuple[np.ndarray, np.ndarray]:
    """Electrodes `[500, 10]` and potentials `[500, 75]` in mV: a wave from the site `pattern`, faster in some hearts.

    Upstrokes are straight lines of 100 mV within a millisecond about 0 mV, so that times are exact.
    """
    distance = np.linalg.norm(SITE_MM - SITE_MM[pattern % NUM_SITES], axis=1)
    begun_ms = 5.0 + distance * (1 + 0.05 * (heart % 7))
    since = np.arange(NUM_SAMPLES)[:, None] - begun_ms
    up_mv = np.clip(100 * since, REST_MV, 30)
    vm_mv = np.where(since > 200, np.maximum(30 - 1.0 * (since - 200), REST_MV), up_mv)
    return vm_mv @ _WEIGHTS, vm_mv


def name(heart: int, pattern: int) -> str:
    return f"hearts_dd_0p2_volunteer.v{heart}_pattern.{pattern}_bcl.600_gkr.1.{pattern % 3}"


def write_archive(folder: Path, num_hearts: int, num_patterns: int) -> None:
    """Two folders of simulations, every pattern in every heart, and the table of the sites."""
    for heart in range(num_hearts):
        place = folder / ("data_hearts_dd_0p2" if heart % 2 else "data_hearts_dd_0p2_geo_act_1")
        place.mkdir(parents=True, exist_ok=True)
        for pattern in range(num_patterns):
            for prefix, values in zip(("pECGData", "VmData"), beat(heart, pattern), strict=True):
                np.save(place / f"{prefix}_{name(heart, pattern)}.npy", values)
    rows = [f"{x},{y},{z},'{site}'" for (x, y, z), site in zip(SITE_MM, SITES, strict=True)]
    (folder / "points.csv").write_text('"Points:0","Points:1","Points:2","Name"\n' + "\n".join(rows) + "\n")


def split(hearts: range, num_patterns: int) -> Split:
    """The same simulations, in memory."""
    which = [(heart, pattern) for heart in hearts for pattern in range(num_patterns)]
    electrodes_mv, vm_mv = map(np.stack, zip(*(beat(*one) for one in which), strict=True))
    columns = [FILE_ELECTRODES.index(electrode) for electrode in ELECTRODES]
    ecg = np.rint(electrodes_mv[..., columns] @ LEADS_FROM_ELECTRODES.T * 1000).astype(np.int16)
    names = np.array([f"v{heart}" for heart, _ in which])
    return Split(
        dataset="intracardiac/hearts",
        split="train",
        ecg=ecg,
        gain=1000.0,
        fs_hz=FS_HZ,
        lead_names=LEADS,
        record_ids=np.array([name(*one) for one in which]),
        patient_ids=names,
        labels={
            "vm": np.rint(vm_mv * VM_GAIN).astype(np.int16),
            "activation_ms": activation_ms(vm_mv),
            "site_mm": np.repeat(SITE_MM[None], len(which), axis=0),
            "heart": names,
            "pattern": np.array([str(pattern) for _, pattern in which]),
            "num_samples": np.full(len(which), NUM_SAMPLES),
        },
    )
