"""Draws WFDB records as ECG pages.

    python scripts/render.py (--record=FILE.hea | --folder=DIR) --output=DIR [--format=3x4+1] [--type=png|jpg|pdf]
        [--speed=25] [--gain=10] [--px_per_mm=8] [--palette=red] [--paper=letter] [--damage=none] [--seed=0] [--truth]

Any leads, rate and unit; a lead that a page has room for and the record lacks is left out. Formats: rows x columns +
rhythm strips, with `cabrera` in that order of the limb leads; `strip`: one lead on millimetre paper; `line`: one lead
as a bare black line from edge to edge, --height_px high and --px_per_s wide. --damage is light, medium or heavy: what
happens to paper and to photographs of it, drawn anew for each record from --seed and its name. With --truth a JSON file
beside each picture holds the scale, and for each lead its place, its seconds and the pixel of every sample. Each lead
is drawn around its median, as recorders have no use for the offset of electrodes; --nocentre keeps it.

Records of a folder are drawn in parallel; pictures are named after records. Nothing is overwritten without --overwrite.
Exit status 2 and one line for bad input; --skip_bad passes over broken records of a folder and counts them.
"""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import tqdm
from absl import flags

from data_prep.shards import BadRecordError
from data_prep.wfdb_records import asked_records, check_checksums, read_digital, units_per_mv
from ecgjax import cli
from ecgjax.errors import InputError
from ecgjax.images.damage import LEVELS, damage, random_damage
from ecgjax.images.page import A4_MM, CLINICAL, FORMATS, LETTER_MM, PALETTES, Drawing, Style, strip_format
from ecgjax.images.page_files import PICTURE_TYPES, picture_bytes, truth, write_whole
from ecgjax.images.render import render
from ecgjax.images.strip import HEIGHT_PX, LINE_PX, PX_PER_S, strip_drawing
from ecgjax.leads import canonical_lead

LINE, STRIP, RANDOM = "line", "strip", "random"
PAPERS = {"letter": LETTER_MM, "a4": A4_MM, "roll": None}


@dataclasses.dataclass(frozen=True)
class Order:
    """What is drawn, and how.

    Attributes:
      format: a name of `FORMATS`, or `LINE`.
      lead: of a strip or line; None for the record's first.
      style: of a page; its palette is drawn anew for each record where `any_palette`, and the record's name is its
        header where that is empty.
      height_px, px_per_s: of a line.
      level: of damage.
    """

    format: str
    lead: str | None
    style: Style
    any_palette: bool
    height_px: int
    px_per_s: float
    start_s: float
    centre: bool
    level: str
    seed: int
    kind: str
    with_truth: bool


def read_leads(path: Path) -> tuple[np.ndarray, float, list[str]]:
    """Signal [time, lead] in mV, rate and names of the voltages of the WFDB record at `path`, without extension.

    Raises:
      BadRecordError: it cannot be read or holds no voltage.
    """
    record = read_digital(str(path))
    check_checksums(record, expanded=False)
    signals = record.dac()
    columns, names, problem = [], [], None
    for k, (name, unit) in enumerate(zip(record.sig_name, record.units, strict=True)):
        try:
            columns.append(signals[:, k] / units_per_mv(unit))
        except BadRecordError as error:
            problem = error
            continue
        try:
            names.append(canonical_lead(name))
        except InputError:
            names.append(name)
    if not columns:
        raise problem or BadRecordError("the record has no leads")
    return np.stack(columns, axis=1), float(record.fs), names


def draw(path: Path, record_id: str, order: Order) -> Drawing:
    """The picture of a record; raises BadRecordError and InputError."""
    signal_mv, fs_hz, names = read_leads(path)
    if order.centre:
        has_samples = np.isfinite(signal_mv).any(axis=0)
        signal_mv[:, has_samples] -= np.nanmedian(signal_mv[:, has_samples], axis=0)
    own = np.random.default_rng([order.seed, zlib.crc32(record_id.encode())])
    damage_seed, palette = int(own.integers(2**31)), sorted(PALETTES)[own.integers(len(PALETTES))]
    lead = order.lead or names[0]
    if order.format in {LINE, STRIP} and lead not in names:
        raise InputError(f"{path} has no lead {lead}", f"give one of {', '.join(names)}")
    if order.format == LINE:
        first = round(order.start_s * fs_hz)
        line_px = LINE_PX * order.height_px / HEIGHT_PX
        drawing = strip_drawing(
            signal_mv[first:, names.index(lead)], fs_hz, lead, order.height_px, order.px_per_s, line_px
        )
    else:
        style = dataclasses.replace(order.style, header=order.style.header or (record_id,))
        if order.any_palette:
            style = dataclasses.replace(style, palette=PALETTES[palette])
        format = strip_format(lead) if order.format == STRIP else FORMATS[order.format]
        drawing = render(signal_mv, fs_hz, names, format, style, order.start_s)
    return damage(drawing, random_damage(damage_seed, order.level, strip=order.format == LINE), damage_seed)


def write(path: Path, record_id: str, target: Path, order: Order) -> str | None:
    """Draws a record to `target`; returns what is wrong with it, if anything."""
    try:
        drawing = draw(path, record_id, order)
    except BadRecordError as error:
        return f"{path}: {error}"
    target.parent.mkdir(parents=True, exist_ok=True)
    if order.with_truth:
        known = {"record": record_id, "seed": order.seed, "damage_level": order.level, **truth(drawing)}
        write_whole(target.with_suffix(".json"), json.dumps(known, allow_nan=False).encode())
    write_whole(target, picture_bytes(drawing.rgb, drawing.px_per_mm, order.kind))
    return None


