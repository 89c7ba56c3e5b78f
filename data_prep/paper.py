"""One-lead recordings that went through paper: drawn as strips, damaged, digitised, and kept as recordings again.

The strips are those of Brisk et al. (J Electrocardiol 2019, 57S:S65-69), of whole recordings instead of windows. What
is made survives an interruption, chunk by chunk, beside the dataset.
"""

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from data_prep.build import RecordBuilder, base_metadata
from data_prep.cinc2017 import rhythm_classes, rhythm_features
from data_prep.shards import INT16, Prepared, Source
from ecgjax.data.record_files import SPLITS, Column, dataset_dir
from ecgjax.data.rhythms import FS_HZ, LEAD_NAMES
from ecgjax.errors import InputError
from ecgjax.images import strip
from ecgjax.images.damage import LEVELS, damage_picture, random_damage
from ecgjax.images.strip_reading import METHODS, read_strip

GAIN = float(INT16.max)
"""Units per height of a strip: what is read is a share of it, since paper without a grid does not tell voltages."""

RECORDS_PER_CHUNK = 64
UNFINISHED = "unfinished"
"""Folder beside the versions of a variant that holds the chunks of an interrupted preparation."""

MIN_HEIGHT_PX, MAX_HEIGHT_PX = 20, 600
DAMAGES = tuple(LEVELS)

SPLIT_SEEDS = 1 << 24
"""Between the seeds of the splits' first records."""

SMOKE = "smoke"
"""Prefix of variants made from the small variant of the source; alone, of its first."""

VARIANT = re.compile(rf"(?:{SMOKE}-)?(\d+)px(?:-({'|'.join(DAMAGES)}))?(?:-({'|'.join(METHODS)}))?")


@dataclasses.dataclass(frozen=True)
class Paper:
    """How a recording goes through paper: height of a strip in pixels, as many to a second; its damage; its reading."""

    height_px: int
    level: str
    method: str

    @classmethod
    def from_variant(cls, variant: str) -> "Paper":
        """`150px`, `150px-medium`, `75px-light-threshold`, or with `smoke-` before it.

        Raises:
          InputError: it is no such name.
        """
        found = VARIANT.fullmatch(f"{SMOKE}-{PaperBuilder.VARIANTS[0]}" if variant == SMOKE else variant)
        if not found or not MIN_HEIGHT_PX <= int(found[1]) <= MAX_HEIGHT_PX:
            raise InputError(
                f"unknown variant {variant!r} of recordings from paper",
                f"give a height of {MIN_HEIGHT_PX} to {MAX_HEIGHT_PX} pixels and, if you like, a damage of "
                f"{', '.join(DAMAGES)} and a reading of {', '.join(METHODS)}: 150px-medium, 75px-none-threshold",
            )
        return cls(int(found[1]), found[2] or DAMAGES[0], found[3] or METHODS[0])

    def read(self, signal_mv: np.ndarray, seed: int) -> np.ndarray:
        """A recording `[time]` at `FS_HZ` as it is read again, shares of the height `[time]`.

        Raises:
          InputError: the strip cannot be read.
        """
        scale = self.height_px / strip.HEIGHT_PX
        px_per_s = scale * strip.PX_PER_S
        drawn = strip.draw_strip(signal_mv, FS_HZ, self.height_px, px_per_s, scale * strip.LINE_PX)
        options = random_damage(seed, self.level, strip=True)
        grey, *_ = damage_picture(drawn, px_per_s / strip.PAPER_SPEED_MM_S, options, seed)
        px_per_s *= grey.shape[1] / drawn.shape[1]
        return fitted(read_strip(grey, px_per_s, self.method, FS_HZ), len(signal_mv))


def fitted(share: np.ndarray, num_samples: int) -> np.ndarray:
    """`[time]` cut or, with its last value, lengthened to `num_samples`: pixels do not tell time to the sample."""
    return np.pad(share, (0, max(num_samples - len(share), 0)), mode="edge")[:num_samples]


