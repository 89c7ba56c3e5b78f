"""From what a file says to a recording: names, units, order and rate, with a note of everything assumed."""

import numpy as np

from ecgjax.errors import InputError
from ecgjax.recordings import lead_names
from ecgjax.recordings.contents import Channel, Contents, FormatError, Stated, check_size
from ecgjax.recordings.recording import Recording, clipped_problem

_UNITS_PER_MV = {"v": 1e-3, "mv": 1.0, "uv": 1e3, "nv": 1e6}
_SPELLINGS = {
    "volt": "v", "volts": "v", "mdcdimvolt": "v", "mdcdimv": "v",
    "millivolt": "mv", "millivolts": "mv", "mdcdimmillivolt": "mv", "mdcdimmillivolts": "mv",
    "µv": "uv", "μv": "uv", "microvolt": "uv", "microvolts": "uv", "micv": "uv", "mdcdimmicrovolt": "uv",
    "nanovolt": "nv", "nanovolts": "nv", "mdcdimnanovolt": "nv",
}  # fmt: skip
_NO_UNIT = ("", "nu", "au", "adu", "raw", "none", "count", "counts", "units", "unitless")

_PEAKS = {"V": (3e-5, 0.02), "mV": (0.03, 20.0), "uV": (30.0, 20e3), "nV": (30e3, 20e6)}
"""The size of the tallest deflections of an ECG, in each unit."""

FS_RANGE_HZ = (10.0, 100e3)
_USUAL_HZ = {1000: 100.0, 2500: 250.0, 5000: 500.0, 10000: 1000.0}
"""Number of samples -> the rate at which they are the usual 10 s."""

CLIPPED_S, CLIPPED_LONG_S, CLIPPED_SAMPLES, CLIPPED_MV = 0.008, 0.04, 3, 1.0
"""A lead is clipped where its greatest or least value, so far from its median, is held for so long more than once, or
once for much longer."""

_LISTED = 6


def units_per_mv(unit: str) -> float | None:
    """Of any spelling of a voltage; None for anything else."""
    key = "".join(c for c in unit.strip().lower() if c.isalpha())
    return _UNITS_PER_MV.get(_SPELLINGS.get(key, key))


def is_unstated(unit: str) -> bool:
    """Whether the text says nothing about the unit."""
    return "".join(c for c in unit.lower() if c.isalpha()) in _NO_UNIT


def to_recording(contents: Contents, stated: Stated, name: str) -> Recording:
    """Normalises what a reader found.

    Raises:
      FormatError: no lead is there, or its rate or unit is unknown.
      InputError: what is stated does not fit.
    """
    notes = list(contents.assumptions)
    channels = _named(contents.channels, stated, notes)
    channels = _voltages(channels, stated, notes)
    channels = _chosen(channels, notes)
    channels, fs_hz = _one_rate(channels, stated, notes)
    leads = _leads(channels, notes)
    order = sorted(leads, key=lead_names.place_of)
    if order != list(leads):
        notes.append(f"leads in order {_listed(list(leads))}: reordered")
    longest = max(len(samples) for samples in leads.values())
    check_size(longest, len(leads))
    signal_mv = np.full((longest, len(leads)), np.nan, np.float32)
    for column, lead in enumerate(order):
        signal_mv[: len(leads[lead]), column] = leads[lead]
    signal_mv[~np.isfinite(signal_mv)] = np.nan
    if np.isnan(signal_mv).all():
        raise FormatError("it holds no samples, only gaps")
    return Recording(
        signal_mv=signal_mv,
        fs_hz=fs_hz,
        lead_names=tuple(order),
        format=contents.format,
        name=name,
        started=contents.started,
        patient=contents.patient,
        assumptions=tuple(notes),
        problems=problems(signal_mv, order, fs_hz),
    )


def _named(channels: list[Channel], stated: Stated, notes: list[str]) -> list[Channel]:
    """With the names that are stated or, where the file has none, assumed."""
    if not channels:
        raise FormatError("it holds no signals")
    names: tuple[str, ...] = tuple(channel.name for channel in channels)
    if stated.lead_names is not None:
        if len(stated.lead_names) != len(channels):
            raise InputError(
                f"{len(stated.lead_names)} lead names for {len(channels)} channels", "name each channel once, in order"
            )
        names = stated.lead_names
    elif lead_names.are_numbers(names):
        assumed = lead_names.assumed_names(len(channels))
        if assumed:
            notes.append(f"lead names not stated, taken for {', '.join(assumed)}")
        elif len(channels) > 1:
            notes.append("lead names not stated")
        names = assumed or tuple(text.strip() or f"channel {k}" for k, text in enumerate(names, 1))
    return [Channel(text, c.unit, c.fs_hz, c.samples) for text, c in zip(names, channels, strict=True)]


