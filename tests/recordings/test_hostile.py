"""Damaged, mislabelled and hostile files: a bounded recording or one line that says what is wrong, and never a hang."""

import contextlib
import re
import resource
import signal
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import ecg_files
import numpy as np
import pytest
from ecg_files import WRITERS

from ecgjax.errors import InputError
from ecgjax.recordings.contents import MAX_SAMPLES
from ecgjax.recordings.load import load

ROOT = Path(__file__).parents[2]
SECONDS_A_FILE = 10
PICTURES = ("png", "jpg", "tif", "pdf")


@contextlib.contextmanager
def at_most(seconds):
    """Within it a file that takes more of the processor's time fails the test; other work on the machine does not."""

    def fail(*_):
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGPROF, fail)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answer(path, **stated):
    """A recording that is as it should be, or the one line that was said instead."""
    try:
        with at_most(SECONDS_A_FILE):
            found = load(path, **stated)
    except InputError as error:
        text = str(error)
        assert text.isprintable(), text
        assert str(path.parent) in text, text
        assert len(text) < 1000, text
        assert "TimeoutError" not in text, text
        return text
    assert found.signal_mv.dtype == np.float32
    assert found.signal_mv.shape[1] == len(found.lead_names) > 0
    assert 0 < found.signal_mv.size <= MAX_SAMPLES
    assert not np.isinf(found.signal_mv).any()
    assert 1 < found.fs_hz < 1e6
    assert all(text.isprintable() for text in (*found.lead_names, *found.assumptions, *found.problems, found.started))
    return found


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Ending and bytes of a small file of every format; of WFDB the header, its signals lie beside."""
    folder = tmp_path_factory.mktemp("seeds")
    found = {}
    for kind, (library, ending, write) in WRITERS.items():
        if library:
            pytest.importorskip(library)
        path = write(folder / f"{kind}.{ending}", ecg_files.beats_uv(120, 250.0), 250.0)
        found[kind] = (path.suffix, path.read_bytes())
    found["wfdb signals"] = (".dat", (folder / "wfdb.dat").read_bytes())
    for ending in PICTURES:
        path = ecg_files.write_picture(folder / f"blank.{ending}", np.zeros(0), 0)
        found[ending] = (path.suffix, path.read_bytes())
    return found


LIES = (
    b"0",
    b"-1",
    b"1e308",
    b"nan",
    b"99999999",
    b"2147483648",
    b"18446744073709551616",
    b"../../etc/passwd",
    b"/",
    b"",
)


def mutant(rng, seeds, kind):
    """Ending and bytes of a damaged file."""
    ending, data = seeds[kind]
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        size = max(len(data), 1)
        # Half of the damage hits the header.
        at = int(rng.integers(0, min(size, 600) if rng.random() < 0.5 else size))
        match rng.integers(0, 9):
            case 0:
                for place in rng.integers(0, size, rng.integers(1, 20)):
                    data[place % size : place % size + 1] = bytes([rng.integers(0, 256)])
            case 1 if data:
                data[at % len(data)] ^= 1 << int(rng.integers(0, 8))
            case 2:
                del data[at:]
            case 3:
                data[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
            case 4:
                numbers = list(re.finditer(rb"\d+", bytes(data[:4000])))
                if numbers:
                    chosen = numbers[rng.integers(0, len(numbers))]
                    lie = LIES[rng.integers(0, len(LIES))]
                    # Fixed fields keep their width.
                    lie = lie.ljust(len(chosen[0]))[: len(chosen[0])] if rng.random() < 0.5 else lie
                    data[chosen.start() : chosen.end()] = lie
            case 5:
                ending = seeds[rng.choice(list(seeds))][0]
            case 6:
                other = seeds[rng.choice(list(seeds))][1]
                data = data[:at] + other if rng.random() < 0.5 else data + other
            case 7:
                del data[at : at + int(rng.integers(1, 64))]
            case 8:
                part = data[at : at + int(rng.integers(1, 256))]
                data[at:at] = part * int(rng.integers(1, 9))
    return ending, bytes(data)


def run_mutants(seeds, folder, count, seed):
    """How many of so many mutants were read and how many refused."""
    rng = np.random.default_rng(seed)
    kinds = list(seeds)
    read = 0
    for number in range(count):
        kind = kinds[number % len(kinds)]
        ending, data = mutant(rng, seeds, kind)
        for old in folder.iterdir():
            old.unlink()
        stem = "wfdb" if ending in (".hea", ".dat") else "file"
        if stem == "wfdb":
            (folder / "wfdb.hea").write_bytes(seeds["wfdb"][1])
            (folder / "wfdb.dat").write_bytes(seeds["wfdb signals"][1])
        path = folder / f"{stem}{ending}"
        path.write_bytes(data)
        stated = {"fs_hz": 250.0, "units": "mV"} if rng.random() < 0.5 else {}
        try:
            read += not isinstance(answer(path, **stated), str)
        except Exception as error:
            raise AssertionError(f"mutant {number} of seed {seed}, of {kind}: {error!r}") from error
        left = {each.name for each in folder.iterdir()}
        assert left <= {path.name, "wfdb.hea", "wfdb.dat"}, f"mutant {number}: {left}"
    return read, count - read


def test_mutants(seeds, tmp_path):
    read, refused = run_mutants(seeds, tmp_path, 300, seed=1)
    assert read > 20
    assert refused > 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
def test_many_mutants(seed, seeds, tmp_path):
    read, refused = run_mutants(seeds, tmp_path, 1000, seed=100 + seed)
    assert read > 60
    assert refused > 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10 < 4096, "megabytes"


def test_every_truncation_of_a_header_is_told(seeds, tmp_path):
    for kind, (ending, data) in seeds.items():
        for size in (0, 1, 7, 100, 300, len(data) // 2):
            path = tmp_path / f"cut{ending}"
            path.write_bytes(data[: min(size, len(data) // 2)])
            found = answer(path)
            assert isinstance(found, str) or kind in ("csv", *PICTURES), (kind, size)


HEADERS = {
    "absolute": ("rec 1 250 100\n/etc/passwd 16 200/mV 16 0 0 0 0 I\n", "no file beside it"),
    "above": ("rec 1 250 100\n../secret.dat 16 200/mV 16 0 0 0 0 I\n", "no file beside it"),
    "two dots": ("rec 1 250 100\n.. 16 200/mV 16 0 0 0 0 I\n", "no file beside it"),
    "elsewhere": ("rec 1 250 100\nhttps://example.org/a.dat 16 200/mV 16 0 0 0 0 I\n", "no file beside it"),
    "segment above": ("rec/1 1 250 100\n../seg 100\n", "names no segment of this folder"),
    "itself": ("rec/1 1 250 100\nrec 100\n", "a segment has segments itself"),
    "huge": ("rec 1 250 60000000\nrec.dat 16 200/mV 16 0 0 0 0 I\n", "describes 120000000 bytes of rec.dat"),
    "endless": ("rec 1 250 99999999999\nrec.dat 16 200/mV 16 0 0 0 0 I\n", "are more than"),
    "many": ("rec 99999 250 100\nrec.dat 16 200/mV 16 0 0 0 0 I\n", "99999 channels"),
    "frames": ("rec 1 250 100\nrec.dat 16x999999999 200/mV 16 0 0 0 0 I\n", "samples a frame"),
    "skew": ("rec 1 250 100\nrec.dat 16:999999999 200/mV 16 0 0 0 0 I\n", "a skew of 999999999"),
    "standing still": ("rec 1 0 50\nrec.dat 16 200/mV 16 0 0 0 0 I\n", "the rate is 0"),
    "no volts": ("rec 1 250 50\nrec.dat 16 200/mmHg 16 0 0 0 0 BP\n", "none of its channels is a voltage"),
    "wrong sum": ("rec 1 250 50\nrec.dat 16 200/mV 16 0 0 77 0 I\n", "the header says 77"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_lie(name, tmp_path):
    text, said = HEADERS[name]
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "rec.hea").write_text(text)
    for place in (folder / "rec.dat", tmp_path / "secret.dat"):
        np.arange(50).astype("<i2").tofile(place)
    assert said in answer(folder / "rec.hea")


def test_nothing_is_unpickled_or_executed(tmp_path):
    marker = tmp_path / "executed"

    class Hostile:
        def __reduce__(self):
            return Path.touch, (marker,)

    np.save(tmp_path / "rec.npy", np.array([Hostile()], object), allow_pickle=True)
    np.savez(tmp_path / "rec.npz", ecg=np.array([Hostile()] * 100, object))
    for name in ("rec.npy", "rec.npz"):
        assert "never unpickled" in answer(tmp_path / name)
    assert not marker.exists()


DECLARATIONS = {
    "expansion": '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>',
    "file": '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "parameter": '<!DOCTYPE a [<!ENTITY % a SYSTEM "http://127.0.0.1/a.dtd"> %a;]>',
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_entities_of_xml_are_refused(name, tmp_path):
    path = tmp_path / "rec.xml"
    path.write_text(f'<?xml version="1.0"?>{DECLARATIONS[name]}<RestingECG><LeadID>&a;</LeadID></RestingECG>')
    assert "which is refused" in answer(path)
    path.write_text("<RestingECG>" * 100_000)
    assert "deeper than" in answer(path)


def _npy_header(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _lying_edf(seed: bytes) -> bytes:
    return seed[:236] + b"99999999" + seed[244:]


def _zip_bomb(path: Path, shape: str, size: int) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("ecg.npy", "w", force_zip64=True) as file,
    ):
        file.write(_npy_header(shape))
        for _ in range(size >> 20):
            file.write(bytes(2**20))


def _mat_bomb(path: Path, size: int) -> None:
    inner = (14).to_bytes(4, "little") + size.to_bytes(4, "little")
    packer = zlib.compressobj(1)
    data = packer.compress(inner) + b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + (15).to_bytes(4, "little") + len(data).to_bytes(4, "little") + data)


def _huge_png(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (30000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    data = chunk(b"IDAT", zlib.compress(bytes(99)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data)


def test_memory_is_bounded(seeds, tmp_path):
    """In a process that may have 1.5 GB, files that would be far more are refused."""
    (tmp_path / "rec.npy").write_bytes(_npy_header("(9999999999, 12)") + bytes(100))
    (tmp_path / "rec.edf").write_bytes(_lying_edf(seeds["edf"][1]))
    (tmp_path / "negative.npy").write_bytes(_npy_header("(-5, 12)") + bytes(100))
    _zip_bomb(tmp_path / "rec.npz", "(100000000, 12)", 2**27)
    _mat_bomb(tmp_path / "rec.mat", 5 * 2**27)
    _huge_png(tmp_path / "rec.png")
    if "hdf5" in seeds:
        import h5py  # noqa: PLC0415

        with h5py.File(tmp_path / "rec.h5", "w") as file:
            file.create_dataset("ecg", (10_000_000, 12), "f8", chunks=(1000, 12), compression="gzip")
        with h5py.File(tmp_path / "chunk.h5", "w") as file:
            file.create_dataset(
                "ecg", (1000, 12), "f8", maxshape=(None, 12), chunks=(20_000_000, 12), compression="gzip"
            )
        with h5py.File(tmp_path / "external.h5", "w") as file:
            file.create_dataset("ecg", (1000, 12), "f8", external=[("/etc/passwd", 0, 96_000)])
        with h5py.File(tmp_path / "link.h5", "w") as file:
            file["ecg"] = h5py.ExternalLink(str(tmp_path / "rec.h5"), "/ecg")
    script = """
