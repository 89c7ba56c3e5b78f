"""Figures hold the data they were given, and draw without a display or a warning."""

import io

import numpy as np
import pytest

from ecgjax import plots
from ecgjax.clinical_plot import MARGIN_MM, MM_PER_MV, MM_PER_S, PULSE_MM, ROWS, clinical_figure
from ecgjax.leads import LEADS


def assert_rendered(figure) -> np.ndarray:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=40)
    assert png.getbuffer().nbytes > 1000
    return png


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize(("fs_hz", "seconds"), [(100.0, 10.0), (257.0, 10.0), (500.0, 4.0), (100.0, 30.0)])
def test_clinical_figure_is_true_to_scale(fs_hz, seconds):
    time_s = np.arange(int(fs_hz * seconds)) / fs_hz
    signal_mv = np.sin(2 * np.pi * time_s)[:, None] * np.linspace(0.1, 1.2, 12)
    figure = clinical_figure(signal_mv, fs_hz, "Record 1", "✓ none (99 %)", plots.GOOD)
    (axes,) = figure.axes
    strips = [line for line in axes.lines if len(line.get_xdata()) > 6]
    assert (len(strips), len(axes.lines)) == (13, 13 + 4)
    shown_s = min(seconds, 10.0)
    names = [name for row in ROWS for name in row]
    for line, name in zip(strips[:12], names, strict=True):
        x, y = line.get_data()
        assert abs(np.ptp(x) - shown_s / 4 * MM_PER_S) < 2 * MM_PER_S / fs_hz
        start = names.index(name) % 4 * (int(shown_s * fs_hz) // 4)
        drawn = signal_mv[start : start + len(y), LEADS.index(name)]
        np.testing.assert_allclose(y - np.median(y), (drawn - np.median(drawn)) * MM_PER_MV, atol=1e-9)
    assert abs(strips[12].get_xdata()[0] - (MARGIN_MM + PULSE_MM)) < 1e-9
    assert abs(np.ptp(strips[12].get_xdata()) - shown_s * MM_PER_S) < 4 * MM_PER_S / fs_hz
    for pulse in (line for line in axes.lines if len(line.get_xdata()) == 6):
        assert np.ptp(pulse.get_ydata()) == MM_PER_MV
    width_mm, height_mm = np.array(figure.get_size_inches()) * 25.4
    np.testing.assert_allclose((*axes.get_xlim(), *axes.get_ylim()), (0, width_mm, 0, height_mm))
    assert set(LEADS) <= set(texts(figure))
    assert_rendered(figure)


def test_clinical_figure_of_flat_and_missing_samples():
    signal_mv = np.zeros((1000, 12))
    signal_mv[:, 3] = np.nan
    with np.errstate(invalid="raise"):
        assert_rendered(clinical_figure(signal_mv, 100.0, "Record 1", "✗ none (50 %), truth RA-LA", plots.BAD))


def test_confusion_shows_every_count():
    matrix = np.array([[120, 6, 0], [0, 126, 0], [1, 0, 125]])
    figure = plots.confusion(matrix, ("none", "a", "b"))
    assert sorted(texts(figure)) == sorted(["120", "6", "126", "1", "125"])
    assert_rendered(figure)


def test_confusion_of_a_class_that_never_occurs():
    assert_rendered(plots.confusion(np.array([[3, 0], [0, 0]]), ("a", "b")))


def test_learning_curves_hold_their_points():
    points = np.array([[0, 1.0], [100, 0.1], [200, 0.01]])
    figure = plots.learning_curves(
        {"loss": {"train": points, "validation": points[1:]}, "auroc": {"validation": points}}
    )
    loss, auroc = (axes for axes in figure.axes if axes.lines)
    np.testing.assert_array_equal(loss.lines[0].get_xydata(), points)
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]
    assert (loss.get_yscale(), auroc.get_yscale()) == ("log", "linear")
    assert_rendered(figure)


def test_by_class_with_and_without_intervals():
    shares = {"label": "recall", "is_share": True, "second": np.array([np.nan, 0.9]), "second_label": "flagged"}
    figure = plots.by_class(("a", "b"), np.array([0.9, 0.8]), [(0.85, 0.95), None], **shares)
    assert texts(figure) == ["90.0 %", "80.0 %"]
    assert_rendered(figure)
    plain = {"label": "RMSE", "is_share": False, "second": None, "second_label": ""}
    figure = plots.by_class(("V1", "V2"), np.array([30.0, 1.5]), [None, None], **plain)
    assert texts(figure) == ["30.00", "1.500"]
    assert_rendered(figure)


def test_ppv_marks_its_values():
    prevalence = np.union1d(np.geomspace(0.001, 0.5, 31), (0.02, 0.05))
    value = prevalence / (prevalence + 0.1 * (1 - prevalence))
    figure = plots.ppv_against_prevalence(prevalence, {"rule": (value, value, value)}, (0.02, 0.05))
    assert texts(figure) == ["17 % at 2 %", "34 % at 5 %"]
    assert_rendered(figure)


def test_calibration_and_scatter_render():
    bins = np.array([[2.0, 0.1, 0.2], [0.0, np.nan, np.nan], [1.0, 0.9, 1.0]])
    assert_rendered(plots.calibration({"any": bins, "class": bins}))
    age_years = np.array([20.0, 50.0, 80.0])
    assert_rendered(plots.predicted_against_true(age_years, age_years + 3, "age (years)", "MAE 3.0"))
    assert_rendered(plots.predicted_against_true(age_years[:1], age_years[:1], "", ""))
