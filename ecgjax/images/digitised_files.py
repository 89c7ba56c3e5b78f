"""What is written of a page that was digitised: the record, how sure it is, a description and a picture to check it."""

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import wfdb

from ecgjax.errors import InputError
from ecgjax.images.digitize import Digitised, Options, digitize
from ecgjax.images.picture_files import read_pictures
from ecgjax.images.traced_page import traced_page

UNITS_PER_MV = 1000


def description(result: Digitised) -> dict[str, Any]:
    """What JSON tells about a page."""
    confidence = np.where(np.isfinite(result.signal_mv), result.confidence, np.nan)
    mean = [float(np.nanmean(c)) if np.isfinite(c).any() else None for c in confidence.T]
    return {
        "layout": result.layout,
        "paper_speed_mm_s": result.paper_speed_mm_s,
        "paper_speed_from": result.speed_from,
        "gain_mm_mv": result.gain_mm_mv,
        "gain_from": result.gain_from,
        "px_per_mm": result.px_per_mm if np.isfinite(result.px_per_mm) else None,
        "mean_confidence": dict(zip(result.lead_names, mean, strict=True)),
        "warnings": list(result.warnings),
        "boxes": [dataclasses.asdict(box) for box in result.boxes],
        "page_to_picture": result.page.to_original.tolist(),
    }


def write(result: Digitised, name: str, output: Path, with_overlay: bool) -> None:
    """Writes all files of a page, or none.

    Raises:
      InputError: one of them is there already.
    """
    with tempfile.TemporaryDirectory(dir=output, prefix=".incomplete.") as folder:
        leads = list(result.lead_names)
        for record, values, unit in (
            (name, result.signal_mv, "mV"),
            (f"{name}_confidence", result.confidence, "NU"),
        ):
            limit = np.iinfo(np.int16).max / UNITS_PER_MV
            wfdb.wrsamp(
                record,
                fs=result.fs_hz,
                units=[unit] * len(leads),
                sig_name=leads,
                p_signal=np.clip(values.astype(float), -limit, limit),
                fmt=["16"] * len(leads),
                adc_gain=[UNITS_PER_MV] * len(leads),
                baseline=[0] * len(leads),
                write_dir=folder,
            )
        Path(folder, f"{name}.json").write_text(json.dumps(description(result), indent=1) + "\n")
        if with_overlay:
            cv2.imwrite(f"{folder}/{name}_overlay.png", cv2.cvtColor(traced_page(result), cv2.COLOR_RGB2BGR))
        files = sorted(Path(folder).iterdir())
        for file in files:
            if (output / file.name).exists():
                raise InputError(f"{output / file.name} is already there", "give another --output")
        for file in files:
            os.replace(file, output / file.name)


def digitize_file(path: Path, name: str, output: Path, options: Options, with_overlay: bool) -> list[str]:
    """Reads the pages of a file, writes their records `name`, `name_1`..., and returns a line on each.

    Raises:
      InputError: the file or one of its pages cannot be read.
    """
    lines = []
    for page, rgb in read_pictures(path):
        record = name + page.removeprefix(path.stem)
        result = digitize(rgb, options)
        write(result, record, output, with_overlay)
        lines.append(f"{record}: {in_short(result)}")
    return lines


def in_short(result: Digitised) -> str:
    """Arrangement, mean confidence and warnings."""
    sure = result.confidence[np.isfinite(result.signal_mv)].mean()
    return "; ".join([f"{result.layout}, confidence {sure:.2f}", *result.warnings])
