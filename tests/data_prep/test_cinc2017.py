from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from data_prep.cinc2017 import find_entries
from data_prep.stratified import stratified_parts
from ecgjax.crossval import NUM_PARTS, part_split
from ecgjax.data.records import load_split
from ecgjax.data.rhythms import CLASSES, FS_HZ
from ecgjax.errors import InputError

RHYTHMS = {f"A{k:05}": CLASSES[k % 4] for k in range(1, 41)}
LABELS = "".join(f"{name},{rhythm}\n" for name, rhythm in RHYTHMS.items())


def digital(name: str) -> np.ndarray:
    """Samples [time] of a recording of 1 s and some more."""
    number = int(name[1:])
    return np.cumsum(np.random.default_rng(number).integers(-20, 21, 300 + 7 * number))


def write(folder: Path, name: str, samples: np.ndarray, fs_hz: int = 300) -> None:
    """As the challenge distributes it: a file of MATLAB's version 4, whose head is skipped."""
    scipy.io.savemat(folder / f"{name}.mat", {"val": samples[None].astype(np.int16)}, format="4")
    header = f"{name} 1 {fs_hz} {len(samples)} 05:05:15 1/05/2000 \n{name}.mat 16+24 1000/mV 16 0 -127 0 0 ECG \n"
    (folder / f"{name}.hea").write_text(header)


@pytest.fixture
def raw_dir(tmp_path: Path) -> Path:
    """The archive, in which A00009 is a copy of A00001."""
    folder = tmp_path / "challenge" / "training2017"
    folder.mkdir(parents=True)
    for name in RHYTHMS:
        write(folder, name, digital("A00001" if name == "A00009" else name))
    (folder.parent / "REFERENCE-v3.csv").write_text(LABELS)
    return folder.parent


def load(out: str, split: str = "all"):
    return load_split("cinc2017", "default", split, out, None, 3.0)


def test_recordings_are_whole_and_in_millivolts(raw_dir, prepare_into):
    split = load(prepare_into("cinc2017", raw_dir))
    assert sorted(split.record_ids) == list(RHYTHMS)
    assert split.fs_hz == FS_HZ
    assert split.lead_names == ("I",)
    for row, name in enumerate(split.record_ids):
        samples = digital("A00001" if name == "A00009" else name)
        count = split.labels["num_samples"][row]
        assert count == len(samples)
        np.testing.assert_array_equal(split.ecg[row, :count, 0] / split.gain, samples / 1000)
        assert not split.ecg[row, count:].any()
        assert split.labels["rhythm"][row] == RHYTHMS[name]


def test_files_hold_fold_0_and_copies_stay_together(raw_dir, prepare_into):
    out = prepare_into("cinc2017", raw_dir)
    for name in ("train", "validation", "test"):
        assert {part_split(part, 0) for part in load(out, name).labels["part"]} == {name}
    split = load(out)
    first, second = (list(split.record_ids).index(name) for name in ("A00001", "A00009"))
    assert split.labels["part"][first] == split.labels["part"][second]
    assert split.patient_ids[first] == split.patient_ids[second] == "A00001"
    assert len(set(split.patient_ids)) == len(RHYTHMS) - 1


def test_parts_divide_every_class_and_no_group():
    rng = np.random.default_rng(0)
    classes = rng.choice(list("NAO~"), 500, p=(0.6, 0.1, 0.27, 0.03))
    groups = np.array([f"g{k}" for k in range(500)])
    groups[classes == "N"] = np.array([f"n{k // 2}" for k in range((classes == "N").sum())])
    parts = stratified_parts(classes, groups, seed=3)
    assert set(parts) == set(range(NUM_PARTS))
    for name in "NAO~":
        of_class = np.bincount([parts[groups == g][0] for g in set(groups[classes == name])], minlength=NUM_PARTS)
        assert np.ptp(of_class) <= 1
    assert all(len(set(parts[groups == group])) == 1 for group in groups)
    sizes = np.bincount([parts[groups == group][0] for group in set(groups)], minlength=NUM_PARTS)
    assert np.ptp(sizes) <= 1
    np.testing.assert_array_equal(parts, stratified_parts(classes, groups, seed=3))


