"""What is lost on paper: test records as they are, and drawn as pages and read again.

    python scripts/benchmark_page.py --reversal=RUN --diagnosis=RUN --output=FILE.json [--records=100] [--format=3x4+1]
        [--damage=none] [--exchanged=RA-LA] [--prevalence=0.1] [--threshold=0.5] [--data_dir=DIR]

Takes records of the diagnosis run's test split, as they were recorded and with two cables exchanged, and reads each
both from its samples and from its page. Writes and prints: pages that were read, exchanges found and undone, correct
records that were changed, and the macro AUROC of the diagnosis, intervals by patient. A page that cannot be read counts
as an exchange that was not found, and is left out of the AUROC of both. Exit status 2 and one line for bad input.
"""

import collections
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import tqdm
from absl import flags
from ml_collections import ConfigDict

from ecgjax import cli, experiment, leads
from ecgjax.api.check import PREVALENCE
from ecgjax.data.split import Split
from ecgjax.errors import InputError
from ecgjax.images.damage import LEVELS, damage, random_damage
from ecgjax.images.digitize import FIND_ALL
from ecgjax.images.fidelity import snr_db
from ecgjax.images.page import CLINICAL, FORMATS
from ecgjax.images.render import render
from ecgjax.leads import LEADS, Placement
from ecgjax.paper.findings import Readers, load_readers, read_page
from ecgjax.placements import repair
from ecgjax.placements.hypotheses import index_of
from ecgjax.preprocess import resample
from ecgjax.record_reader import Diagnoses, diagnose
from ecgjax.runlog import git_version, hardware, to_json, write_json
from ecgjax.tasks.diagnosis_figures import ranking_figures
from ecgjax.workdir import read_config


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was made of one record: the verdict on its cables, and its diagnosis before and after."""

    repair: repair.Repair
    as_named: Diagnoses | None
    as_should_be: Diagnoses | None
    snr_db: float


def from_samples(signal_mv: np.ndarray, fs_hz: float, readers: Readers) -> Reading:
    """Reads `[time, 12]`."""
    found = repair.repair(signal_mv, fs_hz, readers.evidence, readers.log_prior, readers.threshold)
    (before,) = diagnose(readers.diagnosis, signal_mv[None], fs_hz)
    if np.isnan(found.signal).any():
        return Reading(found, before, None, np.inf)
    return Reading(found, before, diagnose(readers.diagnosis, found.signal[None], fs_hz)[0], np.inf)


def from_page(signal_mv: np.ndarray, fs_hz: float, readers: Readers, format: str, level: str, seed: int) -> Reading:
    """Draws `[time, 12]` and reads the page; raises InputError where that cannot be read."""
    drawing = render(signal_mv - np.median(signal_mv, axis=0), fs_hz, LEADS, FORMATS[format], CLINICAL)
    damaged = damage(drawing, random_damage(seed, level, strip=False), seed)
    findings = read_page(damaged.rgb, readers, FIND_ALL)
    drawn = np.where(findings.whole.is_drawn, findings.whole.signal_mv, np.nan)
    fidelity = snr_db(drawn, resample(signal_mv, fs_hz, findings.whole.fs_hz), findings.whole.fs_hz)
    return Reading(findings.repair, findings.as_named, findings.as_should_be, fidelity.snr_db)


def readings(records: Split, wrong: Placement, readers: Readers, given: Any) -> dict[str, list[Reading | None]]:
    """Each record as it is and exchanged, from its samples and from its page; None for a page that is not read."""
    found: dict[str, list[Reading | None]] = collections.defaultdict(list)
    for seed, ecg in enumerate(tqdm.tqdm(records.ecg, unit=" records", disable=None)):
        for kind, placement in (("correct", leads.CORRECT), ("exchanged", wrong)):
            signal_mv = placement.apply(ecg / records.gain)
            found[f"{kind}, samples"].append(from_samples(signal_mv, records.fs_hz, readers))
            try:
                page = from_page(signal_mv, records.fs_hz, readers, given.format, given.damage, seed)
            except InputError as error:
                tqdm.tqdm.write(f"{records.record_ids[seed]}, {kind}: {error}")
                page = None
            found[f"{kind}, page"].append(page)
    return found


def figures(
    records: Split, found: dict[str, list[Reading | None]], wrong: Placement, readers: Readers, num_bootstrap: int
) -> dict[str, Any]:
    """Shares of all records, and macro AUROC over those of which every page was read."""
    task = readers.diagnosis.task
    is_class = task.targets(records)["classes"]
    hypothesis = index_of(wrong)
    result: dict[str, Any] = {}
    usable = np.array(
        [
            all(one is not None and one.as_should_be for one in of_record)
            for of_record in zip(*found.values(), strict=True)
        ]
    )
    if not usable.any():
        raise InputError("no record was read and diagnosed from both of its pages", "take more records, or less damage")
    for kind, of_kind in found.items():
        read = [one for one in of_kind if one is not None]
        verdicts = collections.Counter(one.repair.verdict for one in read)
        is_found = [one.repair.verdict == repair.REPAIRED and one.repair.hypothesis == hypothesis for one in read]
        own = {
            "read": len(read) / len(of_kind),
            "verdicts": dict(verdicts.most_common()),
            "changed": (verdicts[repair.REPAIRED] + verdicts[repair.IN_PART]) / len(of_kind),
            "exchange_found_and_undone": sum(is_found) / len(of_kind),
            "median_snr_db": float(np.median([one.snr_db for one in read])) if kind.endswith("page") and read else None,
        }
        for name in ("as_named", "as_should_be"):
            kept = [one for one, is_usable in zip(of_kind, usable, strict=True) if is_usable]
            scores = np.array([list(getattr(one, name).probabilities.values()) for one in kept])
            found_figures = ranking_figures(
                is_class[usable], scores, records.patient_ids[usable], task.class_names(), num_bootstrap
            )
            own[f"macro_auroc_{name}"] = to_json({"macro_auroc": found_figures["macro_auroc"]})["macro_auroc"]
        result[kind] = own
    return {"diagnosed": int(usable.sum()), **result}


def unfiltered_records(config: ConfigDict, number: int, data_dir: str | None) -> Split:
    """The first records of the test split that have a label, unfiltered."""
    config = config.copy_and_resolve_references()
    config.preprocess.filter = "none"
    if data_dir is not None:
        config.data.dir = data_dir
    records = experiment.load(config, "test")
    return records.select(np.arange(min(number, len(records))))


def main() -> None:
    """Measures what the command line asks for."""
    given = flags.FLAGS
    output = Path(given.output)
    if output.exists():
        raise InputError(f"{output} is already there", "give another --output")
    pair = given.exchanged.split("-")
    if len(pair) != 2:
        raise InputError(f"--exchanged is {given.exchanged}", "give two electrodes, as in RA-LA")
    wrong = leads.swap((pair[0], pair[1]))
    index_of(wrong)
    readers = load_readers(
        Path(given.reversal), Path(given.diagnosis), None, prevalence=given.prevalence, threshold=given.threshold
    )
    records = unfiltered_records(read_config(Path(given.diagnosis)), given.records, given.data_dir)
    began = time.perf_counter()
    found = readings(records, wrong, readers, given)
    wall_s = time.perf_counter() - began
    result = figures(records, found, wrong, readers, given.num_bootstrap)
    about = {
        "dataset": records.dataset,
        "split": records.split,
        "n_records": len(records),
        "n_patients": len(np.unique(records.patient_ids)),
        "format": given.format,
        "damage": given.damage,
        "exchanged": wrong.name,
        "prevalence": given.prevalence,
        "threshold": given.threshold,
        "git": git_version(),
        "hardware": hardware(),
        "wall_s": round(wall_s, 1),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    write_json(output, {**about, **result})
    for kind, own in result.items():
        print(f"{kind}: {own}")


if __name__ == "__main__":
    flags.DEFINE_string("reversal", None, "folder of a reversal run", required=True)
    flags.DEFINE_string("diagnosis", None, "folder of a diagnosis run", required=True)
    flags.DEFINE_string("output", None, "JSON file to write", required=True)
    flags.DEFINE_integer("records", 100, "how many are taken", lower_bound=1)
    flags.DEFINE_enum("format", "3x4+1", [name for name in FORMATS if name != "strip"], "which leads stand where")
    flags.DEFINE_enum("damage", "none", list(LEVELS), "what happens to the paper")
    flags.DEFINE_string("exchanged", "RA-LA", "the two cables that are exchanged")
    flags.DEFINE_float(
        "prevalence", PREVALENCE, "records that are wired wrongly, as is expected before looking at them"
    )
    flags.DEFINE_float("threshold", repair.THRESHOLD, "probability from which a verdict is given, not 'cannot tell'")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_integer("num_bootstrap", 1000, "resamples behind the intervals", lower_bound=1)
    cli.run(main)
