"""Labels against signals: what a record's labels say is measured back from its twelve leads."""

import numpy as np
import pytest
import scipy.signal

from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.simulate import generate
from ecgjax.simulate.generator import CHUNK

FS_HZ, SECONDS, RECORDS = 100.0, 10.0, 1024
ONE, TWO, THREE, AVR, AVL, AVF, V1, V2, V3, V4, V5, V6 = range(12)


@pytest.fixture(scope="module")
def noisy():
    return generate(3, RECORDS, FS_HZ, SECONDS)


@pytest.fixture(scope="module")
def clean():
    return generate(3, RECORDS, FS_HZ, SECONDS, noise=False)


def _detected_beats(ecg_mv):
    """Sample numbers of the QRS complexes of one record [time, lead]: peaks of the band-passed energy of all leads."""
    sections = scipy.signal.butter(2, (5, 20), "bandpass", fs=FS_HZ, output="sos")
    energy = (scipy.signal.sosfiltfilt(sections, ecg_mv, axis=0) ** 2).sum(axis=1)
    energy = np.convolve(energy, np.hanning(9), "same")
    return scipy.signal.find_peaks(energy, height=0.2 * np.percentile(energy, 97), distance=int(0.25 * FS_HZ))[0]


def _true_beats(record, i):
    beats = record["beat_s"][i]
    return beats[np.isfinite(beats)]


def _sinus_only(record):
    return (record["rhythm"] == "sinus") & ~(record["beat_kind"] > 0).any(axis=1)


def _unremarkable(record):
    normal = (record["conduction"] == "normal") & (record["infarct"] == "none")
    return _sinus_only(record) & normal & ~record["hypertrophy"] & ~record["abnormal_t"] & ~record["low_voltage"]


def _beats_of(record, i, before, after):
    """[beat, time, lead] around the labelled beats of one record."""
    ecg = record["ecg_mv"][i]
    middles = np.rint(_true_beats(record, i) * FS_HZ).astype(int)
    return np.stack([ecg[m - before : m + after] for m in middles if before <= m < len(ecg) - after])


def test_shapes_and_finite_values(noisy):
    ecg = noisy["ecg_mv"]
    assert ecg.shape == (RECORDS, int(FS_HZ * SECONDS), len(LEADS))
    assert ecg.dtype == np.float32
    assert np.isfinite(ecg).all()
    for name, values in noisy.items():
        assert len(values) == RECORDS, name
    for name in ("age_years", "qrs_ms", "qt_ms", "axis_deg", "heart_rate_bpm"):
        assert np.isfinite(noisy[name]).all(), name


def test_amplitudes_are_those_of_an_electrocardiogram(noisy):
    peak = np.abs(noisy["ecg_mv"]).max(axis=(1, 2))
    assert np.percentile(peak, 1) > 0.3
    assert np.median(peak) < 3
    assert peak.max() < 15


def test_einthoven_and_goldberger_hold_in_signal_and_noise(noisy):
    ecg = noisy["ecg_mv"].astype(np.float64)
    np.testing.assert_allclose(ecg[..., ONE] + ecg[..., THREE], ecg[..., TWO], atol=1e-5)
    np.testing.assert_allclose(ecg[..., AVR] + ecg[..., AVL] + ecg[..., AVF], 0, atol=1e-5)


def test_beats_are_where_the_labels_say(noisy):
    errors, found, there = [], 0, 0
    for i in np.flatnonzero(_sinus_only(noisy))[:150]:
        truth, detected = _true_beats(noisy, i), _detected_beats(noisy["ecg_mv"][i]) / FS_HZ
        truth = truth[(truth > 0.3) & (truth < SECONDS - 0.3)]
        apart = np.abs(detected[:, None] - truth[None]).min(axis=0)
        there += len(truth)
        found += (apart < 0.08).sum()
        errors.extend(apart[apart < 0.08])
    assert found / there > 0.99
    assert np.mean(errors) < 0.03


def test_heart_rate_measured_back(noisy):
    sinus = np.flatnonzero(_sinus_only(noisy))[:150]
    measured = np.array([60 * FS_HZ / np.median(np.diff(_detected_beats(noisy["ecg_mv"][i]))) for i in sinus])
    apart = np.abs(measured - noisy["heart_rate_bpm"][sinus])
    assert np.median(apart) < 1.5
    assert np.mean(apart < 5) > 0.93


