"""Simulated hearts with 75 sites in each (Landajuela et al., Computing in Cardiology 2022, 49).

The folder holds the publisher's folders as they are unpacked (`data_hearts_dd_0p2` and others), with a pair of files
for each simulation: `pECGData*.npy`, potentials of ten electrodes, and `VmData*.npy`, of 75 sites. What follows these
words in the names is the same for both and says which heart, pattern, cycle length and conductance it is.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from data_prep.build import RecordBuilder, base_features, base_metadata
from data_prep.shards import INT16, RECORDS_PER_SHARD, BadRecordError, Prepared, ReadEach, Source, cut, to_units
from ecgjax.data.intracardiac import FS_HZ, NUM_SAMPLES, NUM_SITES, SITES, VM_GAIN, activation_ms
from ecgjax.errors import InputError
from ecgjax.leads import ELECTRODES, LEADS, LEADS_FROM_ELECTRODES, NEUTRAL

ECG_PREFIX, VM_PREFIX = "pECGData", "VmData"
EXAMPLE = "pECGData_hearts_dd_0p2_volunteer.v10_pattern.12_bcl.600_gkr.1.3.npy"
POINTS = "points.csv"

FILE_ELECTRODES = ("RA", "LA", "LL", NEUTRAL, *ELECTRODES[3:])
"""Columns of the electrode files."""

SPLIT_SEED = 20220904
"""Of the order in which groups go to test, to validation and to training."""

_KEY = re.compile(r"(?:^|_)(volunteer|pattern|bcl|gkr)[._=-]?([^_]+)", re.IGNORECASE)
_VOLUNTEER = re.compile(r"(?:^|_)v(\d+)(?=_|$)", re.IGNORECASE)

CITATION = """@misc{landajuela2022dataset,
  author = {Landajuela, Mikel and Anirudh, Rushil and Blake, Robert},
  title = {Dataset of Simulated Intracardiac Transmembrane Voltage Recordings and {ECG} Signals},
  publisher = {UC San Diego Library Digital Collections}, doi = {10.6075/J0SN094N}, year = {2022}}"""


def heart_features() -> dict[str, tfds.features.FeatureConnector]:
    """What datasets of hearts know beside the twelve leads; NaN and "" for what is unknown.

    `vm` is in units of 1/VM_GAIN mV, `activation_ms` NaN where a site never fires.
    """
    scalar, text = tfds.features.Scalar, tfds.features.Text

    def array(shape: tuple[int, ...], dtype: type) -> tfds.features.Tensor:
        return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes")

    return {
        "vm": array((NUM_SAMPLES, NUM_SITES), np.int16),
        "activation_ms": array((NUM_SITES,), np.float32),
        "site_mm": array((NUM_SITES, 3), np.float32),
        "heart": text(),
        "pattern": text(),
        "bcl_ms": scalar(np.float32),
        "gkr": scalar(np.float32),
    }


class Intracardiac(RecordBuilder):
    """Variants: which simulations are kept apart, 80 to 10 to 10.

    `hearts`: no heart is in two splits. `patterns`: no activation pattern is. `random`: simulations are dealt out one
    by one, so that those of test have close relatives in training; its figures show what that is worth.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("hearts", "patterns", "random")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Simulated 12-lead ECGs with the transmembrane potentials of 75 sites.",
            features=tfds.features.FeaturesDict({**base_features(), **heart_features()}),
            homepage="https://doi.org/10.6075/J0SN094N",
            citation=CITATION,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(), raw_dir=str(self.raw_dir)),
        )

    def sources(self) -> dict[str, list[Source]]:
        site_mm = read_points(self.raw_dir / POINTS)
        read = functools.partial(read_simulation, site_mm=site_mm, variant=self.variant)
        return {
            split: [ReadEach(part, simulation_name, read) for part in cut(simulations, RECORDS_PER_SHARD)]
            for split, simulations in split_simulations(find_simulations(self.raw_dir), self.variant).items()
        }


@dataclasses.dataclass(frozen=True)
class Simulation:
    """A pair of files by what their names share. None for a file or a part of the name that is not there."""

    name: str
    ecg_path: str | None
    vm_path: str | None
    heart: str | None
    pattern: str | None
    bcl_ms: str | None
    gkr: str | None

    def group(self, variant: str) -> str | None:
        """What is not torn apart."""
        if variant == "hearts":
            return self.heart
        if variant == "patterns":
            return self.pattern and f"pattern {self.pattern}"
        return self.name


def find_simulations(raw_dir: Path) -> list[Simulation]:
    """Every simulation in the folder and in those within, ordered by name.

    Raises:
      InputError: there is none.
    """
    paths: dict[str, dict[str, str]] = {}
    for prefix in (ECG_PREFIX, VM_PREFIX):
        for path in raw_dir.rglob(f"{prefix}*.npy"):
            shared = path.relative_to(raw_dir).with_name(path.stem.removeprefix(prefix).lstrip("_"))
            paths.setdefault(shared.as_posix(), {})[prefix] = str(path)
    if not paths:
        raise InputError(
            f"no file {ECG_PREFIX}*.npy in {raw_dir} or in a folder there",
            f"give --raw_dir the folder that holds the unpacked folders with files such as {EXAMPLE}",
        )
    return [
        Simulation(name, files.get(ECG_PREFIX), files.get(VM_PREFIX), **parse_name(Path(name).name))
        for name, files in sorted(paths.items())
    ]


