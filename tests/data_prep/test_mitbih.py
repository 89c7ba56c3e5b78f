from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from data_prep.mitbih import BY_BEAT, DS1, DS2, PACED, VALIDATION, read_annotations
from ecgjax.data.heartbeats import BEFORE_SAMPLES, CLASS_OF_SYMBOL, FS_HZ, LEAD_NAMES, WINDOW_SAMPLES
from ecgjax.data.records import load_split
from ecgjax.data.split import Split
from ecgjax.errors import InputError

RAW_HZ = 360
SAMPLES = 12 * RAW_HZ
R_SAMPLES = np.arange(100, SAMPLES, 300)
SYMBOLS = ["N", "L", "A", "V", "!", "F", "E", "Q", "N", "x", "J", "N", "/", "N", "N"]
"""Two of them no beats."""
BEATS = [k for k, symbol in enumerate(SYMBOLS) if symbol in CLASS_OF_SYMBOL]


def mlii_mv() -> np.ndarray:
    """A slow wave with a bump of 1 mV at every annotation."""
    time = np.arange(SAMPLES)
    bumps = np.exp(-0.5 * ((time[:, None] - R_SAMPLES) / 8) ** 2).sum(axis=1)
    return bumps + 0.2 * np.sin(2 * np.pi * 0.5 * time / RAW_HZ)


def write_recording(folder: Path, name: str, leads: tuple[str, ...] = ("MLII", "V1"), fs_hz: int = RAW_HZ) -> None:
    folder.mkdir(exist_ok=True)
    signal_mv = np.stack([mlii_mv() if lead == "MLII" else np.cos(np.arange(SAMPLES) / 9) for lead in leads], axis=1)
    count = len(leads)
    wfdb.wrsamp(
        name,
        fs=fs_hz,
        units=["mV"] * count,
        sig_name=list(leads),
        p_signal=signal_mv,
        fmt=["16"] * count,
        adc_gain=[2000.0] * count,
        baseline=[0] * count,
        write_dir=str(folder),
    )
    write_annotations(folder, name, R_SAMPLES, SYMBOLS)


def write_annotations(folder: Path, name: str, samples: np.ndarray, symbols: list[str]) -> None:
    wfdb.wrann(name, "atr", np.asarray(samples), symbol=symbols, write_dir=str(folder))


def load(out: str, variant: str, split: str = "all") -> Split:
    return load_split("mitbih", variant, split, out, None, WINDOW_SAMPLES / FS_HZ)


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    """Two recordings of DS1, one of them for validation, one of DS2, one paced."""
    folder = tmp_path / "mitdb"
    for name in ("101", "124", "104"):
        write_recording(folder, name)
    write_recording(folder, "114", leads=("V5", "MLII"))
    write_recording(folder, "100", leads=("V5", "V2"))
    return folder


def test_halves_of_the_protocol():
    assert len(set(DS1)) == len(set(DS2)) == 22
    assert len({*DS1, *DS2, *PACED}) == 48
    assert set(VALIDATION) < set(DS1)


def test_recordings_stay_in_their_half(raw_dir, prepare_into):
    out = prepare_into("mitbih", raw_dir)
    assert {split: set(load(out, "ds1_ds2", split).patient_ids) for split in ("train", "validation", "test")} == {
        "train": {"101", "114"},
        "validation": {"124"},
        "test": {"100"},
    }


def test_a_record_is_a_beat_with_its_labels(raw_dir, prepare_into):
    out = prepare_into("mitbih", raw_dir)
    split = load(out, "ds1_ds2", "validation")
    assert split.ecg.shape == (len(BEATS), WINDOW_SAMPLES, len(LEAD_NAMES))
    assert split.record_ids.tolist() == [f"124 {k:05}" for k in range(len(BEATS))]
    symbols = [SYMBOLS[k] for k in BEATS]
    assert split.labels["symbol"].tolist() == symbols
    assert split.labels["beat_class"].tolist() == [CLASS_OF_SYMBOL[s] for s in symbols]
    np.testing.assert_array_equal(split.labels["is_abnormal"], split.labels["beat_class"] != "N")
    r_s = R_SAMPLES[BEATS] / RAW_HZ
    np.testing.assert_allclose(split.labels["rr_before_s"][1:], np.diff(r_s), rtol=1e-6)
    np.testing.assert_allclose(split.labels["rr_after_s"][:-1], np.diff(r_s), rtol=1e-6)
    assert np.isnan(split.labels["rr_before_s"][0])
    assert split.labels["cut_samples"][0] == round(1.2 * FS_HZ * 300 / RAW_HZ)


def test_windows_are_the_recording_at_125_hz(raw_dir, prepare_into):
    out = prepare_into("mitbih", raw_dir)
    split = load(out, "ds1_ds2", "train")
    beats = split.ecg[split.patient_ids == "114"] / split.gain
    raw_s = np.arange(SAMPLES) / RAW_HZ
    for beat, r_sample in zip(beats[1:-2], R_SAMPLES[BEATS][1:-2], strict=True):
        r = round(r_sample * FS_HZ / RAW_HZ)
        time_s = np.arange(r - BEFORE_SAMPLES, r - BEFORE_SAMPLES + WINDOW_SAMPLES) / FS_HZ
        np.testing.assert_allclose(beat[:, 0], np.interp(time_s, raw_s, mlii_mv()), atol=0.02)
        np.testing.assert_allclose(beat[:, 1], np.cos(time_s * RAW_HZ / 9), atol=0.02)
        assert abs(np.argmax(beat[:150, 0]) - BEFORE_SAMPLES) <= 1
    typical = np.median(beats[..., :2], axis=0)
    np.testing.assert_allclose(beats[..., 2:], np.broadcast_to(typical, beats[..., 2:].shape), atol=1e-3)