def test_atrial_fibrillation_is_irregular_and_without_p(noisy, clean):
    def irregularity(i):
        rr = np.diff(_detected_beats(noisy["ecg_mv"][i]))
        return rr.std() / rr.mean()

    calm = _sinus_only(noisy)
    fibrillating = (noisy["rhythm"] == "afib") & ~(noisy["beat_kind"] > 0).any(axis=1)
    assert fibrillating.sum() > 15
    assert np.median([irregularity(i) for i in np.flatnonzero(fibrillating)]) > 0.13
    assert np.median([irregularity(i) for i in np.flatnonzero(calm)[:100]]) < 0.06
    assert np.isnan(noisy["pr_ms"][fibrillating]).all()
    assert np.isfinite(noisy["pr_ms"][calm]).all()


def test_ectopic_beats_come_early_and_ventricular_ones_pause_fully(clean):
    ratios = {1: [], 2: []}
    pauses = []
    for i, rhythm in enumerate(clean["rhythm"]):
        beats, kinds = _true_beats(clean, i), clean["beat_kind"][i][clean["beat_kind"][i] >= 0]
        usual = np.median(np.diff(beats)) if len(beats) > 6 and (kinds > 0).mean() < 0.3 and rhythm == "sinus" else 0
        for k in range(2, len(beats) - 1):
            if usual and kinds[k] > 0 and not kinds[k - 2 : k].any():
                ratios[int(kinds[k])].append((beats[k] - beats[k - 1]) / usual)
                if kinds[k] == 2:
                    pauses.append((beats[k + 1] - beats[k - 1]) / usual)
    for kind, values in ratios.items():
        assert len(values) > 20, kind
        assert np.percentile(values, 95) < 0.95, kind
    assert abs(np.median(pauses) - 2) < 0.1


def test_frontal_axes_follow_from_leads_one_and_avf(clean):
    """Each wave's net area in I and aVF, with the other waves' areas left out by the window."""
    errors = []
    for i in np.flatnonzero(_unremarkable(clean))[:120]:
        beat = np.median(_beats_of(clean, i, 30, 45), axis=0)
        half = int(np.ceil(clean["qrs_ms"][i] / 20)) + 1
        window = beat[30 - half : 30 + half + 1]
        flat = (window[:1] + window[-1:]) / 2
        area = (window - flat).sum(axis=0)
        if np.hypot(area[ONE], area[AVF]) < 0.8:
            continue
        measured = np.rad2deg(np.arctan2(2 / np.sqrt(3) * area[AVF], area[ONE]))
        errors.append(np.abs((measured - clean["axis_deg"][i] + 180) % 360 - 180))
    assert len(errors) > 40
    assert np.median(errors) < 8
    assert np.percentile(errors, 90) < 25


def test_axis_turns_left_with_age(clean):
    normal = _unremarkable(clean)
    slope = np.polyfit(clean["age_years"][normal], clean["axis_deg"][normal], 1)[0]
    assert slope < -0.2


@pytest.mark.slow
def test_qrs_duration_measured_back():
    """QRS duration from the speed of the vector at 500 Hz, without noise."""
    records = generate(5, 64, 500.0, 4.0, noise=False)
    errors = []
    for i in np.flatnonzero(_unremarkable(records) & (records["heart_rate_bpm"] < 80)):
        ecg = records["ecg_mv"][i][:, [ONE, TWO, V1, V2, V3, V4, V5, V6]]
        middle = int(_true_beats(records, i)[2] * 500)
        beat = ecg[middle - 60 : middle + 60]
        speed = np.linalg.norm(np.diff(beat, axis=0), axis=1)
        # Three deviations from the first and last kernels' middles lie 1-4 % of the greatest speed.
        active = np.flatnonzero(speed > 0.04 * speed.max())
        errors.append(2 * (active[-1] - active[0]) - records["qrs_ms"][i])
    assert len(errors) > 15
    assert abs(np.median(errors)) < 15


