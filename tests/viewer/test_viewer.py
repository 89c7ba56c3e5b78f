"""What the viewer holds is what was given to it: packing, gaps, bounds, and how leads were put right."""

import base64
import dataclasses
import json
import re

import made_checks
import numpy as np
import pytest

from ecgjax import leads
from ecgjax.leads import LEADS
from ecgjax.placements import repair
from ecgjax.viewer import viewer


def content(html):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.S)[1])


def unpacked(data):
    """`[time, lead]` in mV as the script reads it."""
    units = np.frombuffer(base64.b64decode(data["samples"]), "<i2").reshape(-1, data["num_samples"]).T
    held = np.full((data["num_samples"], len(data["leads"])), np.nan)
    held[:, data["stored"]] = np.where(units == -32768, np.nan, units * data["mv_per_unit"])
    return held


@pytest.mark.parametrize("highest_mv", [1.0, 300.0])
def test_signals_are_kept_to_half_a_unit_and_gaps_stay(highest_mv):
    signal_mv = np.random.default_rng(0).uniform(-highest_mv, highest_mv, (500, 12)).astype(np.float32)
    signal_mv[10:20, 3], signal_mv[:, 5] = np.nan, np.nan
    data = content(viewer.viewer(signal_mv, 500.0, LEADS, label="x"))
    assert data["mv_per_unit"] == pytest.approx(max(0.001, np.nanmax(np.abs(signal_mv)) / 32767))
    assert len(data["stored"]) == 11
    np.testing.assert_allclose(unpacked(data), signal_mv, atol=0.51 * data["mv_per_unit"])


@pytest.mark.parametrize(
    ("fs_hz", "minutes", "kept_hz", "said"),
    [
        (500.0, 1, 500.0, ""),
        (500.0, 30, 250.0, "drawn at 250 Hz, means of 2 samples"),
        (250.0, 300, 125.0, "drawn at 125 Hz, means of 2 samples, the first 83 of 300 min"),
    ],
)
def test_long_records_are_bounded_and_say_so(monkeypatch, fs_hz, minutes, kept_hz, said):
    # Fewer leads, and room for as many minutes of them.
    monkeypatch.setattr(viewer, "MOST_VALUES", viewer.MOST_VALUES // 4)
    signal_mv = np.ones((round(60 * minutes * fs_hz), 1), np.float32)
    packed = viewer.pack(signal_mv, fs_hz)
    assert packed.units.size <= viewer.MOST_VALUES
    assert (packed.fs_hz, packed.said) == (pytest.approx(kept_hz), said)
    assert (packed.units == 1000).all()


@pytest.mark.parametrize(
    "wrong", [leads.LIMB_SWAPS[0], leads.LIMB_CYCLES[0], leads.swap(("V1", "V3")), leads.swap(("LA", "V2"))]
)
def test_the_script_can_undo_what_repair_undoes(wrong):
    true_mv = made_checks.recording().signal_mv
    written_mv = wrong.apply(true_mv).astype(np.float32)
    undoing = repair.undoing(wrong)
    data = content(viewer.viewer(written_mv, 250.0, LEADS, label="x", undoing=undoing))
    held = unpacked(data)
    undone = np.stack([sum(weight * held[:, source] for source, weight in row) for row in data["undo"]], axis=1)
    np.testing.assert_allclose(undone, true_mv, atol=0.003)
    assert data["changed"] == list(undoing.changed) == list(data["notes"])


def test_lost_leads_and_others_beyond_the_twelve():
    undoing = repair.undoing(made_checks.NEUTRAL)
    signal_mv = np.zeros((10, 13), np.float32)
    data = content(viewer.viewer(signal_mv, 250.0, (*LEADS, "V3R"), label="x", undoing=undoing))
    assert [name for name, row in zip(data["leads"], data["undo"], strict=True) if row is None] == list(undoing.lost)
    assert data["undo"][12] == [[12, 1.0]]
    assert {data["notes"][name] for name in undoing.lost} == {"lost"}


def test_notes_name_the_written_lead_and_its_sign():
    data = content(viewer.viewer(np.zeros((10, 12)), 250.0, LEADS, label="x", undoing=repair.undoing(made_checks.ARMS)))
    assert data["notes"] == {"I": "was −I", "II": "was III", "III": "was II", "aVR": "was aVL", "aVL": "was aVR"}


def test_text_cannot_leave_its_element():
    html = viewer.viewer(np.zeros((10, 1)), 250.0, ("</script><b>",), label="</script>")
    assert html.count("</script>") == 1
    assert content(html)["leads"] == ["</script><b>"]


def test_heat_is_scaled_to_its_largest():
    heat = viewer.Heat(np.array([[0.5, 0], [-1, 0.25]]), 100.0, 2.0)
    data = content(viewer.viewer(np.zeros((10, 2)), 250.0, ("I", "II"), label="x", heat=heat))["heat"]
    values = np.frombuffer(base64.b64decode(data["values"]), np.int8).reshape(2, 2).T
    np.testing.assert_array_equal(values, [[64, 0], [-127, 32]])
    assert (data["start_s"], data["num_samples"]) == (2.0, 2)
    silent = dataclasses.replace(heat, values=np.zeros((2, 2)))
    assert set(
        content(viewer.viewer(np.zeros((9, 2)), 250.0, ("I", "II"), label="x", heat=silent))["heat"]["values"]
    ) == {"A", "="}
