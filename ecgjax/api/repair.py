"""`ecgjax.repair`: a recording as it should be."""

from pathlib import Path

from ecgjax.api.check import PREVALENCE, THRESHOLD, check
from ecgjax.bundled import BUNDLED
from ecgjax.placements.mended import mended
from ecgjax.recordings.recording import Recording


def repair(
    record: Recording | str | Path,
    *,
    workdir: str | Path = BUNDLED,
    prevalence: float = PREVALENCE,
    threshold: float = THRESHOLD,
) -> Recording:
    """`record` with its cables where they belong; `assumptions` say what was done. Options as of `ecgjax.check`.

    Leads that were only exchanged or turned keep their samples to the last bit. What was taken rightly, cannot be
    judged or cannot be mended comes back as it was; `ecgjax.check` says which.

    >>> import ecgjax
    >>> ecgjax.repair("record.hea").assumptions[-1]  # doctest: +SKIP
    'repaired: RA and LA exchanged (over 99.9 %); I, II, III, aVR and aVL put right'

    Raises:
      InputError: as `ecgjax.check`.
    """
    checked = check(record, workdir=workdir, prevalence=prevalence, threshold=threshold)
    return mended(checked.recording, checked.repair)
