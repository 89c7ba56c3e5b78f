"""An electrocardiogram from a file: signals in millivolts, and what had to be assumed about them."""

import dataclasses

import numpy as np

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