def test_p_wave_leads_the_qrs_by_the_pr_interval(clean):
    """The P peak lies half a P after its onset; PR and the time from its peak to the QRS go together."""
    sinus = np.flatnonzero(_unremarkable(clean) & (clean["heart_rate_bpm"] < 85))[:150]
    lead_ms = []
    for i in sinus:
        beat = np.median(_beats_of(clean, i, 42, 10), axis=0)
        onset = 42 - int(clean["qrs_ms"][i] / 20)
        size = np.linalg.norm(beat - beat[onset - 1], axis=1)[onset - 30 : onset - 2]
        lead_ms.append(10 * (42 - (onset - 30) - np.argmax(size)) - clean["qrs_ms"][i] / 2)
    assert np.corrcoef(lead_ms, clean["pr_ms"][sinus])[0, 1] > 0.7
    assert 40 < np.median(clean["pr_ms"][sinus] - lead_ms) < 75


def test_r_wave_grows_across_the_chest(clean):
    normal = np.flatnonzero(_unremarkable(clean))[:200]
    beats = np.stack([np.median(_beats_of(clean, i, 12, 12), axis=0) for i in normal])
    r, s = np.median(beats.max(axis=1), axis=0), -np.median(beats.min(axis=1), axis=0)
    assert r[V1] < r[V2] < r[V3] < r[V4]
    assert r[V1] < s[V1]
    assert s[AVR] > r[AVR]
    assert (r[[TWO, V5, V6]] > s[[TWO, V5, V6]]).all()


def test_conduction_shows_in_the_leads(clean):
    def late_mean(kind, lead):
        """Mean of the second half of the QRS over the records of a kind."""
        values = []
        for i in np.flatnonzero(clean["conduction"] == kind):
            if clean["rhythm"][i] == "sinus" and clean["infarct"][i] == "none":
                beat = np.median(_beats_of(clean, i, 12, 12), axis=0)
                values.append(beat[13 : 13 + int(clean["qrs_ms"][i] / 25), lead].mean())
        assert len(values) > 3, kind
        return np.median(values)

    assert late_mean("rbbb", V1) > late_mean("normal", V1) + 0.1
    assert late_mean("lbbb", V1) < late_mean("rbbb", V1) - 0.3
    assert late_mean("lbbb", V6) > late_mean("rbbb", V6)
    broad = np.isin(clean["conduction"], ("rbbb", "lbbb", "rbbb+lafb"))
    assert clean["qrs_ms"][broad].min() > 119
    assert clean["qrs_ms"][clean["conduction"] == "normal"].max() < 120
    turned = clean["axis_deg"][clean["conduction"] == "lafb"]
    assert np.median(turned) < np.median(clean["axis_deg"][clean["conduction"] == "normal"]) - 40


@pytest.mark.slow
def test_prevalences_follow_the_table():
    records = generate(8, 4 * RECORDS, 50.0, 1.0, noise=False)
    assert abs(np.mean(records["rhythm"] == "afib") - 0.055) < 0.02
    assert 0.7 < np.mean(records["infarct"] == "none") < 0.88
    assert 0.65 < np.mean(records["conduction"] == "normal") < 0.85
    old = records["age_years"] > 70
    assert np.mean(records["rhythm"][old] == "afib") > 2 * np.mean(records["rhythm"][~old] == "afib")


def test_a_record_depends_on_seed_and_heart_alone(noisy):
    part = generate(3, 40, FS_HZ, SECONDS, first_heart=CHUNK - 20)
    assert part["heart_id"].tolist() == list(range(CHUNK - 20, CHUNK + 20))
    for name, values in part.items():
        np.testing.assert_array_equal(values, noisy[name][CHUNK - 20 : CHUNK + 20], err_msg=name)
    other = generate(4, 40, FS_HZ, SECONDS, first_heart=CHUNK - 20)
    assert np.abs(other["ecg_mv"] - part["ecg_mv"]).max(axis=(1, 2)).min() > 0.1


def test_same_heart_without_noise_has_the_same_labels(noisy, clean):
    for name in set(noisy) - {"ecg_mv"}:
        np.testing.assert_array_equal(noisy[name], clean[name], err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 100.0, 10.0), "at least one"),
        ((0, 1, 10.0, 10.0), "50 to 2000 Hz"),
        ((0, 1, 100.0, 0.1), "1 to 120 s"),
        ((0, 1, 100.0, 10.0, -1), "from 0"),
    ],
)
def test_impossible_requests_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        generate(*arguments)