def _voltages(channels: list[Channel], stated: Stated, notes: list[str]) -> list[Channel]:
    """Those that are voltages, in mV; without a statement the unit is that in which the tallest waves are plausible."""
    if stated.units is not None:
        scale = units_per_mv(stated.units)
        if scale is None:
            raise InputError(f"unknown units {stated.units!r}", "state V, mV, uV or nV")
        known = {channel.unit for channel in channels if units_per_mv(channel.unit) not in (None, scale)}
        if known:
            notes.append(f"the file says {_listed(sorted(known))}, {stated.units} was stated")
        return [Channel(c.name, "mV", c.fs_hz, c.samples / scale) for c in channels]
    found, unstated, other = [], [], []
    for channel in channels:
        scale = units_per_mv(channel.unit)
        if scale is not None:
            samples = channel.samples if scale == 1.0 else channel.samples / scale
            found.append(Channel(channel.name, "mV", channel.fs_hz, samples))
        elif is_unstated(channel.unit):
            unstated.append(channel)
        else:
            other.append(f"{channel.name} in {channel.unit[:20]}")
    if unstated and not found:
        unit, peak = _likely_unit(unstated)
        notes.append(f"units not stated, taken for {unit} since the median peak is {peak:.3g}")
        per_mv = units_per_mv(unit)
        assert per_mv is not None
        found = [Channel(c.name, "mV", c.fs_hz, c.samples / per_mv) for c in unstated]
        unstated = []
    other += [f"{channel.name} without a unit" for channel in unstated]
    if not found:
        raise FormatError(f"none of its channels is a voltage ({_listed(other)})")
    if other:
        notes.append(f"left out, no voltage: {_listed(other)}")
    return found


def _likely_unit(channels: list[Channel]) -> tuple[str, float]:
    """The unit of samples that lack one, and the median over the channels of their tallest waves."""
    peaks = []
    for channel in channels:
        finite = channel.samples[np.isfinite(channel.samples)].astype(float)
        if len(finite) and np.ptp(finite) > 0:
            peaks.append(float(np.percentile(np.abs(finite - np.median(finite)), 99.5)))
    if not peaks:
        raise FormatError("its units are not stated, and all channels are flat: state the units")
    peak = float(np.median(peaks))
    for unit, (low, high) in _PEAKS.items():
        if low <= peak < high:
            return unit, peak
    raise FormatError(f"its units are not stated, and the median peak is {peak:.3g}: state the units")


def _chosen(channels: list[Channel], notes: list[str]) -> list[Channel]:
    """The channels that are leads by name; where none is, those called ECG; where none is, all."""
    names = [channel.name for channel in channels]
    if lead_names.electrodes_of(names):
        return channels
    is_lead = [lead_names.is_lead(lead_names.lead_of(name)[0]) for name in names]
    if not any(is_lead):
        is_lead = ["ecg" in name.lower() or "ekg" in name.lower() for name in names]
    if not any(is_lead):
        return channels
    left_out = [name for name, is_one in zip(names, is_lead, strict=True) if not is_one]
    if left_out:
        notes.append(f"left out, no known lead: {_listed(left_out)}")
    return [channel for channel, is_one in zip(channels, is_lead, strict=True) if is_one]


def _one_rate(channels: list[Channel], stated: Stated, notes: list[str]) -> tuple[list[Channel], float]:
    """All at the highest rate among them, and that rate."""
    longest = max(len(channel.samples) for channel in channels)
    rates = [channel.fs_hz for channel in channels]
    if stated.fs_hz is not None:
        if any(rate is not None and abs(rate - stated.fs_hz) > 1e-3 * rate for rate in rates):
            notes.append(f"the file says {rates[0]:g} Hz, {stated.fs_hz:g} Hz was stated")
        rates = [stated.fs_hz] * len(channels)
    elif None in rates:
        if longest not in _USUAL_HZ:
            raise FormatError(f"it does not say at which rate its {longest} samples were taken: state fs_hz")
        rates = [_USUAL_HZ[longest]] * len(channels)
        notes.append(f"rate not stated, taken for {rates[0]:g} Hz since {longest} samples are then the usual 10 s")
    known = [float(rate) for rate in rates if rate is not None]
    low, high = FS_RANGE_HZ
    if not all(low <= rate <= high for rate in known):
        raise FormatError(f"its rate is {next(r for r in known if not low <= r <= high):g} Hz")
    fs_hz = max(known)
    if min(known) == fs_hz:
        return channels, fs_hz
    slower = [c.name for c, rate in zip(channels, known, strict=True) if rate < fs_hz]
    notes.append(f"{_listed(slower)} recorded at {min(known):g} Hz: resampled to {fs_hz:g} Hz")
    check_size(max(int(len(c.samples) * fs_hz / rate) for c, rate in zip(channels, known, strict=True)), len(channels))
    return [
        Channel(c.name, c.unit, fs_hz, _resampled(c.samples, r, fs_hz)) for c, r in zip(channels, known, strict=True)
    ], fs_hz


