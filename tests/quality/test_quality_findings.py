"""Faults made in real records are found and named, and right records are left alone."""

import csv
import subprocess
import sys

import numpy as np
import pytest

import ecgjax
from ecgjax.leads import LEADS, PLACEMENTS
from ecgjax.quality.findings import KINDS
from ecgjax.quality.judge import judge
from ecgjax.recordings.recording import Recording, clipped_problem

ALL = np.arange(12)
OF_LIMB, OF_CHEST = (ALL < 6), (ALL >= 6)


def recording(signal_mv, fs_hz=100.0, names=LEADS, problems=()):
    return Recording(signal_mv.astype(np.float32), fs_hz, tuple(names), "test", "made", "", {}, (), tuple(problems))


def faults(signal_mv, **changed):
    return [finding for finding in judge(recording(signal_mv, **changed)) if finding.is_fault]


@pytest.fixture(scope="module")
def held_out(sample_data):
    """float32 [record, time, 12]: records of fold 9."""
    folder = sample_data / "ptb-xl"
    with (folder / "ptbxl_database.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["strat_fold"] == "9"][::8]
    return np.stack([ecgjax.load(folder / f"{row['filename_lr']}.hea").signal_mv for row in rows])


def shown(held_out, change, kind, concerned):
    """The share of records in which a fault of this kind and of just these leads is found once changed."""
    wanted = tuple(name for name, is_one in zip(LEADS, concerned, strict=True) if is_one)
    found = [faults(change(signal_mv)) for signal_mv in held_out]
    return np.mean([any(one.kind == kind and one.leads == wanted for one in of_record) for of_record in found])


def test_right_records_are_left_alone(held_out):
    found = [finding for signal_mv in held_out for finding in faults(signal_mv)]
    assert len(found) <= 2


def test_exchanged_electrodes_break_no_rule(held_out):
    found = [
        finding
        for k, signal_mv in enumerate(held_out)
        for finding in faults(PLACEMENTS[1 + k % (len(PLACEMENTS) - 1)].apply(signal_mv))
        if finding.kind != "flat"
    ]
    assert len(found) <= 2
    assert not any(finding.kind in ("order", "contradiction") for finding in found)


@pytest.mark.parametrize("lead", LEADS)
def test_a_turned_lead_is_named(held_out, lead):
    concerned = np.array(LEADS) == lead
    least = 1.0 if concerned @ OF_LIMB else 0.8
    assert shown(held_out, lambda s: s * np.where(concerned, -1, 1), "polarity", concerned) >= least


@pytest.mark.parametrize(("concerned", "least"), [(OF_LIMB, 0.4), (OF_CHEST, 0.4), (ALL >= 0, 0.8)])
def test_turned_groups_of_leads_are_named(held_out, concerned, least):
    assert shown(held_out, lambda s: s * np.where(concerned, -1, 1), "polarity", concerned) >= least


@pytest.mark.parametrize("factor", [1000.0, 10.0, 0.1])
@pytest.mark.parametrize("concerned", [ALL >= 0, OF_LIMB, ALL == 1, ALL == 9], ids=["all", "limb", "II", "V4"])
def test_a_wrong_gain_is_named(held_out, concerned, factor):
    assert shown(held_out[:30], lambda s: s * np.where(concerned, factor, 1), "gain", concerned) >= 0.8


def test_microvolts_taken_for_millivolts_are_suspected(held_out):
    (finding,) = faults(1000 * held_out[0])
    assert finding.sentence.startswith("all leads are about 1000 times too large, as when uV are taken for mV")
    assert finding.probability > 0.99


def test_the_limb_laws_give_the_factor(held_out):
    (finding,) = faults(held_out[0] * np.where(ALL == 4, 2, 1))
    assert finding.sentence.startswith("aVL is 2 times too large, by the laws among limb leads")


def test_exchanged_names_are_told(held_out):
    order = [0, 1, 2, 4, 3, *range(6, 12)]
    (finding,) = faults(held_out[0][:, [*order[:5], 5, *order[5:]]])
    assert finding.kind == "order"
    assert finding.leads == ("aVR", "aVL")
    assert "what is called aVR is aVL, aVL is aVR" in finding.sentence


def test_limb_leads_of_different_times_contradict_each_other(held_out):
    found = faults(np.where(ALL < 3, np.roll(held_out[0], 10, axis=0), held_out[0]))
    assert ("contradiction", LEADS[:6]) in [(finding.kind, finding.leads) for finding in found]


@pytest.mark.parametrize("lead", [1, 8])
def test_leads_without_signal_are_named(held_out, lead):
    constant, part, noise = (held_out[0].copy() for _ in range(3))
    constant[:, lead] = 0.3
    part[300:600, lead] = part[300, lead]
    noise[:, lead] = np.random.default_rng(0).normal(0, 0.02, len(noise))
    for changed, text in (
        (constant, "is flat, without any signal"),
        (part, "is flat for 30 % of the time"),
        (noise, "has no heartbeat"),
    ):
        (finding,) = faults(changed)
        assert finding.kind == "flat"
        assert finding.sentence.startswith(f"{LEADS[lead]} {text}")


def test_a_chest_lead_of_another_record_is_out_of_step(held_out):
    found = faults(np.where(ALL == 8, held_out[1], held_out[0]))
    assert ("contradiction", ("V3",)) in [(finding.kind, finding.leads) for finding in found]


def test_noise_of_every_sort_is_named(held_out):
    rng, time_s = np.random.default_rng(0), np.arange(5000) / 500
    clean = np.repeat(held_out[0], 5, axis=0)
    made = {
        "hum of the power line of 0.1": 0.1 * np.sin(2 * np.pi * 50 * time_s),
        "muscle noise of": rng.normal(0, 0.3, 5000),
        "a baseline that wanders by 2.9": 1.5 * np.sin(2 * np.pi * 0.1 * time_s),
        "a baseline that jumps by": 2.0 * (time_s > 5),
    }
    for text, noise_mv in made.items():
        found = judge(recording(clean + np.where(ALL == 10, 1, 0) * noise_mv[:, None], 500.0))
        (sentence,) = [finding.sentence for finding in found if text in finding.sentence]
        assert sentence.startswith("V5 has ")


def test_the_limb_electrode_that_is_noisy_is_blamed(held_out):
    ra_mv = np.random.default_rng(0).normal(0, 0.2, (1000, 1))
    noisy = held_out[0] + ra_mv * [-1, -1, 0, 1, -0.5, -0.5, *[-1 / 3] * 6]
    assert any("from electrode RA" in finding.sentence for finding in judge(recording(noisy)))


def test_what_the_reader_noted_is_told(held_out):
    found = judge(recording(held_out[0], problems=[clipped_problem("V2"), clipped_problem("V3")]))
    assert [finding.leads for finding in found if finding.kind == "clipped"] == [("V2", "V3")]


def test_what_is_missing_is_told(held_out):
    signal_mv = held_out[0].copy()
    signal_mv[:, 9], signal_mv[200:400, 3] = np.nan, np.nan
    found = judge(recording(signal_mv[:, :11], names=LEADS[:11]))
    assert [(finding.leads, finding.is_fault) for finding in found] == [
        (("V4",), True),
        (("V6",), False),
        (("aVR",), False),
    ]


def test_a_page_of_columns_is_judged_by_what_stands_together(held_out):
    column = np.arange(1000)[:, None] // 250
    page = np.where(column == ALL // 3, held_out[0], np.nan)
    assert not faults(page)
    assert [finding.leads for finding in faults(page * np.where(ALL == 2, -1, 1))] == [("III",)]


@pytest.mark.parametrize("num_samples", [1, 2, 5, 30, 100, 199, 350])
@pytest.mark.parametrize("fs_hz", [10.0, 60.0, 137.0, 1000.0])
def test_records_of_any_length_and_rate_are_judged(num_samples, fs_hz, held_out):
    for count in (1, 2, 8, 12):
        for signal_mv in (held_out[0][:num_samples, :count], np.full((num_samples, count), np.nan)):
            found = judge(recording(signal_mv, fs_hz, LEADS[:count]))
            assert all(finding.kind in KINDS and finding.sentence[-1] != "." for finding in found)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-3, 1e5, 1e30])
def test_nonsense_is_no_surprise(scale):
    rng = np.random.default_rng(0)
    for names in (("ECG",), ("MLII", "V5"), LEADS):
        signal_mv = scale * rng.normal(size=(2000, len(names)))
        signal_mv[rng.random(signal_mv.shape) < 0.1] = np.nan
        assert judge(recording(signal_mv, 360.0, names))


def test_an_hour_is_judged_by_stretches(held_out):
    hour = np.tile(held_out[0], (360, 1))
    hour[:, 7] *= -1
    assert [finding.leads for finding in faults(hour)] == [("V2",)]


def test_findings_come_worst_first(held_out):
    signal_mv = held_out[0] * np.where(ALL == 0, -1, 1)
    signal_mv[:, 8], signal_mv[:50, 9] = 0, np.nan
    found = judge(recording(signal_mv))
    assert [finding.kind for finding in found] == ["flat", "polarity", "missing"]


def test_it_starts_without_jax():
    code = "import sys, ecgjax.quality.judge; print({'jax', 'scipy'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
