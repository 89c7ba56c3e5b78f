"""Strips that are drawn and read again."""

import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.images import strip
from ecgjax.images.damage import damage_picture, random_damage
from ecgjax.images.strip_reading import METHODS, read_strip

FS_HZ = 300.0


def recording(seconds=10.0):
    """Waves of an ECG's shape: a steep peak of 80 ms and slow waves, every 0.8 s."""
    time_s = np.arange(round(seconds * FS_HZ)) / FS_HZ
    phase = np.mod(time_s, 0.8)
    waves = ((1.0, 0.3, 0.018), (-0.25, 0.35, 0.018), (0.12, 0.14, 0.025), (0.25, 0.58, 0.05))
    return sum(height * np.exp(-(((phase - place) / width) ** 2)) for height, place, width in waves)


def drawn(signal_mv, height_px=strip.HEIGHT_PX):
    scale = height_px / strip.HEIGHT_PX
    return strip.draw_strip(signal_mv, FS_HZ, height_px, scale * strip.PX_PER_S, scale * strip.LINE_PX)


def share_of(signal_mv):
    return (signal_mv - signal_mv.min()) / np.ptp(signal_mv)


def snr_db(found, true):
    error = (found - found.mean()) - (true - true.mean())
    return 10 * np.log10(np.var(true) / np.mean(error**2))


@pytest.mark.parametrize(("height_px", "least_db"), [(300, 32), (150, 30), (75, 14), (40, 6)])
def test_a_recording_comes_back_the_better_the_finer_its_strip(height_px, least_db):
    signal_mv = recording()
    scale = height_px / strip.HEIGHT_PX
    found = read_strip(drawn(signal_mv, height_px), scale * strip.PX_PER_S, "trace", FS_HZ)
    assert len(found) == len(signal_mv)
    assert snr_db(found, share_of(signal_mv)) > least_db


def test_levels_are_shares_of_the_height():
    signal_mv = np.repeat([0.0, 1.0, 0.25, 0.0], 600)
    found = read_strip(drawn(signal_mv), strip.PX_PER_S, "trace", FS_HZ)
    for level, middle in zip([1.0, 0.25], [900, 1500], strict=True):
        assert found[middle] == pytest.approx(level, abs=0.01)


def test_the_centre_of_the_pen_is_nearer_than_its_upper_edge():
    signal_mv = recording()
    found = {
        name: snr_db(read_strip(drawn(signal_mv), strip.PX_PER_S, name, FS_HZ), share_of(signal_mv)) for name in METHODS
    }
    assert found["trace"] > found["threshold"] + 5
    assert found["threshold"] > 8
    assert found["otsu"] > 8


@pytest.mark.parametrize("seed", range(4))
def test_writing_stains_and_shadows_are_not_taken_for_the_trace(seed):
    signal_mv = recording(20.0)
    clean = drawn(signal_mv)
    options = random_damage(seed, "medium", strip=True)
    grey, *_ = damage_picture(clean, strip.PX_PER_S / strip.PAPER_SPEED_MM_S, options, seed)
    px_per_s = strip.PX_PER_S * grey.shape[1] / clean.shape[1]
    found = read_strip(grey, px_per_s, "trace", FS_HZ)[: len(signal_mv)]
    assert np.corrcoef(found, signal_mv[: len(found)])[0, 1] > 0.8


def test_gaps_are_bridged():
    grey = drawn(recording())
    grey[:, 300:330] = 255
    found = read_strip(grey, strip.PX_PER_S, "trace", FS_HZ)
    gap = found[604:656]
    np.testing.assert_allclose(np.diff(gap), np.diff(gap)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("grey", "method", "message"),
    [
        (np.full((150, 900), 255, np.uint8), "trace", "nothing dark"),
        (np.full((150, 900), 255, np.uint8), "threshold", "only 0% of the strip"),
        (np.full((150, 900), 255, np.uint8), "best", "unknown reading 'best'; use one of trace"),
        (np.pad(drawn(recording(2.0)), ((0, 0), (0, 900)), constant_values=255), "trace", "nothing dark|of the strip"),
    ],
    ids=["blank", "blank, threshold", "method", "mostly blank"],
)
def test_what_cannot_be_read_is_refused(grey, method, message):
    with pytest.raises(InputError, match=message):
        read_strip(grey, strip.PX_PER_S, method, FS_HZ)