class PaperBuilder(RecordBuilder):
    """Variants are named after height, damage and reading, see `Paper`. Splits, folds and labels are the source's."""

    VERSION = tfds.core.Version("1.0.0")
    ANY_VARIANT = True
    MAKEABLE = True
    VARIANTS: tuple[str, ...] = ("150px", "150px-medium")
    SOURCE: tuple[str, str]

    @classmethod
    def made_from(cls, variant: str) -> tuple[str, str]:
        return cls.SOURCE[0], SMOKE if variant.startswith(SMOKE) else cls.SOURCE[1]

    def _info(self) -> tfds.core.DatasetInfo:
        paper = Paper.from_variant(self.variant)
        scalar = tfds.features.Scalar
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Recordings of {self.SOURCE[0]}, drawn as strips and digitised: {paper}.",
            features=tfds.features.FeaturesDict(
                {**rhythm_features(), "is_read": scalar(np.bool_), "pearson_r": scalar(np.float32)}
            ),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(base_metadata(LEAD_NAMES, GAIN), source=self.SOURCE[0]),
        )

    def sources(self) -> dict[str, list[Source]]:
        folder = dataset_dir(*self.made_from(self.variant), str(self._data_dir_root))
        paper = Paper.from_variant(self.variant)
        return {
            split: [
                Chunk(str(folder), split, start, min(start + RECORDS_PER_CHUNK, info.num_examples), paper, self._kept)
                for start in range(0, info.num_examples, RECORDS_PER_CHUNK)
            ]
            for split, info in tfds.builder_from_directory(folder).info.splits.items()
        }

    @property
    def _kept(self) -> str:
        return str(Path(self.data_path).parent / UNFINISHED)

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        super()._download_and_prepare(dl_manager, download_config)
        shutil.rmtree(self._kept, ignore_errors=True)


class Cinc2017Paper(PaperBuilder):
    """Recordings of `cinc2017`, which has to be prepared."""

    name = "cinc2017_paper"
    SOURCE = ("cinc2017", "default")


class SimulatedPaper(PaperBuilder):
    """Recordings of `simulated_rhythms`, made first where they are absent."""

    name = "simulated_paper"
    VARIANTS = (*PaperBuilder.VARIANTS, SMOKE)
    SOURCE = ("simulated_rhythms", "full")


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Records `start` to `stop` of a split of the dataset in `folder`, through paper; from `kept` if they are there."""

    folder: str
    split: str
    start: int
    stop: int
    paper: Paper
    kept: str

    def __call__(self) -> Iterator[Prepared]:
        examples = self._examples()
        readings = self._readings(examples)
        for example, reading in zip(examples, readings, strict=True):
            signal_mv = example["ecg"][:, 0]
            is_read = bool(reading.any())
            pearson_r = float(np.corrcoef(signal_mv, reading)[0, 1]) if np.ptp(reading) and np.ptp(signal_mv) else 0.0
            classes = rhythm_classes(example["rhythm"], len(reading))
            yield Prepared(
                {**example, "ecg": reading[:, None], "is_read": is_read, "pearson_r": pearson_r},
                classes if is_read else (*classes, "not read"),
                num_clipped=0,
            )

    def _examples(self) -> list[dict]:
        builder = tfds.builder_from_directory(self.folder)
        raw = builder.as_data_source(self.split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        features = builder.info.features
        stored = [tf_example_pb2.Example.FromString(raw[i]).features.feature for i in range(self.start, self.stop)]
        columns = {}
        for name in rhythm_features():
            columns[name] = Column(features[name])
            columns[name].extend([example[name] for example in stored])
        arrays = {name: column.array() for name, column in columns.items()}
        return [
            {name: values[row] if name == "ecg" else values[row].item() for name, values in arrays.items()}
            for row in range(len(stored))
        ]

    def _readings(self, examples: list[dict]) -> list[np.ndarray]:
        """int16 `[time]` of each record in 1/`GAIN`; zeros where the strip cannot be read."""
        path = Path(self.kept) / f"{self.split}-{self.start:06}.npz"
        if path.is_file():
            with np.load(path) as file:
                return np.split(file["readings"], file["ends"][:-1])
        readings = []
        for index, example in enumerate(examples, start=self.start):
            signal_mv = example["ecg"][:, 0]
            try:
                share = self.paper.read(signal_mv, SPLITS.index(self.split) * SPLIT_SEEDS + index)
            except InputError:
                share = np.zeros(len(signal_mv))
            readings.append(np.rint(GAIN * np.clip(share, 0, 1)).astype(np.int16))
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, readings=np.concatenate(readings), ends=np.cumsum([len(reading) for reading in readings]))
        temporary.replace(path)
        return readings
