"""One recording written in every format: by independent libraries, or from the description of the format."""

import base64
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MDC = dict(zip(LEADS, ("I", "II", "III", "AVR", "AVL", "AVF", *LEADS[6:]), strict=True))


def beats_uv(num_samples: int = 1000, fs_hz: float = 500.0, seed: int = 0) -> np.ndarray:
    """int [time, 12] in microvolts, multiples of 10: beats, noise and limb leads that obey their laws."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(num_samples) / fs_hz
    beat = np.exp(-0.5 * ((time_s % 0.8 - 0.3) / 0.012) ** 2) + 0.2 * np.exp(-0.5 * ((time_s % 0.8 - 0.55) / 0.04) ** 2)
    scale = np.array([600, 1100, *rng.choice([-1, 1], 6) * rng.integers(400, 1500, 6)])
    eight = beat[:, None] * scale + rng.normal(0, 15, (num_samples, 8))
    one, two, *chest = 20 * np.rint(eight.T / 20).astype(int)
    return np.stack([one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2, *chest], axis=1)


def write_wfdb(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS, fmt: str = "16") -> Path:
    import wfdb  # noqa: PLC0415

    count = microvolts.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb.wrsamp(
            path.stem, fs_hz, ["mV"] * count, list(names), d_signal=microvolts // 10, fmt=[fmt] * count,
            adc_gain=[100.0] * count, baseline=[0] * count, write_dir=str(path.parent), comments=["Age: 61", "Sex: F"],
        )  # fmt: skip
    return path.with_suffix(".hea")


def write_edf(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS, is_bdf: bool = False) -> Path:
    import pyedflib  # noqa: PLC0415

    kind = pyedflib.FILETYPE_BDFPLUS if is_bdf else pyedflib.FILETYPE_EDFPLUS
    with pyedflib.EdfWriter(str(path), microvolts.shape[1], file_type=kind) as writer:
        writer.setSex("Female")
        for k, name in enumerate(names):
            writer.setSignalHeader(
                k,
                {
                    "label": f"ECG {name}",
                    "dimension": "uV",
                    "sample_frequency": fs_hz,
                    "transducer": "",
                    "prefilter": "",
                    "physical_min": -32768.0,
                    "physical_max": 32767.0,
                    "digital_min": -32768,
                    "digital_max": 32767,
                },
            )
        writer.writeSamples([np.ascontiguousarray(column, float) for column in microvolts.T])
    return path


def write_dicom(
    path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS, meaning: str = "Lead {} (Einthoven)"
) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset  # noqa: PLC0415
    from pydicom.uid import ExplicitVRLittleEndian  # noqa: PLC0415

    def item(**fields):
        made = Dataset()
        for key, value in fields.items():
            setattr(made, key, value)
        return made

    def code(value, meaning):
        return [item(CodeValue=value, CodingSchemeDesignator="X", CodeMeaning=meaning)]

    channels = [
        item(
            ChannelSourceSequence=code(f"5.6.3-9-{SCP_CODES[name]}", meaning.format(name)), ChannelSensitivity="5",
            ChannelSensitivityUnitsSequence=code("uV", "unit"), ChannelSensitivityCorrectionFactor="0.5",
            ChannelBaseline="100", WaveformBitsStored=16,
        )
        for name in names
    ]  # fmt: skip
    group = item(
        WaveformOriginality="ORIGINAL", NumberOfWaveformChannels=len(names), NumberOfWaveformSamples=len(microvolts),
        SamplingFrequency=fs_hz, ChannelDefinitionSequence=channels, WaveformBitsAllocated=16,
        WaveformSampleInterpretation="SS",
        # 5 uV corrected by 0.5, above a baseline of 100.
        WaveformData=np.rint((microvolts - 100) / 2.5).astype("<i2").tobytes(),
    )  # fmt: skip
    dataset = item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.9.1.1", SOPInstanceUID="1.2.3", PatientAge="061Y", PatientSex="F",
        AcquisitionDateTime="20200314150926", WaveformSequence=[group],
    )  # fmt: skip
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


def huffman_words() -> dict[int, str]:
    """The default code of EN 1064 up to 8: a run of ones as long as the number, a zero, the sign."""
    return {0: "0"} | {s * n: "1" * n + "0" + ("1" if s < 0 else "0") for n in range(1, 9) for s in (1, -1)}


def _huffman(values: np.ndarray, words: dict[int, str]) -> bytes:
    def word(value: int) -> str:
        if value in words:
            return words[value]
        if -128 <= value < 128:
            return "1111111110" + f"{value & 0xFF:08b}"
        return "1111111111" + f"{value & 0xFFFF:016b}"

    bits = "".join(word(int(value)) for value in values)
    bits += "0" * (-len(bits) % 16)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _scp_section(number: int, data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    reserved = b"SCPECG" if number == 0 else bytes(6)
    return struct.pack("<HHIBB6s", 0, number, 16 + len(data), 20, 20, reserved) + data


SCP_CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))


def write_scp(
    path: Path,
    microvolts: np.ndarray,
    fs_hz: float,
    names=LEADS,
    *,
    coding: str = "default",
    differences: int = 2,
    beats: tuple[np.ndarray, int, list[int]] | None = None,
    is_bimodal: bool = False,
) -> Path:
    """`coding` is default, own or plain; `beats`: a reference beat in uV [time, lead], its fiducial, those of all."""
    units = microvolts // 10
    words = huffman_words()

    def coded(column: np.ndarray) -> bytes:
        whole = column.astype(int)
        stored = np.append(whole[:differences], np.diff(whole, differences)) if differences else whole
        return stored.astype("<i2").tobytes() if coding == "plain" else _huffman(stored, words)

    def samples(columns: np.ndarray) -> bytes:
        parts = [coded(column) for column in columns.T]
        head = struct.pack("<HHBB", 10_000, round(1e6 / fs_hz), differences, is_bimodal)
        return head + struct.pack(f"<{len(parts)}H", *map(len, parts)) + b"".join(parts)

    fields = {
        4: struct.pack("<HB", 61, 1),
        8: b"\2",
        25: struct.pack("<HBB", 2020, 3, 14),
        26: bytes([15, 9, 26]),
        255: b"",
    }
    sections = {1: b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in fields.items())}
    if coding == "default":
        sections[2] = struct.pack("<H", 19999)
    elif coding == "own":
        rows = [(len(word), len(word), value, word) for value, word in words.items()]
        rows += [(10, 18, 0, "1111111110"), (10, 26, 0, "1111111111")]
        sections[2] = struct.pack("<HH", 1, len(rows)) + b"".join(
            struct.pack("<BBBhI", prefix, whole, 1, value, int(word[::-1], 2)) for prefix, whole, value, word in rows
        )
    sections[3] = struct.pack("<BB", len(names), (beats is not None) | 4 | len(names) << 3 & 0xF8) + b"".join(
        struct.pack("<IIB", 1, len(units), SCP_CODES[name]) for name in names
    )
    if beats is not None:
        reference, fiducial, places = beats
        length_ms = round(len(reference) * 1000 / fs_hz)
        sections[4] = struct.pack("<HHH", length_ms, fiducial + 1, len(places)) + b"".join(
            struct.pack("<HIII", 0, at - fiducial + 1, at + 1, at - fiducial + len(reference)) for at in places
        )
        sections[5] = samples(reference // 10)
        units = units.copy()
        for at in places:
            units[at - fiducial : at - fiducial + len(reference)] -= reference // 10
    sections[6] = samples(units)
    blocks = {number: _scp_section(number, data) for number, data in sections.items()}
    start = 6 + 16 + 10 * (len(blocks) + 1)
    pointers = struct.pack("<HII", 0, start - 6, 7)
    for number, block in blocks.items():
        pointers += struct.pack("<HII", number, len(block), start + 1)
        start += len(block)
    body = _scp_section(0, pointers) + b"".join(blocks.values())
    path.write_bytes(struct.pack("<HI", 0, 6 + len(body)) + body)
    return path


def write_aecg(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    def sequence(code: str, value: str) -> str:
        return f'<component><sequence><code code="{code}"/>{value}</sequence></component>'

    leads = "".join(
        sequence(
            f"MDC_ECG_LEAD_{MDC.get(name, name)}",
            '<value xsi:type="SLIST_PQ"><origin value="50" unit="uV"/><scale value="2.5" unit="uV"/>'
            f"<digits>{' '.join(map(str, ((column - 50) / 2.5).astype(int)))}</digits></value>",
        )
        for name, column in zip(names, microvolts.T, strict=True)
    )
    time = sequence(
        "TIME_ABSOLUTE",
        '<value xsi:type="GLIST_TS"><head value="20200314150926"/>'
        f'<increment value="{1000 / fs_hz:g}" unit="ms"/></value>',
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><componentOf><subjectDemographicPerson>'
        '<administrativeGenderCode code="F"/><birthTime value="19590101"/></subjectDemographicPerson></componentOf>'
        '<component><series><code code="RHYTHM"/><effectiveTime><low value="20200314150926"/></effectiveTime>'
        f"<component><sequenceSet>{time}{leads}</sequenceSet></component></series></component></AnnotatedECG>"
    )
    return path


def write_muse(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    """As GE does: the eight independent leads only, and median beats before the rhythm."""
    kept = [name for name in names if name not in ("III", "aVR", "aVL", "aVF")]

    def waveform(kind: str, columns: np.ndarray) -> str:
        leads = "".join(
            f"<LeadData><LeadSampleCountTotal>{len(columns)}</LeadSampleCountTotal>"
            "<LeadAmplitudeUnitsPerBit>5</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>"
            f"<LeadID>{name}</LeadID><LeadSampleSize>2</LeadSampleSize><WaveFormData>\n"
            f"{base64.encodebytes((columns[:, names.index(name)] // 5).astype('<i2').tobytes()).decode()}"
            "</WaveFormData></LeadData>"
            for name in kept
        )
        return (
            f"<Waveform><WaveformType>{kind}</WaveformType><SampleBase>{fs_hz:g}</SampleBase>"
            f"<SampleExponent>0</SampleExponent>{leads}</Waveform>"
        )

    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd"><RestingECG>'
        "<PatientDemographics><PatientAge>61</PatientAge><AgeUnits>YEARS</AgeUnits><Gender>FEMALE</Gender>"
        "</PatientDemographics><TestDemographics><AcquisitionTime>15:09:26</AcquisitionTime>"
        "<AcquisitionDate>03-14-2020</AcquisitionDate></TestDemographics>"
        f"{waveform('Median', microvolts[:300])}{waveform('Rhythm', microvolts)}</RestingECG>"
    )
    return path


def _lzw(data: bytes) -> bytes:
    """Codes of ten bits, an end code of ones, and bytes of zeros that nobody reads."""
    words = {bytes([k]): k for k in range(256)}
    codes, word = [], b""
    for k in range(len(data)):
        longer = word + data[k : k + 1]
        if longer in words:
            word = longer
            continue
        codes.append(words[word])
        if len(words) < 1023:
            words[longer] = len(words)
        word = data[k : k + 1]
    bits = "".join(f"{code:010b}" for code in [*codes, words[word], 1023])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") + bytes(4)


def _xli(column: np.ndarray) -> bytes:
    """x[n] = 2 x[n-1] - x[n-2] - s[n]; s[2] stands in the header, s[n+1] + 64 in the place of x[n]."""
    x = [int(value) for value in column]
    s = [0, 0, *(2 * x[n - 1] - x[n - 2] - x[n] for n in range(2, len(x)))]
    stored = x[:2] + [s[n + 1] + 64 for n in range(2, len(x) - 1)] + [64]
    words = np.array(stored).astype(">i2").view(np.uint8).reshape(-1, 2)
    packed = _lzw(words[:, 0].tobytes() + words[:, 1].tobytes())
    return struct.pack("<ihh", len(packed), 1, s[2]) + packed


def write_philips(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS, is_xli: bool = True) -> Path:
    units = microvolts // 5
    if is_xli:
        stored = units.copy()
        one, two, three = (units[:, names.index(name)] for name in ("I", "II", "III"))
        laws = {"III": two - one, "aVR": -((one + two) // 2), "aVL": (one - three) // 2, "aVF": (two + three) // 2}
        for name, law in laws.items():
            stored[:, names.index(name)] = law - units[:, names.index(name)]
        data = b"".join(_xli(column) for column in stored.T)
    else:
        data = units.T.astype("<i2").tobytes()
    how = 'compressmethod="XLI"' if is_xli else 'compression="Uncompressed"'
    path.write_text(
        '<?xml version="1.0"?><restingecgdata xmlns="http://www3.medical.philips.com"><patient><generalpatientdata>'
        "<age><years>61</years></age><sex>Female</sex></generalpatientdata></patient>"
        '<dataacquisition date="2020-03-14" time="15:09:26"><signalcharacteristics>'
        f"<samplingrate>{fs_hz:g}</samplingrate><resolution>5</resolution></signalcharacteristics></dataacquisition>"
        f'<waveforms><parsedwaveforms dataencoding="Base64" {how} numberofleads="{len(names)}" '
        f'leadlabels="{" ".join(names)}" durationperchannel="{len(units) * 1000 / fs_hz:g}">'
        f"{base64.encodebytes(data).decode()}</parsedwaveforms></waveforms></restingecgdata>"
    )
    return path


def write_csv(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    head = ",".join(["time (s)", *(f"{name} (mV)" for name in names)])
    rows = [
        ",".join([f"{k / fs_hz:.6f}", *(f"{value / 1000:.3f}" for value in row)]) for k, row in enumerate(microvolts)
    ]
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def write_npy(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    np.save(path, microvolts.astype(np.int16))
    return path


def write_npz(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    np.savez_compressed(path, ecg=microvolts / 1000, fs=fs_hz, units="mV", leads=np.array(names))
    return path


def write_mat(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    import scipy.io  # noqa: PLC0415

    leads = np.array(names, object)
    scipy.io.savemat(path, {"ecg": microvolts / 1000, "fs": fs_hz, "units": "mV", "leads": leads}, do_compression=True)
    return path


def write_hdf5(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    import h5py  # noqa: PLC0415

    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("record/ecg", data=(microvolts / 1000).astype(np.float32), compression="gzip")
        dataset.attrs.update({"fs": fs_hz, "units": "mV", "leads": list(names)})
    return path


def write_parquet(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    import pyarrow  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    columns = {f"{name} [uV]": column.astype(np.int32) for name, column in zip(names, microvolts.T, strict=True)}
    time_ms = np.arange(len(microvolts)) * 1000 / fs_hz
    pyarrow.parquet.write_table(pyarrow.table({"time_ms": time_ms, **columns}), path)
    return path


def write_picture(path: Path, microvolts: np.ndarray, fs_hz: float, names=LEADS) -> Path:
    from PIL import Image  # noqa: PLC0415

    Image.fromarray(np.full((80, 120, 3), 255, np.uint8)).save(path)
    return path


WRITERS: dict[str, tuple[str, str, Callable[..., Path]]] = {
    "wfdb": ("", "dat", write_wfdb),
    "edf": ("pyedflib", "edf", write_edf),
    "bdf": ("pyedflib", "bdf", lambda *arguments: write_edf(*arguments, is_bdf=True)),
    "dicom": ("pydicom", "dcm", write_dicom),
    "scp": ("", "scp", write_scp),
    "aecg": ("", "xml", write_aecg),
    "muse": ("", "xml", write_muse),
    "philips": ("", "xml", write_philips),
    "csv": ("", "csv", write_csv),
    "npy": ("", "npy", write_npy),
    "npz": ("", "npz", write_npz),
    "mat": ("", "mat", write_mat),
    "hdf5": ("h5py", "h5", write_hdf5),
    "parquet": ("pyarrow", "parquet", write_parquet),
}
"""Name -> the library it needs, the ending, the writer."""
