"""How well and how fast pages are digitised.

    python scripts/benchmark_digitizer.py --dataset=ptbxl [--data_dir=DIR] [--split=test] [--num=20]
        [--formats=3x4+1,6x2] [--damages=none,light,medium,heavy] [--px_per_mm=8] [--seed=0] [--output=FILE.json]
    python scripts/benchmark_digitizer.py --folder=DIR [--output=FILE.json]

With --dataset, records of a prepared twelve-lead dataset are drawn in every format and with every damage, and read
back. DIR holds pictures and an index.csv, whose columns `image` and `signal` name a picture and the WFDB record,
without its extension, that it was drawn from; where the page begins in it, and what it shows, is taken from what was
read. For each kind: the median and the lowest signal-to-noise ratio (fidelity.py), the median error of the gain in per
cent, the share of the samples that was read, the correlation of a lead's confidence with its own ratio, how many pages
were refused and how many were silently wrong (a ratio below 3 dB at a mean confidence of at least a half), and pages a
second of one process. A table is printed; --output gets it as JSON, page by page.
"""

import csv
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import wfdb
from absl import flags
from scipy.signal import fftconvolve

from ecgjax import cli
from ecgjax.data.records import load_split
from ecgjax.errors import InputError
from ecgjax.images.damage import damage, random_damage
from ecgjax.images.digitize import FIND_ALL, Digitised, digitize
from ecgjax.images.fidelity import LONGEST_SHIFT_S, Fidelity, snr_db
from ecgjax.images.page import CLINICAL, FORMATS, LeadBox
from ecgjax.images.page_files import write_whole
from ecgjax.images.picture_files import read_pictures
from ecgjax.images.render import render
from ecgjax.leads import LEADS, canonical_lead

WRONG_DB, SURE = 3.0, 0.5
DATASET_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Page:
    """A picture and the recording behind it; `boxes` are None where it is not known what of that the picture shows."""

    kind: str
    name: str
    rgb: np.ndarray
    signal_mv: np.ndarray
    fs_hz: float
    boxes: tuple[LeadBox, ...] | None


def drawn_pages(
    dataset: str,
    data_dir: str,
    split: str,
    num: int,
    formats: list[str],
    levels: list[str],
    px_per_mm: float,
    seed: int,
) -> Iterator[Page]:
    """Records of a prepared dataset, drawn."""
    name, _, variant = dataset.partition("/")
    records = load_split(name, variant, split, data_dir, None, DATASET_SECONDS)
    chosen = np.random.default_rng(seed).permutation(len(records))[:num]
    style = dataclasses.replace(CLINICAL, px_per_mm=px_per_mm)
    for form in formats:
        for level in levels:
            for k in chosen:
                signal_mv = records.ecg[k] / records.gain
                drawing = render(signal_mv, records.fs_hz, records.lead_names, FORMATS[form], style)
                drawn_by = seed + int(k)
                drawing = damage(drawing, random_damage(drawn_by, level), drawn_by) if level != "none" else drawing
                record = str(records.record_ids[k])
                yield Page(f"{form} {level}", record, drawing.rgb, signal_mv, records.fs_hz, drawing.boxes)


def indexed_pages(folder: Path) -> Iterator[Page]:
    """The pictures of a folder's index.csv."""
    index = folder / "index.csv"
    if not index.is_file():
        raise InputError(f"there is no {index}", "write one with the columns image and signal")
    with index.open(newline="") as file:
        rows = list(csv.reader(file))
    header = rows[0] if "image" in rows[0] else ["image", "ecg_id", "kind", "signal"]
    for row in rows[header is rows[0] :]:
        entry = dict(zip(header, row, strict=True))
        record = wfdb.rdrecord(str(folder / entry["signal"]))
        names = [canonical_lead(name) for name in record.sig_name]
        signal_mv = record.p_signal[:, [names.index(lead) for lead in LEADS]]
        _, rgb = next(read_pictures(folder / entry["image"]))
        yield Page(entry.get("kind", "picture"), entry["image"], rgb, signal_mv, record.fs, None)


def shown(page: Page, result: Digitised) -> np.ndarray:
    """What of the recording a page shows [time, lead] at the rate of the result; NaN elsewhere.

    Pages join samples by straight lines, and so do we.
    """
    count = round(len(page.signal_mv) / page.fs_hz * result.fs_hz)
    time_s = np.arange(count) / result.fs_hz
    recorded_s = np.arange(len(page.signal_mv)) / page.fs_hz
    reference = np.stack([np.interp(time_s, recorded_s, lead) for lead in page.signal_mv.T], axis=1)
    boxes = page.boxes
    if boxes is None:
        boxes, reference = result.boxes, reference[_first_sample(result, reference) :]
    visible = np.full_like(reference, np.nan)
    for box in sorted(boxes, key=lambda box: box.stop_s - box.start_s):
        lead = LEADS.index(box.lead.removeprefix("-"))
        part = slice(*(round(s * result.fs_hz) for s in (box.start_s, box.stop_s)))
        visible[:, lead] = np.nan
        visible[part, lead] = reference[part, lead]
    return visible


def _first_sample(result: Digitised, reference: np.ndarray) -> int:
    """Where in the recording the page begins, by the lead that it shows longest; 0 if within the alignment's reach."""
    signal = result.signal_mv
    lead = int(np.isfinite(signal).sum(0).argmax())
    seen = np.nan_to_num(signal[:, lead] - np.nanmean(signal[:, lead]))
    whole = reference[:, LEADS.index(result.lead_names[lead])]
    similar = fftconvolve(np.nan_to_num(whole - np.nanmean(whole)), seen[::-1])[len(seen) - 1 :]
    first = int(similar.argmax())
    return first if first > LONGEST_SHIFT_S * result.fs_hz else 0


