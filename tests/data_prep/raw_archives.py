"""Small raw archives, in the layouts that publishers use."""

from pathlib import Path

import numpy as np
import pandas as pd
import wfdb

from ecgjax.leads import LEADS

HEADER_LEADS = tuple(name.upper() for name in LEADS)


def signal(seed: int, num_samples: int = 100) -> np.ndarray:
    """Digital values [time, 12], a few hundred units large, no lead flat."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.integers(-40, 41, (num_samples, len(LEADS))), axis=0)


def write_record(
    path: Path,
    digital: np.ndarray,
    *,
    fs_hz: float = 100,
    gain: float = 1000.0,
    baseline: int = 0,
    units: str = "mV",
    leads: tuple[str, ...] = HEADER_LEADS,
) -> None:
    """A WFDB record in format 16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(leads)
    wfdb.wrsamp(
        path.name,
        fs=fs_hz,
        units=[units] * count,
        sig_name=list(leads),
        d_signal=np.asarray(digital, np.int64),
        fmt=["16"] * count,
        adc_gain=[gain] * count,
        baseline=[baseline] * count,
        write_dir=str(path.parent),
    )


def ptbxl_table(num_records: int) -> pd.DataFrame:
    """`ptbxl_database.csv` of `num_records` patients, every fold used, ids with gaps and not in order."""
    ids = [3 * i + 1 for i in range(num_records)][::-1]
    return pd.DataFrame(
        {
            "ecg_id": ids,
            "patient_id": [f"{1000 + i}.0" for i in ids],
            "age": [f"{20 + i % 60}.0" for i in ids],
            "sex": [i % 2 for i in ids],
            "height": ["" if i % 2 else "170.0" for i in ids],
            "weight": "70.0",
            "report": "sinusrhythmus, normales ekg",
            "scp_codes": "{'NORM': 100.0, 'SR': 0.0}",
            "validated_by_human": True,
            "strat_fold": [1 + i % 10 for i in range(num_records)],
            "filename_lr": [f"records100/00000/{i:05d}_lr" for i in ids],
            "filename_hr": [f"records500/00000/{i:05d}_hr" for i in ids],
        },
        dtype=str,
    )


def write_ptbxl(folder: Path, num_records: int = 10) -> pd.DataFrame:
    """A folder in the layout of PTB-XL, 100 Hz only; returns its table. Record `ecg_id` holds `signal(ecg_id)`."""
    table = ptbxl_table(num_records)
    for ecg_id, filename in zip(table["ecg_id"], table["filename_lr"], strict=True):
        write_record(folder / filename, signal(int(ecg_id)))
    write_table(folder, table)
    return table


def write_table(folder: Path, table: pd.DataFrame) -> None:
    table.to_csv(folder / "ptbxl_database.csv", index=False)
