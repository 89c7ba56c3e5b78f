"""An electrocardiogram from a file: signals in millivolts, and what had to be assumed about them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ecgjax.errors import InputError
from ecgjax.leads import LEADS, LIMB_COMPLETIONS, LIMB_LEADS


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording, normalised.

    Attributes:
      signal_mv: float32 [time, lead]; NaN where nothing was recorded.
      fs_hz: the rate.
      lead_names: in standard order and spelling, others after the twelve.
      format: of the file, such as `WFDB`.
      name: of the file without its ending.
      started: ISO text, "" where the file does not say.
      patient: `age_years` and `sex` as far as the file says.
      assumptions: what was not stated and had to be assumed, or was changed.
      problems: missing, flat, clipped and incomplete leads.
    """

    signal_mv: np.ndarray
    fs_hz: float
    lead_names: tuple[str, ...]
    format: str
    name: str
    started: str
    patient: dict[str, float | str]
    assumptions: tuple[str, ...]
    problems: tuple[str, ...]

    @classmethod
    def from_array(
        cls,
        signal_mv: np.ndarray,
        fs_hz: float,
        lead_names: Sequence[str] = LEADS,
        *,
        name: str = "array",
    ) -> "Recording":
        """Of samples `[time, lead]` in mV, NaN where nothing was recorded; leads in any order and common spelling.

        >>> import numpy as np
        >>> Recording.from_array(np.zeros((1000, 2)), 500, ["lead ii", "V1"]).lead_names
        ('II', 'V1')

        Raises:
          InputError: the samples are no such array, or a lead has no name or one too many.
        """
        # They build a Recording themselves.
        from ecgjax.recordings.contents import Channel, Contents, FormatError, Stated  # noqa: PLC0415
        from ecgjax.recordings.normalise import to_recording  # noqa: PLC0415

        samples, names = np.asarray(signal_mv), tuple(lead_names)
        if samples.ndim != 2 or samples.dtype.kind not in "iuf":
            raise InputError(
                f"expected numbers [time, lead], got {samples.dtype} {samples.shape}", "give one column a lead"
            )
        if samples.shape[1] != len(names):
            raise InputError(
                f"{len(names)} lead names for {samples.shape[1]} columns", "name each column once, in order"
            )
        channels = [
            Channel(lead, "mV", fs_hz, column) for lead, column in zip(names, samples.T.astype(float), strict=True)
        ]
        try:
            return to_recording(Contents("array", channels, "", {}, []), Stated(None, None, None, None), name)
        except FormatError as error:
            raise InputError(f"expected an ECG, {error}", "give its samples in mV and its rate in Hz") from None

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return len(self.signal_mv) / self.fs_hz

    def twelve(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """float32 [time, 12] in standard order, and the leads without a single sample, which are NaN.

        Limb leads that are absent follow, at every instant, from two that are there.
        """
        signal_mv = np.full((len(self.signal_mv), len(LEADS)), np.nan, np.float32)
        for column, name in enumerate(self.lead_names):
            if name in LEADS:
                signal_mv[:, LEADS.index(name)] = self.signal_mv[:, column]
        limb = signal_mv[:, : len(LIMB_LEADS)]
        masks = np.isfinite(limb) @ (1 << np.arange(len(LIMB_LEADS)))
        for mask in np.unique(masks):
            # Of one limb lead nothing follows, and where all are there nothing is left to find.
            if 1 < int(mask).bit_count() < len(LIMB_LEADS):
                at = masks == mask
                limb[at] = np.nan_to_num(limb[at]) @ LIMB_COMPLETIONS[mask].T.astype(np.float32)
        return signal_mv, tuple(
            name for name, of_lead in zip(LEADS, signal_mv.T, strict=True) if np.isnan(of_lead).all()
        )


def clipped_problem(lead: str) -> str:
    """How `Recording.problems` says that a lead is clipped."""
    return f"{lead} is clipped"
