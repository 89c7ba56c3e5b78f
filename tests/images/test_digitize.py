"""Pages are drawn from a made-up recording and read back."""

import dataclasses
import functools

import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.images.digitize import FIND_ALL, digitize, digitize_page
from ecgjax.images.fidelity import snr_db
from ecgjax.images.page import CLINICAL, FORMATS
from ecgjax.images.render import render
from ecgjax.images.straighten import straight_page
from ecgjax.images.traced_page import TRACED, ZERO, traced_page
from ecgjax.leads import LEADS, LEADS_FROM_INDEPENDENT

FS_HZ = 250.0


@functools.cache
def recording():
    """Ten seconds of twelve leads that obey Einthoven's law, with beats of uneven distances."""
    time_s = np.arange(2500) / FS_HZ
    independent = np.zeros((2500, 8))
    beats_s = np.cumsum([0.5, 0.8, 0.9, 0.7, 0.85, 0.95, 0.75, 0.9, 0.8, 0.7, 0.9, 0.8])
    rng = np.random.default_rng(3)
    for delay_s, width_s, size in ((-0.16, 0.025, 0.12), (0.0, 0.012, 1.0), (0.03, 0.012, -0.4), (0.28, 0.05, 0.3)):
        wave = sum(np.exp(-(((time_s - beat - delay_s) / width_s) ** 2)) for beat in beats_s)
        independent += wave[:, None] * size * rng.uniform(0.3, 1.2, 8)
    return independent @ LEADS_FROM_INDEPENDENT.T


def drawing(form="3x4+1", **style):
    return render(recording(), FS_HZ, LEADS, FORMATS[form], dataclasses.replace(CLINICAL, **style))


def truth(drawn, fs_hz):
    """The recording [time, 12] at another rate, where it is drawn."""
    time_s = np.arange(round(10 * fs_hz)) / fs_hz
    signal = np.stack([np.interp(time_s, np.arange(2500) / FS_HZ, lead) for lead in recording().T], 1)
    shown = np.full_like(signal, np.nan)
    for box in sorted(drawn.boxes, key=lambda box: box.stop_s - box.start_s):
        part, lead = slice(round(box.start_s * fs_hz), round(box.stop_s * fs_hz)), LEADS.index(box.lead.strip("-"))
        shown[:, lead] = np.nan
        shown[part, lead] = signal[part, lead]
    return shown


@functools.cache
def clean():
    return digitize(drawing().rgb, FIND_ALL)


def test_a_clean_page_is_read_to_a_hundredth():
    result = clean()
    reference = truth(drawing(), 500.0)
    found = snr_db(result.signal_mv, reference, 500.0)
    assert found.snr_db > 22
    assert found.covered > 0.995
    assert found.gain == pytest.approx(1, abs=0.01)
    assert abs(found.shift_s) <= 0.002
    assert result.layout == "3x4+1"
    assert result.warnings == ()
    assert (result.speed_from, result.gain_from) == ("calibration pulse", "calibration pulse")
    np.testing.assert_allclose(np.nanmedian(result.signal_mv - reference, axis=0), 0, atol=0.03)


def test_what_is_not_drawn_is_not_read():
    result = clean()
    drawn = np.isfinite(truth(drawing(), 500.0))
    assert np.isnan(result.signal_mv[~drawn]).mean() > 0.995
    assert (result.confidence[np.isnan(result.signal_mv)] == 0).all()
    assert result.confidence[drawn].mean() > 0.9


def test_boxes_are_where_leads_were_drawn():
    found, drawn = clean().boxes, drawing().boxes
    assert [box.lead for box in found] == [box.lead for box in drawn]
    for one, other in zip(found, drawn, strict=True):
        assert (one.x0_px, one.x1_px, one.y_px) == pytest.approx((other.x0_px, other.x1_px, other.y_px), abs=1.5)
        assert (one.start_s, one.stop_s) == pytest.approx((other.start_s, other.stop_s), abs=0.01)


@pytest.mark.parametrize(
    ("form", "style"),
    [
        ("6x2", {"gain_mm_mv": 5.0, "labels": "below"}),
        ("12x1", {"gain_mm_mv": 5.0}),
        ("3x4 cabrera", {"px_per_mm": 6.0}),
    ],
)
def test_other_pages(form, style):
    drawn = drawing(form, **style)
    result = digitize(drawn.rgb, dataclasses.replace(FIND_ALL, fs_hz=250.0))
    assert result.layout == form
    assert result.gain_mm_mv == drawn.gain_mm_mv
    found = snr_db(result.signal_mv, truth(drawn, 250.0), 250.0)
    assert found.snr_db > 15
    assert found.covered > 0.9


def test_without_labels_the_order_is_assumed_and_said():
    result = digitize(drawing(labels="none").rgb, FIND_ALL)
    assert any("standard order" in warning for warning in result.warnings)
    assert result.confidence[np.isfinite(result.signal_mv)].mean() < 0.6


def test_what_is_given_is_not_looked_for():
    page = straight_page(drawing(calibration=False, footer=False).rgb)
    found = digitize_page(page, FIND_ALL)
    assert found.gain_from == "assumed"
    assert len(found.warnings) == 2
    given = digitize_page(page, dataclasses.replace(FIND_ALL, gain_mm_mv=20.0, paper_speed_mm_s=25.0))
    assert given.gain_from == "given"
    assert given.warnings == ()
    np.testing.assert_allclose(2 * given.signal_mv, found.signal_mv, atol=1e-4)


@pytest.mark.parametrize("picture", ["white", "noise"])
def test_pictures_without_an_ecg_are_refused(picture):
    rgb = np.full((240, 320, 3), 255, np.uint8)
    if picture == "noise":
        rgb = np.random.default_rng(0).integers(0, 256, rgb.shape, dtype=np.uint8)
    with pytest.raises(InputError, match=";"):
        digitize(rgb, FIND_ALL)


def test_the_traced_page_shows_traces_where_the_ink_is_and_a_line_at_0_mv():
    digitised = clean()
    page, traced = digitised.page.rgb, traced_page(digitised)
    zoom = traced.shape[0] // page.shape[0]
    assert traced.shape == (zoom * page.shape[0], zoom * page.shape[1], 3)
    is_blue = (np.abs(traced.astype(int) - TRACED) < 60).all(axis=2)[zoom // 2 :: zoom, zoom // 2 :: zoom]
    is_ink = page.max(axis=2) < 100
    column = np.flatnonzero(np.isfinite(digitised.trace_px).all(axis=1))[500]
    x_px = int((column + 0.5) * page.shape[1] / len(digitised.trace_px))
    for y_px in digitised.trace_px[column]:
        near = slice(round(y_px) - 2, round(y_px) + 3)
        assert is_blue[near, x_px].any()
        assert is_ink[near, x_px].any()
    box = digitised.boxes[0]
    at_zero = traced[round((box.y_px + 0.5) * zoom - 0.5), round(box.x0_px * zoom) : round(box.x1_px * zoom)]
    assert (np.abs(at_zero.astype(int) - ZERO) < 60).all(axis=1).mean() > 0.3