def test_without_mlii_the_first_lead_is_taken(raw_dir, prepare_into):
    out = prepare_into("mitbih", raw_dir)
    beats = load(out, "ds1_ds2", "test").ecg / 1000
    np.testing.assert_allclose(np.ptp(beats[1:-2, :, 0], axis=1), 2, atol=0.1)


def test_by_beat_divides_every_class(tmp_path, prepare_into):
    folder = tmp_path / "mitdb"
    for name in ("100", "101", "102", "103", "105", "106", "107", "108"):
        write_recording(folder, name)
    out = prepare_into("mitbih/by_beat", folder)
    splits = {name: load(out, "by_beat", name) for name in BY_BEAT}
    ids = np.concatenate([split.record_ids for split in splits.values()])
    assert len(set(ids)) == len(ids) == 8 * len(BEATS)
    counts = {name: Counter(split.labels["beat_class"].tolist()) for name, split in splits.items()}
    for beat_class, total in Counter(CLASS_OF_SYMBOL[SYMBOLS[k]] for k in BEATS).items():
        for name, share in BY_BEAT.items():
            assert abs(counts[name][beat_class] - share * 8 * total) <= 1
    test = splits["test"]
    np.testing.assert_array_equal(test.patient_ids, test.record_ids)
    assert (np.char.partition(test.record_ids, " ")[:, 0] == test.labels["recording"]).all()


def lose(suffix: str):
    return lambda folder: (folder / f"124.{suffix}").unlink()


def annotate(samples: list[int], symbols: list[str]):
    return lambda folder: write_annotations(folder, "124", np.array(samples), symbols)


def lose_a_lead(folder: Path) -> None:
    write_recording(folder, "124", leads=("MLII",))


def other_rate(folder: Path) -> None:
    write_recording(folder, "124", fs_hz=250)


DAMAGE = {
    "no annotations": (lose("atr"), "no file .*124.atr"),
    "no signal": (lose("dat"), "no file .*124.dat"),
    "annotations of nothing": (lambda folder: (folder / "124.atr").write_bytes(b"\x01"), "124.atr is no annotation"),
    "no beat": (annotate([20, 90], ["+", "~"]), "annotates no beat"),
    "two beats at once": (annotate([100, 400, 400], ["N", "V", "N"]), "no beat after the one at sample 400"),
    "a beat after the end": (annotate([100, SAMPLES], ["N", "N"]), f"ends at {SAMPLES}"),
    "one lead": (lose_a_lead, "expected two leads, the header has 1"),
    "another rate": (other_rate, "expected a sampling rate of 360 Hz, the header gives 250 Hz"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("variant", ["ds1_ds2", "by_beat"])
def test_bad_recordings_are_named_or_skipped(raw_dir, prepare_into, capsys, name, variant):
    damage, message = DAMAGE[name]
    damage(raw_dir)
    with pytest.raises(InputError, match=f"124: .*{message}"):
        prepare_into(f"mitbih/{variant}", raw_dir)
    out = prepare_into(f"mitbih/{variant}", raw_dir, skip_bad=True)
    assert "skipped 1 records" in capsys.readouterr().out
    assert "124" not in load(out, variant).labels["recording"]


@pytest.mark.parametrize("variant", ["ds1_ds2", "by_beat"])
def test_folders_of_something_else(tmp_path, prepare_into, variant):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no \.hea file"):
        prepare_into(f"mitbih/{variant}", empty)
    write_recording(empty, "800")
    with pytest.raises(InputError, match="recording '800' in .* none of the 48"):
        prepare_into(f"mitbih/{variant}", empty)


def test_real_annotations_are_counted_in_full(sample_data):
    names = [path.stem for path in sorted((sample_data / "mitdb").glob("*.hea"))]
    found: Counter = Counter()
    for name in names:
        found.update(CLASS_OF_SYMBOL[s] for s in read_annotations(str(sample_data / "mitdb" / name)).symbols)
    # By the numbers of the annotation format, not the letters.
    codes: Counter = Counter()
    for name in names:
        path = str(sample_data / "mitdb" / name)
        codes.update(wfdb.rdann(path, "atr", return_label_elements=["label_store"]).label_store)
    assert found["N"] == sum(codes[k] for k in (1, 2, 3, 11, 34))
    assert found["V"] == codes[5] + codes[10]
    assert found["F"] == codes[6]
    assert found["S"] == sum(codes[k] for k in (4, 7, 8, 9))
    assert found["Q"] == sum(codes[k] for k in (12, 13, 38))


def test_real_beats_have_their_peak_at_r(sample_data, tmp_path, prepare_into):
    raw_dir = tmp_path / "mitdb"
    raw_dir.mkdir()
    for name in ("114", "124", "232"):
        for path in (sample_data / "mitdb").glob(f"{name}.*"):
            (raw_dir / path.name).symlink_to(path)
    out = prepare_into("mitbih", raw_dir)
    split = load(out, "ds1_ds2")
    counts = Counter(zip(split.labels["recording"].tolist(), split.labels["beat_class"].tolist(), strict=True))
    assert counts == {
        **{("114", "N"): 1820, ("114", "S"): 12, ("114", "V"): 43, ("114", "F"): 4},
        **{("124", "N"): 1536, ("124", "S"): 31, ("124", "V"): 47, ("124", "F"): 5},
        **{("232", "N"): 398, ("232", "S"): 1382},
    }
    beats = split.ecg[..., 0].astype(float)
    around = np.abs(beats - np.median(beats, axis=1, keepdims=True))[:, BEFORE_SAMPLES - 6 : BEFORE_SAMPLES + 7]
    assert np.mean(np.abs(np.argmax(around, axis=1) - 6) <= 1) > 0.98
