"""What browsers send becomes one recording, whatever its files are called, and nothing of it stays."""

import tempfile

import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.serve.upload import MOST_FILES, files_of, recording_of, safe_name

TYPE = "multipart/form-data; boundary=xyz"


def form(files, boundary="xyz"):
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """The folder of temporary files, empty before and after."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.iterdir())


def table(rows=500):
    time_s = np.arange(rows) / 100
    lines = [",".join(LEADS), *(",".join([f"{np.sin(6 * t):.3f}"] * 12) for t in time_s)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("content", [b"", b"\r\n", b"a\r\n--xy\r\nb", bytes(range(256)) * 9])
def test_files_arrive_as_they_were(content):
    assert files_of(TYPE, form([("a.hea", content), ("b.dat", b"1")])) == {"a.hea": content, "b.dat": b"1"}
    assert files_of('multipart/form-data; boundary="--x"', form([("a", content)], "--x")) == {"a": content}


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("text/plain", b"", "no form with files"),
        ("multipart/form-data", b"", "no form with files"),
        ("multipart/form-data; boundary=a\r\nb", b"", "no form with files"),
        (TYPE, b"", "no files were sent"),
        (TYPE, b"--xyz\r\n\r\n\r\n--xyz--", "no files were sent"),
        (TYPE, form([("a", b"1"), ("a", b"2")]), "two files are named a"),
        (TYPE, form([(f"f{k}", b"") for k in range(MOST_FILES + 1)]), f"{MOST_FILES + 1} files were sent"),
    ],
)
def test_other_bodies_are_refused(content_type, body, said):
    with pytest.raises(InputError, match=said):
        files_of(content_type, body)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("rec.hea", "rec.hea"),
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\rec 1.dat", "rec_1.dat"),
        ("/", "file"),
        ("..", "file"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("é\0\n|x", "____x"),
        ("a" * 300 + ".csv", "a" * 96 + ".csv"),
    ],
)
def test_names_cannot_leave_their_folder(name, safe):
    assert safe_name(name) == safe


def test_a_table_without_a_rate_is_named_without_its_folder(empty_folder):
    with pytest.raises(InputError, match=r"^rec\.csv: .*rate"):
        recording_of({"rec.csv": table()})


def test_a_record_of_two_files_is_one(sample_data, empty_folder):
    folder = sample_data / "ptb-xl" / "records100" / "00000"
    files = {f"00001_lr.{suffix}": (folder / f"00001_lr.{suffix}").read_bytes() for suffix in ("dat", "hea")}
    recording = recording_of(files)
    assert (recording.name, recording.signal_mv.shape) == ("00001_lr", (1000, 12))
    with pytest.raises(InputError, match=r"00001_lr") as failure:
        recording_of({"00001_lr.hea": files["00001_lr.hea"]})
    assert str(empty_folder) not in str(failure.value)
    with pytest.raises(InputError, match="several recordings: a.csv, b.csv"):
        recording_of({"a.csv": b"", "b.csv": b""})


def test_a_header_reaches_no_other_file(empty_folder):
    (secret := empty_folder.parent / "secret.dat").write_bytes(b"\1\0" * 1000)
    for reference in ("../../secret.dat", str(secret)):
        with pytest.raises(InputError):
            recording_of({"a.hea": f"a 1 100 500\n{reference} 16 200 16 0 0 0 0 I\n".encode()})
