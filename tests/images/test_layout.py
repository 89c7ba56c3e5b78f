import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.images import layout
from ecgjax.images.labels import Word, Writing
from ecgjax.images.page import FORMATS
from ecgjax.images.tracing import RowTraces

PX_PER_MM, PX_PER_S = 8.0, 200.0
EXTENT_PX = (100.0, 2100.0)


def writing(*words):
    """Words, each a name, its correlation, x and y of its left upper corner."""
    made = [Word((x, y, x + 40, y + 20), (), {name: score}) for name, score, x, y in words]
    return Writing(tuple(made), np.zeros((1, 1), np.int32), np.zeros((1, 5), np.int32))


def labelled(format, score=0.9, without=()):
    """The names of a format above the starts of its leads."""
    spans = [(r, c, lead) for r, row in enumerate(format.rows) for c, lead in enumerate(row)]
    spans += [(len(format.rows) + k, 0, lead) for k, lead in enumerate(format.rhythm_leads)]
    width = (EXTENT_PX[1] - EXTENT_PX[0]) / format.num_columns
    return [
        (lead, score, EXTENT_PX[0] + c * width + 8, 300 * (r + 1) - 60) for r, c, lead in spans if lead not in without
    ]


def arranged(words, num_rows):
    rows = 300.0 * (np.arange(num_rows) + 1)
    return layout.arrange_leads(writing(*words), rows, rows, EXTENT_PX, PX_PER_S, PX_PER_MM)


@pytest.mark.parametrize("name", ["3x4", "3x4+1", "3x4+3", "6x2", "6x2+1", "12x1", "3x4+1 cabrera", "12x1 cabrera"])
def test_formats_are_told_by_their_labels(name):
    found = arranged(labelled(FORMATS[name]), FORMATS[name].num_rows)
    assert found.format == name
    assert found.warnings == ()
    assert found.boxes[0].start_s == 0
    assert max(box.stop_s for box in found.boxes) == pytest.approx(10)


def test_one_illegible_label_does_no_harm():
    found = arranged(labelled(FORMATS["3x4+1"], without=("aVL",)), 4)
    assert [box.lead for box in found.boxes][5] == "aVL"
    assert found.warnings == ()


def test_a_label_that_says_otherwise_is_believed():
    words = [("V3" if name == "V1" else name, *rest) for name, *rest in labelled(FORMATS["3x4+1"])]
    found = arranged(words, 4)
    assert [box.lead for box in found.boxes][2] == "V3"
    assert "labelled V3" in found.warnings[0]


def test_without_labels_the_usual_order():
    found = arranged([], 4)
    assert found.format == "3x4+1"
    assert found.agreement == 0
    assert "assumed" in found.warnings[-1]


def test_an_unknown_number_of_rows_is_refused():
    with pytest.raises(InputError, match="5 rows"):
        arranged([], 5)


def pulsed(gain_mm_mv=10.0, speed_mm_s=25.0):
    """Four rows that begin with a pulse and its feet."""
    y = np.full((4, 400), np.nan)
    rise, fall = 60, 60 + round(0.2 * speed_mm_s * PX_PER_MM)
    y[:, 40:] = 300 * np.arange(1, 5)[:, None]
    y[:, rise:fall] -= gain_mm_mv * PX_PER_MM
    return RowTraces(y.astype(np.float32), np.ones_like(y, np.float32), 2.4), (rise - 0.5, fall - 0.5)


@pytest.mark.parametrize(("gain", "speed"), [(5.0, 25.0), (10.0, 25.0), (20.0, 50.0)])
def test_calibration_pulse(gain, speed):
    traces, (rise, fall) = pulsed(gain, speed)
    pulse = layout.find_pulse(traces, PX_PER_MM)
    assert pulse.height_px == pytest.approx(gain * PX_PER_MM, rel=0.01)
    assert (pulse.rise_px, pulse.fall_px) == pytest.approx((rise, fall), abs=1)
    assert layout.nearest_scale(pulse.height_px / PX_PER_MM, (5.0, 10.0, 20.0)) == gain
    zero = pulse.level_px + pulse.height_px
    assert layout.start_after(pulse, traces, zero, PX_PER_MM) == pytest.approx(pulse.fall_px + 20)


def test_beats_are_no_pulse():
    y = np.broadcast_to(300 * np.arange(1, 5)[:, None], (4, 400)) - 80 * np.exp(-(((np.arange(400) - 80) / 6) ** 2))
    assert layout.find_pulse(RowTraces(y, np.ones_like(y), 2.4), PX_PER_MM) is None


def test_scales_off_the_standard_are_none():
    assert layout.nearest_scale(7.0, (5.0, 10.0, 20.0)) is None


@pytest.mark.parametrize("is_simultaneous", [True, False])
def test_columns_of_the_same_time(is_simultaneous):
    beats = np.zeros(2101)
    beats[100 + np.cumsum([90, 150, 190, 140, 210, 160, 175, 150, 185, 140, 170])] = 60
    rhythm = -np.convolve(beats, np.hanning(9), "same")
    y = np.tile(rhythm, (4, 1))
    for column in range(1, 4):
        if is_simultaneous:
            y[:3, 100 + 500 * column : 600 + 500 * column] = rhythm[100:600]
    placed = arranged([], 4)
    assert layout.is_simultaneous(placed, y, PX_PER_S) == is_simultaneous
    made = layout.made_simultaneous(placed)
    assert {box.start_s for box in made.boxes} == {0.0}
    assert max(box.stop_s for box in made.boxes) == pytest.approx(10)