import pathlib, resource, sys
import ecgjax
from ecgjax.errors import InputError
import numpy, scipy.io, PIL.Image
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000,) * 2)
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.*")):
    try:
        print(path.name, ecgjax.load(path, fs_hz=500, units="mV").signal_mv.shape)
    except InputError as error:
        print(path.name, "|", error)
"""
    environment = {"PATH": "/usr/bin", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=100
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(list(tmp_path.iterdir())), done.stdout + done.stderr
    assert all(" | " in line for line in lines), done.stdout
    assert "MemoryError" not in done.stdout
    assert done.stderr == ""


def test_other_files_are_refused(tmp_path):
    for name, data in {
        "empty.csv": b"",
        "text.csv": b"hello\nworld\n",
        "noise.dat": bytes(range(256)),
        "rec.zip": b"PK\x03\x04" + bytes(50),
        "rec.gz": b"\x1f\x8b" + bytes(50),
        "letter.txt": b"Dear all,\n",
        "rec.edf": b"0       " + b"x" * 400,
    }.items():
        (tmp_path / name).write_bytes(data)
        assert isinstance(answer(tmp_path / name), str)
    assert "is not there" in answer(tmp_path / "nothing.edf")
    (tmp_path / "folder").mkdir()
    assert "is a folder" in answer(tmp_path / "folder")
    assert isinstance(answer(tmp_path / "line\nbreak.csv"), str)
