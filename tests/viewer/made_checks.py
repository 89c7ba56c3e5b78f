"""Findings on made recordings, for pages that no network has to be run for."""

import dataclasses

import numpy as np

from ecgjax import leads
from ecgjax.api.check import RIGHT, WRONG, Checked
from ecgjax.explain.placement_attribution import PlacementAttribution
from ecgjax.explain.waves import REST
from ecgjax.leads import LEADS
from ecgjax.placements import repair
from ecgjax.placements.hypotheses import CORRECT, NUM_HYPOTHESES, index_of
from ecgjax.quality.findings import Finding
from ecgjax.recordings.recording import Recording

FS_HZ = 250.0
ARMS = leads.LIMB_SWAPS[0]
NEUTRAL = leads.NEUTRAL_SWAPS[0]


def recording(seconds: float = 12.0, fs_hz: float = FS_HZ, name: str = "made <1>") -> Recording:
    """Narrow beats once a second, of another height in each lead; limb leads follow Einthoven."""
    time_s = np.arange(round(seconds * fs_hz)) / fs_hz
    beat = np.exp(-(((time_s % 1 - 0.4) / 0.02) ** 2)) + 0.2 * np.exp(-(((time_s % 1 - 0.7) / 0.06) ** 2))
    signal_mv = beat[:, None] * (leads.LEADS_FROM_INDEPENDENT @ np.array([0.6, 1.0, -0.5, -0.8, 0.4, 1.2, 1.1, 0.9]))
    return Recording(
        signal_mv=signal_mv.astype(np.float32),
        fs_hz=fs_hz,
        lead_names=LEADS,
        format="WFDB",
        name=name,
        started="2024-03-01T10:22:00",
        patient={"age_years": 63.0, "sex": "female"},
        assumptions=("units not stated, taken for mV",),
        problems=("V2: clipped",),
    )


def checked(wrong: leads.Placement = ARMS, probability: float = 0.9, **changes) -> Checked:
    """A record that was written under `wrong`."""
    made = recording()
    made = dataclasses.replace(made, signal_mv=wrong.apply(made.signal_mv).astype(np.float32), **changes)
    rest = np.full(NUM_HYPOTHESES, (1 - probability) / (NUM_HYPOTHESES - 1))
    rest[index_of(wrong)] = probability
    rest[CORRECT] += 1e-3
    found = repair.decide(made.signal_mv, rest / rest.sum(), 0.5)
    if found.undoing is None:
        return Checked(made, RIGHT, found.sentence, found.probability, (), found)
    findings = (
        Finding("placement", found.undoing.changed, "the arms are exchanged", found.probability, True),
        Finding("noisy", ("V2",), "V2 is noisy (12 dB)", None, False),
    )
    return Checked(made, WRONG, found.sentence, found.probability, findings, found)


def attribution(of: Checked) -> PlacementAttribution:
    """Lead I decided, at the R peaks; V1 spoke a little against it."""
    contributions = np.zeros((1000, 12), np.float32)
    contributions[40::100, 0], contributions[40::100, 6] = 1.0, -0.2
    beat = np.zeros((96, 12), np.float32)
    beat[40, [0, 6]] = 10.0, -2.0
    wave = np.full(96, REST)
    wave[36:45] = 2
    assert of.repair.hypothesis is not None
    return PlacementAttribution(
        best=of.repair.hypothesis,
        rival=CORRECT if of.repair.undoing else index_of(ARMS),
        contributions=contributions,
        fs_hz=100.0,
        start_s=1.0,
        written_beat_mv=of.recording.signal_mv[: 96 * 2 : 2],
        beat=beat,
        wave=wave,
    )