@pytest.mark.parametrize("layout", ["beside the labels", "older labels", "both labels", "in folders of a thousand"])
def test_layouts(layout, raw_dir):
    folder = raw_dir / "training2017"
    where = raw_dir
    if layout == "beside the labels":
        (raw_dir / "REFERENCE-v3.csv").rename(folder / "REFERENCE-v3.csv")
        where = folder
    elif layout == "older labels":
        (raw_dir / "REFERENCE-v3.csv").rename(folder / "REFERENCE.csv")
    elif layout == "both labels":
        (folder / "REFERENCE.csv").write_text(LABELS.replace("A00001,A", "A00001,~"))
    else:
        (raw_dir / "training" / "A00").mkdir(parents=True)
        folder.rename(raw_dir / "training" / "A00" / "x")
    entries = find_entries(where)
    assert {Path(entry.path).name: entry.rhythm for entry in entries} == RHYTHMS
    assert all(Path(f"{entry.path}.hea").is_file() for entry in entries)


def lose(suffix: str):
    return lambda folder: (folder / f"A00002.{suffix}").unlink()


def edit(old: str, new: str):
    def damage(folder: Path) -> None:
        labels = folder.parent / "REFERENCE-v3.csv"
        labels.write_text(labels.read_text().replace(old, new))

    return damage


def cut(folder: Path) -> None:
    path = folder / "A00002.mat"
    path.write_bytes(path.read_bytes()[:-200])


def write_bad(samples: np.ndarray, fs_hz: int = 300):
    return lambda folder: write(folder, "A00002", samples, fs_hz)


DAMAGE = {
    "no label": (edit("A00002,O\n", ""), "REFERENCE-v3.csv does not name it"),
    "no header": (lose("hea"), "no file .*A00002.hea"),
    "no signal": (lose("mat"), "no file .*A00002.mat"),
    "an unknown class": (edit("A00002,O", "A00002,X"), "expected a class of N, A, O, ~, it is 'X'"),
    "cut short": (cut, "the signal file does not fit its header"),
    "another rate": (write_bad(digital("A00002"), 250), "expected a sampling rate of 300 Hz, the header gives 250"),
    "flat": (write_bad(np.zeros(900)), "flat: lead I"),
    "a sample missing": (write_bad(np.append(digital("A00002"), -(2**15))), "1 of 315 samples of lead I are missing"),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_bad_recordings_are_named_and_can_be_skipped(damage, raw_dir, prepare_into, capsys):
    harm, message = DAMAGE[damage]
    harm(raw_dir / "training2017")
    with pytest.raises(InputError, match=f"A00002: .*{message}.*--skip_bad"):
        prepare_into("cinc2017", raw_dir)
    out = prepare_into("cinc2017", raw_dir, skip_bad=True)
    assert sorted(load(out).record_ids) == [name for name in RHYTHMS if name != "A00002"]
    assert "skipped 1 records" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "no file .*REFERENCE-v3.csv"),
        ("A00001;N\n", "REFERENCE-v3.csv line 1 is no name and class: 'A00001;N'"),
        (LABELS + "A00001,N\n", "recording A00001 occurs twice"),
    ],
)
def test_bad_labels(labels, message, raw_dir):
    path = raw_dir / "REFERENCE-v3.csv"
    path.unlink() if labels is None else path.write_text(labels)
    with pytest.raises(InputError, match=message):
        find_entries(raw_dir)


def test_folder_without_recordings(tmp_path):
    with pytest.raises(InputError, match="no .hea file in .*; give --raw_dir the folder that holds training2017"):
        find_entries(tmp_path)


def test_real_recordings(sample_data, tmp_path, prepare_into):
    archive = sample_data / "challenge-2017"
    entries = {Path(entry.path).name: entry for entry in find_entries(archive)}
    assert Counter(entry.rhythm for entry in entries.values()) == {"N": 1520, "O": 749, "A": 249, "~": 85}
    assert len({entry.patient_id for entry in entries.values()}) == len(entries) - 2
    for one, other in (("A00227", "A01176"), ("A02656", "A03123")):
        assert entries[one].part == entries[other].part
        assert entries[one].patient_id == entries[other].patient_id == one
    by_part = Counter((entry.part, entry.rhythm) for entry in entries.values())
    for rhythm in CLASSES:
        assert np.ptp([by_part[part, rhythm] for part in range(NUM_PARTS)]) <= 2
    raw_dir = tmp_path / "some"
    raw_dir.mkdir()
    for name in ("A00001", "A00227"):
        for suffix in ("mat", "hea"):
            (raw_dir / f"{name}.{suffix}").symlink_to(archive / "training2017" / f"{name}.{suffix}")
    (raw_dir / "REFERENCE-v3.csv").write_text("A00001,N\nA00227,N\n")
    split = load_split("cinc2017", "default", "all", prepare_into("cinc2017", raw_dir), None, 61.0)
    row = list(split.record_ids).index("A00001")
    assert split.labels["num_samples"][row] == 9000
    assert split.ecg[row, 0, 0] == -127