def write_all(jobs: list[tuple[Path, str, Path, Order]], num_processes: int, skip_bad: bool) -> int:
    """Draws the records; returns how many are broken, of which the first ends it unless `skip_bad`."""
    problems = []

    def finished(problem: str | None) -> None:
        if problem is not None and not skip_bad:
            remedy = "restore the record, or leave it out with --skip_bad" if len(jobs) > 1 else "restore the record"
            raise InputError(problem, remedy)
        problems.extend([problem] if problem else [])

    with tqdm.tqdm(total=len(jobs), unit=" pages", disable=None) as bar:
        if min(num_processes, len(jobs)) < 2:
            for job in jobs:
                finished(write(*job))
                bar.update()
        else:
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(
                min(num_processes, len(jobs)), context, initializer=cv2.setNumThreads, initargs=(1,)
            ) as pool:
                futures = [pool.submit(write, *job) for job in jobs]
                try:
                    for future in concurrent.futures.as_completed(futures):
                        finished(future.result())
                        bar.update()
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
    for problem in problems:
        print(f"skipped {problem}")
    return len(problems)


def order_of(given: flags.FlagValues) -> Order:
    """What the command line asks for."""
    any_palette = given.palette == RANDOM
    style = dataclasses.replace(
        CLINICAL,
        palette=CLINICAL.palette if any_palette else PALETTES[given.palette],
        page_mm=PAPERS[given.paper],
        px_per_mm=given.px_per_mm,
        paper_speed_mm_s=float(given.speed),
        gain_mm_mv=float(given.gain),
        labels=given.labels,
        grid=given.grid,
        calibration=given.calibration,
        separators=given.separators,
        header=tuple(given.header),
    )
    return Order(
        format=given.format,
        lead=given.lead,
        style=style,
        any_palette=any_palette,
        height_px=given.height_px,
        px_per_s=given.px_per_s,
        start_s=given.start_s,
        centre=given.centre,
        level=given.damage,
        seed=given.seed,
        kind=given.type,
        with_truth=given.truth,
    )


def main() -> None:
    """Draws the records of the command line."""
    given = flags.FLAGS
    records, output, order = asked_records(given.record, given.folder), Path(given.output), order_of(given)
    jobs = [(path, name, output / f"{name}.{order.kind}", order) for name, path in records]
    for _, _, target, _ in jobs:
        for file in (target, target.with_suffix(".json")) if order.with_truth else (target,):
            if file.exists() and not given.overwrite:
                raise InputError(f"{file} is already there", "give another --output, or --overwrite")
    try:
        output.mkdir(parents=True, exist_ok=True)
        num_bad = write_all(jobs, given.processes, given.skip_bad and given.folder is not None)
    except OSError as error:
        raise InputError(f"cannot write to {output} ({error.strerror})", "give another --output") from None
    print(f"{output}: {len(jobs) - num_bad} drawn{f', {num_bad} skipped' * bool(num_bad)}")


if __name__ == "__main__":
    flags.DEFINE_string("record", None, "header of one record")
    flags.DEFINE_string("folder", None, "folder of records; all in it and below")
    flags.DEFINE_string("output", None, "folder for the pictures", required=True)
    flags.DEFINE_enum("format", "3x4+1", [*FORMATS, LINE], "which leads stand where")
    flags.DEFINE_enum("type", "png", list(PICTURE_TYPES), "of the files")
    flags.DEFINE_string("lead", None, "of a strip or line; the first of the record by default")
    flags.DEFINE_enum("speed", "25", ["25", "50"], "of the paper, mm/s")
    flags.DEFINE_enum("gain", "10", ["5", "10", "20"], "mm/mV")
    flags.DEFINE_float("px_per_mm", 8.0, "resolution", lower_bound=1.0, upper_bound=40.0)
    flags.DEFINE_enum("palette", "red", [*PALETTES, RANDOM], "colours of paper, grid and ink")
    flags.DEFINE_enum("paper", "letter", list(PAPERS), "size of the page; a roll is as long as the recording")
    flags.DEFINE_enum("labels", "above", ["above", "below", "none"], "where names of leads stand beside the trace")
    flags.DEFINE_bool("grid", True, "millimetre lines")
    flags.DEFINE_bool("calibration", True, "a pulse of 1 mV and 0.2 s before each row")
    flags.DEFINE_bool("separators", True, "strokes between the leads of a row")
    flags.DEFINE_list("header", [], "lines at the top; the name of the record by default")
    flags.DEFINE_float("start_s", 0.0, "where in the recording the page begins", lower_bound=0.0)
    flags.DEFINE_bool("centre", True, "draw each lead around its median")
    flags.DEFINE_integer("height_px", HEIGHT_PX, "of a line", lower_bound=8)
    flags.DEFINE_float("px_per_s", PX_PER_S, "of a line", lower_bound=1.0)
    flags.DEFINE_enum("damage", "none", list(LEVELS), "what happens to the paper")
    flags.DEFINE_integer("seed", 0, "of the damage and of random palettes", lower_bound=0)
    flags.DEFINE_bool("truth", False, "a JSON file beside each picture that says what is where")
    flags.DEFINE_bool("overwrite", False, "replace files that are there")
    flags.DEFINE_bool("skip_bad", False, "pass over broken records of a folder")
    flags.DEFINE_integer("processes", os.cpu_count(), "that draw at the same time", lower_bound=1)
    cli.run(main)
