"""Puts 12-lead WFDB records right whose cables were exchanged.

    python scripts/repair.py [--workdir=RUN] (--record=FILE.hea | --folder=DIR) --output=DIR
        [--prevalence=0.1] [--threshold=0.5] [--dry_run] [--skip_bad]

Any rate, unit, order and spelling of the leads. Says on one line what was found in each record, and writes those that
are repaired to the output folder, in the format they came in: untouched leads, other channels, comments and annotations
are the same to the last bit, and a comment in the header says what was done. `repairs.jsonl` there gets a line on every
record: verdict, probability, alternatives, what was changed. No file is overwritten. With --dry_run nothing is written.
Exit status 2 and one line for bad input; --skip_bad passes over broken records of a folder and counts them.
"""

import collections
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from data_prep.shards import BadRecordError
from data_prep.wfdb_records import asked_records
from data_prep.wfdb_rewrite import check_free, new_leads, read_stored, write_rewritten
from ecgjax import cli
from ecgjax.api.check import PREVALENCE, THRESHOLD
from ecgjax.bundled import BUNDLED
from ecgjax.errors import InputError
from ecgjax.placements import repair
from ecgjax.placements.evidence import Evidence, load_evidence
from ecgjax.placements.prior import clinical_prior

LOG = "repairs.jsonl"


def find(record: str | None, folder: str | None, output: Path | None) -> list[tuple[str, Path]]:
    """Identifier and path, without the extension, of every record that is asked for."""
    if record is None and folder is not None and output is not None:
        cli.check_outside(output, Path(folder))
    return asked_records(record, folder)


def log_line(record_id: str, result: repair.Repair, written: list[Path]) -> dict[str, Any]:
    """A line of the log."""
    names = [path.name for path in written]
    return {"record": record_id, **result.as_json(), "notes": list(result.notes), "written": names}


def repair_all(
    records: list[tuple[str, Path]],
    evidence: Evidence,
    log_prior: np.ndarray,
    threshold: float,
    output: Path | None,
    skip_bad: bool,
) -> Iterator[tuple[str, repair.Repair, list[Path]]]:
    """Judges records one by one, and writes the repaired ones to `output` unless it is None.

    Raises:
      InputError: a record is broken and `skip_bad` is not set, or a file to be written is there already.
    """
    for record_id, path in records:
        try:
            stored = read_stored(path)
            result = repair.repair(stored.signal_mv, stored.fs_hz, evidence, log_prior, threshold)
            written = []
            if output is not None and result.undoing is not None:
                comment = f"ecgjax repair: {result.sentence}"
                folder = (output / record_id).parent
                written = write_rewritten(stored, new_leads(stored, result.undoing), comment, folder)
        except BadRecordError as error:
            if not skip_bad:
                raise InputError(f"{path}: {error}", "restore the record, or leave it out (--skip_bad)") from None
            print(f"{record_id}: skipped, {error}")
            continue
        yield record_id, result, written


def main() -> None:
    """Repairs the records of the command line."""
    given = flags.FLAGS
    if not 0 <= given.threshold <= 1:
        raise InputError(f"--threshold is {given.threshold}", "give a probability between 0 and 1")
    output = None if given.dry_run else given.output and Path(given.output)
    if output is None and not given.dry_run:
        raise InputError("there is no --output", "give a folder for the repaired records, or --dry_run")
    log_prior = clinical_prior(given.prevalence).log_prior()
    records = find(given.record, given.folder, output)
    if given.record:
        _check_single(records[0][1], output)
    evidence = load_evidence(Path(given.workdir))
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write to {output} ({error.strerror})", "give another --output") from None
    verdicts: collections.Counter[str] = collections.Counter()
    for record_id, result, written in repair_all(records, evidence, log_prior, given.threshold, output, given.skip_bad):
        if given.record and result.hypothesis is None:
            raise InputError(f"{given.record}: {result.sentence.removesuffix('; record again')}", "record again")
        verdicts[result.verdict] += 1
        print(f"{record_id}: {result.sentence}", flush=True)
        if output is not None:
            with (output / LOG).open("a") as log:
                log.write(json.dumps(log_line(record_id, result, written), allow_nan=False) + "\n")
    if given.folder:
        skipped = len(records) - verdicts.total()
        counts = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common())
        print(f"{len(records)} records: {counts}{f', {skipped} skipped' * bool(skipped)}")


def _check_single(path: Path, output: Path | None) -> None:
    """Refuses a broken record, and an output where it is already, before the network is loaded."""
    try:
        stored = read_stored(path)
    except BadRecordError as error:
        raise InputError(f"{path}: {error}", "restore the record") from None
    if output is not None:
        check_free(stored, output)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", BUNDLED, "folder of a reversal run, or the network that comes with ecgjax")
    flags.DEFINE_string("record", None, "header of one record")
    flags.DEFINE_string("folder", None, "folder of records; all in it and below")
    flags.DEFINE_string("output", None, "folder for repaired records and the log")
    flags.DEFINE_float("prevalence", PREVALENCE, "records that are wired wrongly, as is expected before they are seen")
    flags.DEFINE_float("threshold", THRESHOLD, "probability from which a verdict is given, not 'cannot tell'")
    flags.DEFINE_bool("dry_run", False, "say what would be done and write nothing")
    flags.DEFINE_bool("skip_bad", False, "pass over broken records")
    cli.run(main)
