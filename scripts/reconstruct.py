"""Writes a WFDB record with fewer than twelve leads as one of twelve.

    python scripts/reconstruct.py --workdir=RUN --record=FILE.hea --output=DIR

Any of the leads, at any rate, unit, order and spelling. RUN is a run of configs/reconstruction.py. What was recorded is
copied to the last bit; leads that follow from it come from algebra, the others from the network. Comments in the header
say which is which, and what error rebuilt leads had on the run's test records. The network sees the signal at its own
rate and filtered as in training; what it rebuilds is brought to the rate of the record and stays filtered. Annotations
and other channels are kept, and no file is overwritten. Exit status 2 and one line for bad input.
"""

from pathlib import Path

import numpy as np
from absl import flags

from data_prep.build import BadRecordError
from data_prep.wfdb_twelve import PartialRecord, check_free, read_partial, write_twelve
from ecgjax import cli, leads
from ecgjax.errors import InputError
from ecgjax.lead_completion import completion_matrices
from ecgjax.leads import LEADS
from ecgjax.preprocess import resample
from ecgjax.rebuilder import Rebuilder, load_rebuilder


def twelve_leads(partial: PartialRecord, rebuilder: Rebuilder) -> np.ndarray:
    """All leads `[time, 12]` in mV at the record's own rate, given leads as they are."""
    preprocess = rebuilder.preprocess
    seen = preprocess.apply(partial.signal_mv, partial.fs_hz)
    estimate = resample(rebuilder.estimate(seen[None], partial.given)[0], preprocess.fs_hz, partial.fs_hz)
    # Rates need not divide: the last sample may be missing, or there may be one too many.
    time = len(partial.signal_mv)
    estimate = np.pad(estimate[:time], ((0, max(time - len(estimate), 0)), (0, 0)), "edge")
    from_given, from_estimate = completion_matrices(partial.given)
    return partial.signal_mv @ from_given.T + estimate @ from_estimate.T


def comments(partial: PartialRecord, rebuilder: Rebuilder) -> list[str]:
    """What the header says of the leads."""
    known = leads.derivable(partial.given)
    derived = [lead for lead in known if lead not in partial.given]
    rebuilt = [lead for lead in LEADS if lead not in known]
    expected = rebuilder.expected(partial.given)
    lines = [f"ecgjax given: {', '.join(partial.given)}"]
    if derived:
        lines.append(f"ecgjax by algebra from the given leads: {', '.join(derived)}")
    for lead in rebuilt:
        if lead in expected:
            found = expected[lead]
            figures = f"expected r {found['pearson_r']:.3f}, error {found['rmse_mv']:.3f} mV"
            lines.append(f"ecgjax rebuilt by a network, an estimate and no recording: {lead} ({figures})")
        else:
            lines.append(f"ecgjax rebuilt by a network, an estimate and no recording: {lead}")
    if expected:
        judged_on = f"{rebuilder.results['dataset']} {rebuilder.results['split']}"
        lines.append(f"ecgjax: expected figures are those of the run's records, {judged_on}")
    if rebuilt:
        preprocess = rebuilder.preprocess
        band = "" if preprocess.filter == "none" else f", {preprocess.low_hz:g}-{preprocess.high_hz:g} Hz"
        rate = "" if preprocess.fs_hz == partial.fs_hz else f", resampled to {partial.fs_hz:g} Hz"
        lines.append(f"ecgjax: rebuilt leads are of {preprocess.fs_hz:g} Hz{band}{rate}")
    return lines


def main() -> None:
    """Completes the record of the command line."""
    given = flags.FLAGS
    path, output = Path(given.record.removesuffix(".hea")), Path(given.output)
    try:
        partial = read_partial(path)
        if len(partial.given) == len(LEADS):
            raise InputError(f"{path} has all twelve leads", "give a record with fewer")
        check_free(partial, output)
        rebuilder = load_rebuilder(Path(given.workdir))
        if len(leads.derivable(partial.given)) < len(LEADS):
            rebuilder.check(partial.given)
        written = write_twelve(partial, twelve_leads(partial, rebuilder), comments(partial, rebuilder), output)
    except BadRecordError as error:
        raise InputError(f"{path}: {error}", "restore the record") from None
    except OSError as error:
        raise InputError(f"cannot write to {output} ({error.strerror})", "give another --output") from None
    print(f"{written[-1]}: {', '.join(lead for lead in LEADS if lead not in partial.given)} added")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the reconstruction run", required=True)
    flags.DEFINE_string("record", None, "header of the record", required=True)
    flags.DEFINE_string("output", None, "folder for the record with twelve leads", required=True)
    cli.run(main)
