"""Reads ECGs on paper into WFDB records.

    python scripts/digitize.py --input=FILE|DIR --output=DIR [--fs_hz=500] [--speed=MM_PER_S] [--gain=MM_PER_MV]
        [--overlay] [--processes=N]

FILE is a picture (PNG, JPEG, TIFF...) or a PDF, DIR a folder of them. Each page becomes NAME.hea and NAME.dat, in mV,
with samples that are not drawn or not legible marked as invalid; NAME_confidence.hea and .dat, the confidence of every
sample from 0 to 1; and NAME.json: arrangement, scale and how it was found, where each lead stands, warnings. --overlay
adds NAME_overlay.png: the straightened page with what was read drawn over it, to check by eye. Paper speed and gain are
found on the page unless they are given. Nothing is overwritten. A picture that cannot be read ends the program with one
line and exit status 2; in a folder it is named and counted, and the others are done.
"""

import collections
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tqdm
import wfdb
from absl import flags

from ecgjax import cli
from ecgjax.errors import InputError
from ecgjax.images.digitize import FIND_ALL, Digitised, Options, digitize
from ecgjax.images.picture_files import find_pictures, read_pictures, record_name

UNITS_PER_MV = 1000
COLOURS = ((220, 0, 0), (0, 140, 0), (0, 60, 220), (170, 0, 170))


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


def overlay(result: Digitised) -> np.ndarray:
    """The straightened page, paled, with centre-lines, names and zero lines, uint8 [y, x, rgb]."""
    zoom = max(1, round(2000 / result.page.rgb.shape[1]))
    picture = 128 + cv2.resize(result.page.rgb, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST) // 2
    per_column = len(result.trace_px) / result.page.rgb.shape[1]
    x = (np.arange(len(result.trace_px)) + 0.5) / per_column - 0.5

    def to_fixed(points: np.ndarray) -> np.ndarray:
        # cv2 draws at fractions of a pixel, in sixteenths here.
        return np.round(((points + 0.5) * zoom - 0.5) * 16).astype(np.int32)

    for row, y in enumerate(result.trace_px.T):
        for piece in np.split(np.arange(len(y)), np.flatnonzero(~np.isfinite(y))):
            known = piece[np.isfinite(y[piece])]
            if len(known) > 1:
                points = to_fixed(np.stack([x[known], y[known]], 1))
                cv2.polylines(picture, [points], False, COLOURS[row % len(COLOURS)], 1, cv2.LINE_AA, 4)
    for box in result.boxes:
        ends = to_fixed(np.array([[box.x0_px, box.y_px], [box.x1_px, box.y_px]]))
        cv2.line(picture, ends[0].tolist(), ends[1].tolist(), (120, 120, 120), 1, cv2.LINE_AA, 4)
        at = (int(ends[0, 0] // 16) + 2, int(ends[0, 1] // 16) - 30)
        cv2.putText(picture, box.lead, at, cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2, cv2.LINE_AA)
    return picture


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
            cv2.imwrite(f"{folder}/{name}_overlay.png", cv2.cvtColor(overlay(result), cv2.COLOR_RGB2BGR))
        files = sorted(Path(folder).iterdir())
        for file in files:
            if (output / file.name).exists():
                raise InputError(f"{output / file.name} is already there", "give another --output")
        for file in files:
            os.replace(file, output / file.name)


def digitize_file(path: Path, name: str, output: Path, options: Options, with_overlay: bool) -> list[str]:
    """Reads the pages of a file, writes their records, and returns a line on each.

    Raises:
      InputError: the file or one of its pages cannot be read.
    """
    lines = []
    for page, rgb in read_pictures(path):
        record = record_name(name + page.removeprefix(path.stem))
        result = digitize(rgb, options)
        write(result, record, output, with_overlay)
        sure = result.confidence[np.isfinite(result.signal_mv)].mean()
        lines.append("; ".join([f"{record}: {result.layout}, confidence {sure:.2f}", *result.warnings]))
    return lines


def _try(path: Path, name: str, output: Path, options: Options, with_overlay: bool) -> tuple[list[str], bool]:
    """In a process of its own: the lines on a file, or why it was not read."""
    cv2.setNumThreads(1)
    try:
        return digitize_file(path, name, output, options, with_overlay), True
    except InputError as error:
        return [f"{path}: not read, {error}"], False


def main() -> None:
    """Digitises the input of the command line."""
    given = flags.FLAGS
    for flag in ("fs_hz", "speed", "gain"):
        value = given[flag].value
        if value is not None and not value > 0:
            raise InputError(f"--{flag} is {value:g}", "give a positive number")
    options = dataclasses.replace(FIND_ALL, fs_hz=given.fs_hz, paper_speed_mm_s=given.speed, gain_mm_mv=given.gain)
    source, output = Path(given.input), Path(given.output)
    paths = find_pictures(source)
    cli.check_outside(output, source)
    output.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        print("\n".join(digitize_file(source, source.stem, output, options, given.overlay)))
        return
    names = [record_name("_".join(path.relative_to(source).with_suffix("").parts)) for path in paths]
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"two files would become record {twice[0]}", "rename one of them")
    jobs = [(path, name, output, options, given.overlay) for path, name in zip(paths, names, strict=True)]
    failed = 0
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(given.processes, len(jobs)), context) as pool:
        for lines, is_read in tqdm.tqdm(pool.map(_try, *zip(*jobs, strict=True)), total=len(jobs), disable=None):
            tqdm.tqdm.write("\n".join(lines))
            failed += not is_read
    print(f"{len(jobs) - failed} of {len(jobs)} files read to {output}, {failed} not")
    if failed == len(jobs):
        raise InputError(f"none of the files in {source} could be read", "give clearer pictures")


if __name__ == "__main__":
    flags.DEFINE_string("input", None, "a picture, a PDF or a folder of them", required=True)
    flags.DEFINE_string("output", None, "folder for the records", required=True)
    flags.DEFINE_float("fs_hz", FIND_ALL.fs_hz, "rate of the records")
    flags.DEFINE_float("speed", None, "paper speed in mm/s; found on the page by default")
    flags.DEFINE_float("gain", None, "gain in mm/mV; found on the page by default")
    flags.DEFINE_bool("overlay", False, "write pictures to check by eye")
    flags.DEFINE_integer("processes", os.cpu_count(), "processes for a folder", lower_bound=1)
    cli.run(main)
