"""`ecgjax.plot`: a recording on ECG paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgjax.api.records import recording_of
from ecgjax.errors import InputError
from ecgjax.recordings.recording import Recording
from ecgjax.recordings.write_wfdb import check_free

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ecgjax.api.check import Checked  # at run time it brings JAX

ENDINGS = (".png", ".pdf", ".svg")
PX_PER_INCH = 200.0
COLOURS = {"right": "#1a7f37", "wrong": "#b3261e", "cannot tell": "#8a6100"}
"""Verdict -> colour of the note."""

_LONGEST_NOTE = 110


def plot(record: "Recording | Checked | str | Path", path: str | Path | None = None) -> "Figure":
    """The twelve leads on paper, three rows of four and a rhythm strip, at 25 mm/s and 10 mm/mV; the first ten seconds.

    What `ecgjax.check` made of the record is noted on it. With `path` the figure is written there: PNG, PDF or SVG by
    its ending, at true size when printed.

    >>> import ecgjax, numpy as np
    >>> record = ecgjax.Recording.from_array(np.zeros((1000, 12)), 100.0)
    >>> ecgjax.plot(record).get_size_inches().round(1).tolist()
    [10.6, 4.9]

    Raises:
      InputError: the record has none of the twelve leads, or the file is there or of another kind.
    """
    if path is not None:
        path = Path(path)
        check_kind(path)
        check_free(path)
    from ecgjax.clinical_plot import clinical_figure  # noqa: PLC0415 - Matplotlib, which takes a second to import

    note, colour, checked = "", "#16181d", _checked(record)
    recording = recording_of(record) if checked is None else checked.recording  # type: ignore[arg-type]
    if checked is not None:
        note, colour = _shortened(checked.sentence), COLOURS[checked.verdict]
    signal_mv, missing = recording.twelve()
    if np.isnan(signal_mv).all():
        names = ", ".join(recording.lead_names)
        raise InputError(f"{recording.name} has none of the twelve leads, but {names}", "state its --lead_names")
    title = ", ".join([recording.name, *_facts(recording), *([f"without {', '.join(missing)}"] if missing else [])])
    figure = clinical_figure(signal_mv, recording.fs_hz, title, note, colour)
    if path is not None:
        _save(figure, path)
    return figure


def check_kind(path: Path) -> None:
    """Raises InputError where it ends as no picture that can be written."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"a picture cannot be written to {path}", f"end it in {', '.join(ENDINGS)}")


def _checked(record: Any) -> "Checked | None":
    return record if hasattr(record, "verdict") and hasattr(record, "recording") else None


def _facts(recording: Recording) -> list[str]:
    patient = recording.patient
    age = [f"{patient['age_years']:.0f} years"] if "age_years" in patient else []
    return [*age, *([str(patient["sex"])] if "sex" in patient else []), *filter(None, [recording.started[:10]])]


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_NOTE else f"{text[: _LONGEST_NOTE - 1]}…"


def _save(figure: "Figure", path: Path) -> None:
    draft = path.with_name(f".incomplete.{path.name}")
    try:
        figure.savefig(draft, dpi=PX_PER_INCH, facecolor=figure.get_facecolor(), format=path.suffix[1:].lower())
        draft.rename(path)
    except OSError as error:
        raise InputError(f"cannot write to {path} ({error.strerror})", "give another path") from None
    finally:
        draft.unlink(missing_ok=True)