def parse_name(text: str) -> dict[str, str | None]:
    """`heart`, `pattern`, `bcl_ms` and `gkr` from `volunteer.v10_pattern.12_bcl.600_gkr.1.3`, in any order."""
    values = {key.lower(): value for key, value in _KEY.findall(text)}
    alone = _VOLUNTEER.search(text)
    number = (values.get("volunteer") or (str(alone[1]) if alone else "")).lower().lstrip("v")
    return {
        "heart": f"v{number}" if number else None,
        "pattern": values.get("pattern"),
        "bcl_ms": values.get("bcl"),
        "gkr": values.get("gkr"),
    }


def split_simulations(simulations: Sequence[Simulation], variant: str) -> dict[str, list[Simulation]]:
    """Split -> its simulations. A tenth of the groups, and one at least, is tested, as many more are for validation.

    Raises:
      InputError: there are fewer than three groups.
    """
    groups = sorted({group for simulation in simulations if (group := simulation.group(variant))})
    if len(groups) < 3:
        raise InputError(
            f"the names tell of {len(groups)} {variant}, and three splits need three",
            f"add simulations named like {EXAMPLE}, or prepare another of the variants {Intracardiac.VARIANTS}",
        )
    order = np.random.default_rng(SPLIT_SEED).permutation(groups).tolist()
    held_out = max(1, round(len(order) / 10))
    home = dict.fromkeys(order[:held_out], "test") | dict.fromkeys(order[held_out : 2 * held_out], "validation")
    splits: dict[str, list[Simulation]] = {"train": [], "validation": [], "test": []}
    for simulation in simulations:
        # One that its name does not place is refused when it is read, wherever it stands.
        splits[home.get(simulation.group(variant) or "", "train")].append(simulation)
    return splits


def read_points(path: Path) -> np.ndarray:
    """`[site, 3]` mm from a CSV file with columns Points:0, Points:1, Points:2 and Name; NaN where there is no file.

    Raises:
      InputError: it is no such file, or a site is missing.
    """
    if not path.is_file():
        return np.full((NUM_SITES, 3), np.nan, np.float32)
    columns = ["Points:0", "Points:1", "Points:2"]
    try:
        table = pd.read_csv(path)
        place = {str(row["Name"]).strip("' "): [float(row[name]) for name in columns] for _, row in table.iterrows()}
        return np.array([place[site] for site in SITES], np.float32)
    except (KeyError, ValueError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(
            f"{path} is no table of the sites ({error})", f"it needs {', '.join(columns)} and Name, one row a site"
        ) from None


def simulation_name(simulation: Simulation) -> str:
    return simulation.name


def read_simulation(simulation: Simulation, site_mm: np.ndarray, variant: str) -> Prepared:
    """The twelve leads, the potentials and what follows from them.

    Raises:
      BadRecordError: a file is missing or bad, or the name does not say what the split goes by.
    """
    group = simulation.group(variant)
    if group is None:
        raise BadRecordError(f"its name tells no group for {variant}, expected one like {EXAMPLE}")
    electrodes_mv = _read_array(simulation.ecg_path, ECG_PREFIX, (NUM_SAMPLES, len(FILE_ELECTRODES)))
    vm_mv = _read_array(simulation.vm_path, VM_PREFIX, (NUM_SAMPLES, NUM_SITES))
    signal_mv = electrodes_mv[:, [FILE_ELECTRODES.index(name) for name in ELECTRODES]] @ LEADS_FROM_ELECTRODES.T
    for lead, samples in zip(LEADS, signal_mv.T, strict=True):
        if np.ptp(samples) == 0:
            raise BadRecordError(f"lead {lead} is flat")
    vm = np.rint(vm_mv * VM_GAIN)
    if np.abs(vm).max() > INT16.max:
        raise BadRecordError(f"potentials reach {np.abs(vm_mv).max():g} mV, expected some -90 to 50 mV")
    fired_ms = activation_ms(vm_mv)
    ecg, num_clipped = to_units(signal_mv)
    example = {
        "ecg": ecg,
        "fs_hz": FS_HZ,
        "record_id": simulation.name,
        "patient_id": group,
        "vm": vm.astype(np.int16),
        "activation_ms": fired_ms,
        "site_mm": site_mm,
        "heart": simulation.heart or "",
        "pattern": simulation.pattern or "",
        "bcl_ms": _number(simulation.bcl_ms),
        "gkr": _number(simulation.gkr),
    }
    never = int(np.isnan(fired_ms).sum())
    classes = (f"heart {example['heart']}", f"pattern {example['pattern']}", *("sites that never fire",) * never)
    return Prepared(example, classes, int(num_clipped))


def _read_array(path: str | None, prefix: str, shape: tuple[int, int]) -> np.ndarray:
    if path is None:
        raise BadRecordError(f"it has no {prefix} file")
    try:
        values: Any = np.load(path, allow_pickle=False)
        values = np.asarray(values, float)
    except (OSError, ValueError, EOFError) as error:
        raise BadRecordError(f"its {prefix} file is no array ({str(error).splitlines()[0]})") from None
    if values.shape != shape:
        raise BadRecordError(f"its {prefix} file has shape {values.shape}, expected {shape}")
    if not np.isfinite(values).all():
        raise BadRecordError(f"{np.count_nonzero(~np.isfinite(values))} values of its {prefix} file are no numbers")
    return values


def _number(text: str | None) -> float:
    """NaN where there is none; 0p5 is 0.5."""
    try:
        return float(text.replace("p", ".")) if text else np.nan
    except ValueError:
        raise BadRecordError(f"expected a number after bcl or gkr in its name, it has {text!r}") from None
