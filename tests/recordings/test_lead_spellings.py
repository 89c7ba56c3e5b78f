"""Lead names in the spellings of devices, and leads from potentials of electrodes."""

import ecg_files
import numpy as np
import pytest
from ecg_files import LEADS

from ecgjax.leads import ELECTRODES, ELECTRODES_FROM_LEADS
from ecgjax.recordings.contents import Channel, Contents, Stated
from ecgjax.recordings.lead_names import electrodes_of, lead_of, missing_leads
from ecgjax.recordings.normalise import to_recording

SPELLINGS = {
    "I": ["I", "i", "DI", "D1", "Lead I", "LEAD_I", "lead 1", "ECG I", "EKG-I", "MDC_ECG_LEAD_I", "L1", " 'I' ", "Ⅰ"],
    "II": ["II", "ii", "DII", "Lead II", "ECG_II", "Ableitung II", "ECG Lead II"],
    "III": ["III", "D III", "MDC_ECG_LEAD_III", "lead.III"],
    "aVR": ["aVR", "AVR", "avr", "a VR", "MDC_ECG_LEAD_AVR", "ECG aVR", "Lead aVR"],
    "aVF": ["aVF", "AVF", "ECG AVF"],
    "V1": ["V1", "v1", "C1", "V 1", "ECG V1", "MDC_ECG_LEAD_V1", "ECG-C1"],
    "V3R": ["V3R", "v3r", "RV3", "V3 R", "C3R", "MDC_ECG_LEAD_V3R"],
    "MLII": ["MLII", "mlII"],
    "V9": ["V9"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SPELLINGS.items() for text in texts])
def test_spellings(name, text):
    assert lead_of(text) == (name, 1)


@pytest.mark.parametrize("text", ["-aVR", "−aVR", "ECG -aVR", "- aVR", "Lead -avr"])
def test_turned_leads_are_other_leads(text):
    assert lead_of(text) == ("aVR", -1)


@pytest.mark.parametrize("text", ["ECG", "PLETH", "V10", "IV", "VR", "Resp", "", "lead", "ECG lead"])
def test_what_is_no_lead_keeps_its_name(text):
    assert lead_of(text) == (text, 1)


def test_names_are_printable_and_short():
    name, _ = lead_of("a\nb\0c" * 1000)
    assert name.isprintable()
    assert len(name) == 40


def test_missing_leads():
    assert missing_leads(("I", "II", *LEADS[6:])) == ()
    assert missing_leads(("aVR", "aVF", *LEADS[6:11])) == ("V6",)
    assert missing_leads(("II",)) == tuple(name for name in LEADS if name != "II")


def recording(names, columns_mv, **stated):
    channels = [Channel(name, "mV", 500.0, column) for name, column in zip(names, columns_mv.T, strict=True)]
    contents = Contents("test", channels, "", {}, [])
    return to_recording(
        contents, Stated(**{"fs_hz": None, "units": None, "lead_names": None, "member": None} | stated), "rec"
    )


AHA = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
IEC = ("R", "L", "F", "C1", "C2", "C3", "C4", "C5", "C6")


@pytest.mark.parametrize("names", [AHA, IEC, tuple(f"MDC_ECG_ELEC_POTL_{name}" for name in AHA)])
def test_ten_electrodes_make_twelve_leads(names):
    signal_mv = ecg_files.beats_uv(500) / 1000
    # The neutral electrode moves them all.
    potential_mv = signal_mv @ ELECTRODES_FROM_LEADS.T + np.sin(np.arange(500) / 7)[:, None]
    order = np.random.default_rng(0).permutation(9)
    columns = np.append(potential_mv[:, order], np.zeros((500, 1)), axis=1)
    found = recording([*(names[k] for k in order), "RL"], columns)
    assert found.lead_names == LEADS
    np.testing.assert_allclose(found.signal_mv, signal_mv, atol=1e-6)
    assert "made leads by Wilson's terminal" in found.assumptions[0]
    assert sorted(electrodes_of(names)) == sorted(ELECTRODES)


def test_leads_beside_letters_are_no_potentials():
    assert electrodes_of(["I", "II", "V1", "R", "L", "F"]) == {}
    assert electrodes_of(["R", "L", "V1"]) == {}


def test_orders_and_turned_leads():
    signal_mv = ecg_files.beats_uv(500) / 1000
    cabrera = ("aVL", "I", "-aVR", "II", "aVF", "III", *LEADS[6:])
    columns = signal_mv[:, [LEADS.index(name.strip("-")) for name in cabrera]]
    columns[:, 2] *= -1
    found = recording(cabrera, columns)
    assert found.lead_names == LEADS
    np.testing.assert_array_equal(found.signal_mv, signal_mv.astype(np.float32))
    assert found.assumptions == (
        "-aVR turned into aVR",
        "leads in order aVL, I, aVR, II, aVF, III and 6 more: reordered",
    )


@pytest.mark.parametrize("given", [("I", "II"), ("aVR", "aVF"), ("III", "aVL"), ("I", "II", "III")])
def test_limb_leads_follow_from_two(given):
    signal_mv = ecg_files.beats_uv(500) / 1000
    names = (*given, *LEADS[6:])
    columns = signal_mv[:, [LEADS.index(name) for name in names]]
    columns[:9, 0] = np.nan
    twelve, missing = recording(names, columns).twelve()
    assert missing == ()
    np.testing.assert_allclose(twelve[9:], signal_mv[9:], atol=1e-5)
    is_whole = len(given) > 2
    assert np.isfinite(twelve[:9, :6]).all() == is_whole
    np.testing.assert_array_equal(twelve[:9, 6:], signal_mv[:9, 6:].astype(np.float32))


def test_one_limb_lead_gives_no_other():
    signal_mv = ecg_files.beats_uv(500)[:, [1, 6]] / 1000
    found = recording(("II", "V1"), signal_mv)
    twelve, missing = found.twelve()
    assert missing == tuple(name for name in LEADS if name not in ("II", "V1"))
    np.testing.assert_array_equal(twelve[:, [1, 6]], signal_mv.astype(np.float32))
    assert found.problems == (f"missing: {', '.join(missing)}",)


def test_a_lead_that_is_there_twice():
    signal_mv = ecg_files.beats_uv(500)[:, [1, 6, 1]] / 1000
    found = recording(("II", "V1", "Lead II"), signal_mv)
    assert found.lead_names == ("II", "V1")
    assert found.assumptions == ("lead II is there twice: the first is taken",)


def test_flat_clipped_and_incomplete_leads_are_told():
    signal_mv = 3 * ecg_files.beats_uv(1000)[:, 6:] / 1000
    signal_mv[:, 0] = 0.25
    signal_mv[:, 1] = np.clip(signal_mv[:, 1] * 2, -2.2, 2.2)
    signal_mv[:250, 2] = np.nan
    signal_mv[:, 3] = np.inf
    found = recording(LEADS[6:], signal_mv)
    assert found.problems[1:] == ("V1 is flat", "V2 is clipped", "V3 lacks 25 % of its samples", "V4 is empty")
    assert np.isnan(found.signal_mv[:, 3]).all()