def judge(page: Page) -> dict[str, Any]:
    """Digitises a page and says how that went."""
    began = time.process_time()
    try:
        result = digitize(page.rgb, FIND_ALL)
    except InputError as error:
        return {"kind": page.kind, "page": page.name, "refused": str(error), "seconds": time.process_time() - began}
    seconds = time.process_time() - began
    reference = shown(page, result)
    signal = result.signal_mv if len(result.lead_names) == len(LEADS) else np.full((len(reference), 12), np.nan)
    whole = snr_db(signal, reference, result.fs_hz)
    leads = {}
    for k, lead in enumerate(LEADS):
        there = np.isfinite(signal[:, k])
        if there.any() and np.isfinite(reference[:, k]).any():
            one: Fidelity = snr_db(signal[:, [k]], reference[:, [k]], result.fs_hz)
            leads[lead] = {"snr_db": one.snr_db, "confidence": float(result.confidence[there, k].mean())}
    sure = float(result.confidence[np.isfinite(result.signal_mv)].mean())
    return {
        "kind": page.kind,
        "page": page.name,
        "snr_db": whole.snr_db,
        "covered": whole.covered,
        "gain": whole.gain,
        "confidence": sure,
        "layout": result.layout,
        "leads": leads,
        "warnings": list(result.warnings),
        "seconds": seconds,
    }


def summary(judged: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table."""
    read = [j for j in judged if "refused" not in j]
    leads = [(lead["confidence"], lead["snr_db"]) for j in read for lead in j["leads"].values()]
    finite = np.array([pair for pair in leads if np.isfinite(pair).all()]).reshape(-1, 2)
    varies = len(finite) > 2 and np.ptp(finite, axis=0).all()
    snr = [j["snr_db"] for j in read]
    return {
        "pages": len(judged),
        "refused": len(judged) - len(read),
        "wrong": sum(j["snr_db"] < WRONG_DB and j["confidence"] >= SURE for j in read),
        "snr_db": float(np.median(snr)) if snr else None,
        "snr_db_lowest": float(np.min(snr)) if snr else None,
        "gain_error_percent": float(100 * np.median([abs(j["gain"] - 1) for j in read])) if read else None,
        "covered": float(np.mean([j["covered"] for j in read])) if read else None,
        "confidence": float(np.mean([j["confidence"] for j in read])) if read else None,
        "confidence_correlation": float(np.corrcoef(finite.T)[0, 1]) if varies else None,
        "pages_per_s": len(judged) / sum(j["seconds"] for j in judged),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Lines of text."""
    columns = list(next(iter(rows.values())))
    cells = [["", *columns]]
    for kind, row in rows.items():
        values = (row[column] for column in columns)
        cells.append([kind, *("-" if v is None else f"{v:.2f}" if isinstance(v, float) else str(v) for v in values)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(f"{c:>{w}}" for c, w in zip(line, widths, strict=True)) for line in cells)


def main() -> None:
    """Benchmarks what the command line names."""
    given = flags.FLAGS
    if (given.dataset is None) == (given.folder is None):
        raise InputError("expected one of --dataset and --folder", "give the one that is meant")
    unknown = [form for form in given.formats if form not in FORMATS]
    if unknown:
        raise InputError(f"unknown format {unknown[0]!r}", f"use some of {', '.join(FORMATS)}")
    cv2.setNumThreads(1)
    if given.folder is not None:
        pages = indexed_pages(Path(given.folder))
    else:
        pages = drawn_pages(
            *(given.dataset, given.data_dir, given.split, given.num, given.formats, given.damages),
            *(given.px_per_mm, given.seed),
        )
    judged = []
    for page in pages:
        judged.append(judge(page))
        last = judged[-1]
        found = f"refused, {last['refused']}" if "refused" in last else f"{last['snr_db']:.1f} dB, {last['layout']}"
        print(f"{last['kind']}, {last['page']}: {found}", flush=True)
    kinds = list(dict.fromkeys(j["kind"] for j in judged))
    rows = {kind: summary([j for j in judged if j["kind"] == kind]) for kind in kinds}
    if len(kinds) > 1:
        rows["all"] = summary(judged)
    print(table(rows))
    if given.output is not None:
        write_whole(Path(given.output), (json.dumps({"summary": rows, "pages": judged}, indent=1) + "\n").encode())


if __name__ == "__main__":
    flags.DEFINE_string("dataset", None, "NAME or NAME/VARIANT of a prepared twelve-lead dataset")
    flags.DEFINE_string("data_dir", "", "where prepared datasets lie")
    flags.DEFINE_string("split", "test", "of the dataset")
    flags.DEFINE_integer("num", 20, "records drawn in each format and with each damage", lower_bound=1)
    flags.DEFINE_list("formats", ["3x4+1"], "arrangements")
    flags.DEFINE_list("damages", ["none"], "levels of damage")
    flags.DEFINE_float("px_per_mm", 8.0, "resolution of the drawings", lower_bound=1.0)
    flags.DEFINE_integer("seed", 0, "of the choice of records and of the damage", lower_bound=0)
    flags.DEFINE_string("folder", None, "pictures and their index.csv")
    flags.DEFINE_string("output", None, "JSON file to write")
    cli.run(main)