def _resampled(samples: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """`[time]` at another rate, with its gaps."""
    if from_hz == to_hz:
        return samples
    from ecgjax.preprocess import resample  # noqa: PLC0415 - filters, which files of one rate do not need

    is_gap = np.isnan(samples)
    whole = resample(np.nan_to_num(samples)[:, None], from_hz, to_hz)[:, 0]
    if is_gap.any():
        whole[is_gap[np.minimum((np.arange(len(whole)) * from_hz / to_hz).astype(int), len(samples) - 1)]] = np.nan
    return whole


def _leads(channels: list[Channel], notes: list[str]) -> dict[str, np.ndarray]:
    """Lead -> samples, in the order of the file."""
    names = [channel.name for channel in channels]
    electrodes = lead_names.electrodes_of(names)
    if electrodes:
        length = max(len(channels[place].samples) for place in electrodes.values())
        potential_mv = {
            electrode: np.append(channels[place].samples, np.full(length - len(channels[place].samples), np.nan))
            for electrode, place in electrodes.items()
        }
        notes.append(
            f"potentials of {_listed([names[k] for k in electrodes.values()])}: made leads by Wilson's terminal"
        )
        return lead_names.leads_from_potentials(potential_mv)
    leads: dict[str, np.ndarray] = {}
    for channel in channels:
        lead, sign = lead_names.lead_of(channel.name)
        lead = lead or "ECG"
        if lead in leads:
            if lead_names.is_lead(lead):
                notes.append(f"lead {lead} is there twice: the first is taken")
                continue
            lead = next(f"{lead} {k}" for k in range(2, len(channels) + 2) if f"{lead} {k}" not in leads)
        if sign < 0:
            notes.append(f"-{lead} turned into {lead}")
        leads[lead] = sign * channel.samples
    return leads


def problems(signal_mv: np.ndarray, names: list[str], fs_hz: float) -> tuple[str, ...]:
    """Leads of `[time, lead]` in mV that are missing, flat, clipped or lack samples, in words."""
    missing = lead_names.missing_leads(names)
    found = [f"missing: {', '.join(missing)}"] if missing else []
    for name, samples in zip(names, signal_mv.T, strict=True):
        finite = samples[np.isfinite(samples)]
        gap = 1 - len(finite) / len(samples)
        if not len(finite):
            found.append(f"{name} is empty")
            continue
        if gap > 0:
            found.append(f"{name} lacks {100 * gap:.2g} % of its samples")
        if np.ptp(finite) == 0:
            found.append(f"{name} is flat")
        elif _is_clipped(finite, fs_hz):
            found.append(clipped_problem(name))
    return tuple(found)


def _is_clipped(samples: np.ndarray, fs_hz: float) -> bool:
    """Whether its greatest or least value is held for long, or for a while more than once."""
    fewest = max(CLIPPED_SAMPLES, CLIPPED_S * fs_hz)
    for extreme in (samples.max(), samples.min()):
        at = np.flatnonzero(samples == extreme)
        if len(at) < fewest or abs(extreme - np.median(samples)) < CLIPPED_MV:
            continue
        lengths = np.diff(np.flatnonzero(np.concatenate([[True], np.diff(at) > 1, [True]])))
        held = lengths[lengths >= fewest]
        if len(held) > 1 or (held >= CLIPPED_LONG_S * fs_hz).any():
            return True
    return False


def _listed(names: list[str]) -> str:
    """The names on one line, the first few of many."""
    shown = ["".join(c if c.isprintable() else "?" for c in name)[:40] for name in names[:_LISTED]]
    return ", ".join(shown) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
