"""Attributions: closed forms, completeness, the order of leads, beats and their waves."""

import json
from unittest import mock

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from explained_run import EachLead, LeadsTask, NumberTask, Quadratic, Waves, fake_run

from ecgjax.beats import BeatWindow
from ecgjax.errors import InputError
from ecgjax.explain import figures as explain_plots
from ecgjax.explain.attribution import (
    Attribution,
    Attributor,
    beat_window,
    by_class,
    explained,
    mean_over_beats,
    share_figures,
    truth_scores,
)
from ecgjax.explain.runs import Examples, examples, examples_of_record, write_explanation
from ecgjax.explain.waves import WAVES, boundaries, wave_of_sample
from scripts import attribute

WINDOW = BeatWindow(fs_hz=20.0, before_s=0.4, after_s=0.56, max_beats=24)
COMPILED: dict = {}
"""Runs, which must not share an id, and their attributors."""


@pytest.fixture(scope="module")
def quadratic():
    return fake_run(task=NumberTask(), module=Quadratic())


@pytest.fixture(scope="module")
def leads_run():
    return fake_run(task=LeadsTask(), module=EachLead())


def whole(run, method, num_steps=4, target=0, chosen=None):
    """Attributions to the whole signals: the window is as long as a record."""
    key = (id(run), method, num_steps)
    if key not in COMPILED:
        window = BeatWindow(fs_hz=20.0, before_s=1.0, after_s=1.0, max_beats=1)
        COMPILED[key] = run, Attributor(run, method, window, num_steps, seed=0)
    return COMPILED[key][1](examples(run, 0, 0) if chosen is None else chosen, target)


def test_gradients_of_a_quadratic_are_those_of_pencil_and_paper(quadratic):
    weight = np.asarray(quadratic.variables["params"]["weight"])
    x = quadratic.split.ecg / np.float32(1000)
    mean = x.mean(axis=0)
    expected = {
        "saliency": weight + x,
        "input_x_gradient": x * (weight + x),
        "integrated_gradients": weight * (x - mean) + 0.5 * (x**2 - mean**2),
    }
    for method, values in expected.items():
        found = whole(quadratic, method)
        np.testing.assert_allclose(found.signed, values, atol=1e-5)
        np.testing.assert_allclose(found.magnitude, np.abs(values), atol=1e-5)
        np.testing.assert_allclose(found.score, np.sum(weight * x + 0.5 * x**2, axis=(1, 2)), rtol=1e-4)
    assert np.isnan(whole(quadratic, "saliency").gap).all()
    assert np.abs(whole(quadratic, "integrated_gradients").gap).max() < 1e-3


def test_expected_gradients_start_from_other_records():
    pair = fake_run(num_records=2, task=NumberTask(), module=Quadratic())
    x = pair.split.ecg / np.float32(1000)
    weight = np.asarray(pair.variables["params"]["weight"])
    found = whole(pair, "expected_gradients", num_steps=200)
    way = x - x[::-1]
    # The other record is the only one there is; places on the way are drawn, which leaves 1/200 of a squared step.
    np.testing.assert_allclose(found.signed, way * weight + 0.5 * (x**2 - x[::-1] ** 2), atol=0.05)
    assert np.abs(found.gap).max() < 0.02 * np.abs(way).sum(axis=(1, 2)).max()


def test_what_is_drawn_for_a_record_does_not_depend_on_the_others(quadratic):
    every = whole(quadratic, "expected_gradients")
    some = whole(quadratic, "expected_gradients", chosen=examples(quadratic, 0, 0).select(np.array([7, 2])))
    np.testing.assert_allclose(some.signed, every.signed[[7, 2]], rtol=1e-5, atol=1e-6)


def test_integrated_gradients_add_up_ever_better():
    run = fake_run(task=NumberTask(), module=Waves())
    coarse, fine = (whole(run, "integrated_gradients", steps) for steps in (2, 24))
    x = run.split.ecg / np.float32(1000)
    np.testing.assert_allclose(fine.signed, np.sin(3 * x) - np.sin(3 * x.mean(axis=0)), atol=1e-4)
    assert np.abs(fine.gap).max() < 1e-3 * np.abs(coarse.gap).max()


def test_gradient_is_that_of_torch():
    torch = pytest.importorskip("torch")
    run = fake_run()
    found = whole(run, "saliency", target=-1)
    params, statistics = run.variables["params"], run.variables["batch_stats"]["BatchNorm_0"]
    first, bias, scale, last, last_bias, mean, variance = (
        torch.tensor(np.asarray(value))
        for value in (
            params["Dense_0"]["kernel"],
            params["BatchNorm_0"]["bias"],
            params["BatchNorm_0"]["scale"],
            params["Dense_1"]["kernel"],
            params["Dense_1"]["bias"],
            statistics["mean"],
            statistics["var"],
        )
    )
    x = torch.tensor(found.beat, requires_grad=True)
    hidden = torch.relu((x.mean(dim=1) @ first - mean) / torch.sqrt(variance + 1e-5) * scale + bias)
    logit = (hidden @ last + last_bias)[:, 0]
    chosen = found.examples
    holds = torch.tensor(run.split.labels["is_positive"][chosen.index] ^ (chosen.view == 1))
    (gradient,) = torch.autograd.grad(torch.where(holds, logit, -logit).sum(), x)
    assert float(gradient.abs().max()) > 1e-3
    np.testing.assert_allclose(found.signed, gradient.numpy(), atol=1e-6)


def test_a_lead_that_is_scored_by_itself_has_all_of_the_attribution(leads_run):
    for target in range(3):
        found = whole(leads_run, "input_x_gradient", target=target)
        assert np.abs(found.signed[:, :, target]).max() > 1e-4
        assert not np.delete(found.signed, target, axis=2).any()
        np.testing.assert_allclose(found.beat, leads_run.split.ecg / np.float32(1000), atol=1e-6)


def test_the_order_in_which_leads_come_does_not_matter(leads_run):
    other = fake_run(task=LeadsTask(shuffle=5), module=EachLead())
    for target in (-1, 1):
        one, two = (whole(run, "input_x_gradient", target=target) for run in (leads_run, other))
        np.testing.assert_allclose(one.signed, two.signed, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(one.score, two.score, rtol=1e-4)


def test_all_leads_together_are_the_mean_of_each(leads_run):
    each = [whole(leads_run, "input_x_gradient", target=target).signed for target in range(3)]
    together = whole(leads_run, "input_x_gradient", target=-1)
    np.testing.assert_allclose(together.signed, np.mean(each, axis=0), atol=1e-6)


def test_scores_of_the_truth():
    logits = jnp.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
    score, truth = truth_scores({"scores": jax.nn.softmax(logits), "targets": jnp.array([0, 2])})
    expected = [2.0 - np.log(np.exp(-1) + np.exp(0.5)), 1.0 - np.log(1 + np.exp(3))]
    np.testing.assert_allclose(score[:, 0], expected, rtol=1e-5)
    assert truth.tolist() == [[0], [2]]
    labels = {"scores": jax.nn.sigmoid(logits), "targets": jnp.array([[1, 0, 1], [0, 0, 1]])}
    score, truth = truth_scores(labels)
    np.testing.assert_allclose(score, logits * np.array([[1, -1, 1], [-1, -1, 1]]), rtol=1e-4)
    assert truth.tolist() == [[0, -1, 2], [-1, -1, 2]]
    np.testing.assert_allclose(explained(labels, jnp.array([2, 2])), [0.5, 1.0], rtol=1e-4)
    np.testing.assert_allclose(explained(labels, jnp.array([-1, 0])), [3.5 / 3, 0.0], rtol=1e-4)
    numbers, truth = truth_scores({"scores": logits, "targets": logits + 1})
    np.testing.assert_array_equal(numbers, logits)
    assert truth.tolist() == [[0, 1, 2]] * 2


@pytest.mark.parametrize("squash", [jax.nn.softmax, jax.nn.sigmoid])
def test_certain_scores_have_finite_gradients(squash):
    def score(logits):
        targets = jnp.array([0]) if squash is jax.nn.softmax else jnp.array([[1, 0]])
        return explained({"scores": squash(logits), "targets": targets}, jnp.array([-1]))[0]

    value, gradient = jax.vmap(jax.value_and_grad(score))(jnp.array([[[x, -x]] for x in (5.0, 60.0, 500.0)]))
    assert np.isfinite(gradient).all()
    assert (value > 4).all()
    assert np.isfinite(value).all()


def test_beats_are_cut_and_averaged_as_by_hand():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 60, 2)).astype(np.float32)
    peaks = np.array([[10, 30, 45], [20, 0, 0], [0, 0, 0]])
    is_beat = np.array([[True, True, True], [True, False, False], [False] * 3])
    found = mean_over_beats(values, peaks, is_beat, WINDOW)
    before = WINDOW.num_before
    cut = [values[0, peak - before : peak - before + WINDOW.num_samples] for peak in peaks[0]]
    np.testing.assert_allclose(found[0], np.mean(cut, axis=0), rtol=1e-5)
    np.testing.assert_allclose(found[1], values[1, 20 - before : 20 - before + WINDOW.num_samples])
    assert np.isnan(found[2]).all()


def test_whole_signals_come_out_as_beats(quadratic):
    found = Attributor(quadratic, "saliency", WINDOW, 1, 0)(examples(quadratic, 5, 0), 0)
    assert found.signed.shape == (5, WINDOW.num_samples, 3)
    assert (found.magnitude >= np.abs(found.signed) - 1e-6).all()
    assert found.magnitude.sum() > np.abs(found.signed).sum()
    np.testing.assert_allclose(found.shares().sum(axis=(1, 2)), 1)


def gaussian_beat(fs_hz, p=True):
    """P from -0.2 to -0.1 s, QRS within 0.04 s of the R peak and T from 0.15 to 0.35 s, in leads of any sign."""
    time_s = np.arange(-0.4, 0.56, 1 / fs_hz)
    waves = [(-0.15, 0.02, 0.1 * p), (-0.012, 0.01, -0.8), (0.012, 0.01, 1.0), (0.25, 0.04, 0.3)]
    beat = np.stack([height * np.exp(-(((time_s - at) / width) ** 2) / 2) for at, width, height in waves])
    leads = np.random.default_rng(0).normal(size=(len(waves), 12))
    return beat.T @ leads, BeatWindow(fs_hz=fs_hz, before_s=0.4, after_s=0.56, max_beats=24)


@pytest.mark.parametrize("fs_hz", [100.0, 250.0, 500.0])
def test_waves_are_found_where_they_are(fs_hz):
    beat, window = gaussian_beat(fs_hz)
    found_s = boundaries(beat, window) / fs_hz - 0.4
    # A tangent at the steepest point of a Gaussian meets the ground two deviations from the middle.
    np.testing.assert_allclose(found_s, [-0.19, -0.11, -0.04, 0.04, 0.17, 0.33], atol=0.021)
    turned = beat[:, ::-1] * np.where(np.arange(12) % 2, -1, 1) * 7
    np.testing.assert_array_equal(boundaries(turned, window), boundaries(beat, window))


def test_beats_without_waves_take_usual_intervals():
    beat, window = gaussian_beat(100.0, p=False)
    onset, end, qrs, *_ = boundaries(beat, window)
    assert (onset - qrs, end - qrs) == (-16, -5)
    flat = wave_of_sample(np.stack([np.zeros((96, 12)), np.full((96, 12), np.nan)]), window)
    assert set(flat.ravel()) == set(range(len(WAVES)))
    rng = np.random.default_rng(1)
    for _ in range(50):
        ends = boundaries(rng.normal(size=(96, 12)), window)
        assert (np.diff(ends) >= 0).all()
        assert ends[0] >= 0
        assert ends[-1] <= 96


def attribution_of(magnitude, wave, patient_ids):
    num = len(magnitude)
    chosen = Examples(np.arange(num, dtype=np.int32), np.zeros(num, np.int32))
    ones = np.ones(num)
    return Attribution(chosen, patient_ids, magnitude, magnitude, magnitude, wave, ones, ones)


def test_shares_are_counted_as_by_hand():
    rng = np.random.default_rng(0)
    magnitude = rng.random((8, 30, 2))
    wave = rng.integers(0, len(WAVES), (8, 30))
    magnitude[5], magnitude[6] = 0, np.nan
    patient_ids = np.array(list("aabbccdd"))
    found = share_figures([attribution_of(magnitude, wave, patient_ids)], ("I", "II"), 200)
    kept = [0, 1, 2, 3, 4, 7]
    for i, name in enumerate(WAVES):
        by_hand = [magnitude[n][wave[n] == i].sum() / magnitude[n].sum() for n in kept]
        time = [np.mean(wave[n] == i) for n in kept]
        assert found[f"share/{name}"].value == pytest.approx(np.mean(by_hand))
        assert found[f"density/{name}"].value == pytest.approx(np.mean(by_hand) / np.mean(time))
        low, high = found[f"share/{name}"].ci95
        assert low < found[f"share/{name}"].value < high
    assert found["lead/I"].value + found["lead/II"].value == pytest.approx(1)
    assert found["lead/I"].n == len(kept)
    with pytest.raises(InputError, match="other than zero"):
        share_figures([attribution_of(np.zeros((2, 30, 2)), wave[:2], patient_ids[:2])], ("I", "II"), 0)


def test_each_class_is_explained_over_its_own_examples():
    run = fake_run()
    found = by_class(Attributor(run, "saliency", WINDOW, 1, 0), examples(run, 0, 0), None)
    chosen = found["positive"].examples
    # Either view of a record is positive, never both.
    assert sorted(chosen.index) == list(range(11))
    np.testing.assert_array_equal(chosen.view == 0, run.split.labels["is_positive"][chosen.index])


def test_what_cannot_be_explained_is_refused_in_one_line(quadratic):
    with pytest.raises(InputError, match="unknown method 'lime'.*saliency"):
        Attributor(quadratic, "lime", WINDOW, 1, 0)
    with pytest.raises(InputError, match="num_steps is 0"):
        Attributor(quadratic, "saliency", WINDOW, 0, 0)
    with pytest.raises(InputError, match="split holds one"):
        Attributor(fake_run(1, NumberTask(), Quadratic()), "expected_gradients", WINDOW, 1, 0)
    with pytest.raises(InputError, match="no record 'x'.*test0"):
        examples_of_record(quadratic, "x")
    attributor = Attributor(quadratic, "saliency", WINDOW, 1, 0)
    with pytest.raises(InputError, match="unknown target 'age'.*number"):
        by_class(attributor, examples(quadratic, 0, 0), "age")
    run = fake_run()
    record = int(np.flatnonzero(~run.split.labels["is_positive"])[0])
    negative = Examples(np.array([record], np.int32), np.zeros(1, np.int32))
    with pytest.raises(InputError, match="truth of none of 1 records is positive"):
        by_class(Attributor(run, "saliency", WINDOW, 1, 0), negative, "positive")


def test_beat_figure_holds_the_trace_and_its_attribution():
    beat, window = gaussian_beat(100.0)
    strength = np.random.default_rng(0).normal(size=beat.shape)
    time_s = np.arange(96) / 100 - 0.4
    wave = wave_of_sample(beat[None], window)[0]
    names = tuple("abcdefghijkl")
    figure = explain_plots.attribution_beat(beat, strength, wave, time_s=time_s, lead_names=names, title="t", unit="mV")
    panels = {axes.texts[-1].get_text(): axes for axes in figure.axes if axes.collections and axes.texts}
    for i, name in enumerate(names):
        (line,) = panels[name].collections
        np.testing.assert_allclose(line.get_segments()[5], np.stack([time_s, beat[:, i]], axis=1)[5:7])
        np.testing.assert_allclose(line.get_array(), (strength[:-1, i] + strength[1:, i]) / 2)


@pytest.mark.slow
def test_script_writes_table_arrays_and_figures(leads_run, tmp_path):
    content, arrays, figures = attribute.attribute(
        leads_run, "expected_gradients", target=None, record=None, max_records=6, num_steps=3
    )
    write_explanation(tmp_path / "out", "attribution", content, arrays, figures)
    table = json.loads((tmp_path / "out" / "attribution.json").read_text())
    assert table["n_records"] == 6
    assert set(table["targets"]) == {"I", "II", "III"}
    for name, of_class in table["targets"].items():
        assert of_class["metrics"][f"lead/{name}"]["value"] == pytest.approx(1)
        assert of_class["n"] == 6
        assert of_class["mean_gap"] >= 0
    assert sum(table["metrics"][f"share/{wave}"]["value"] for wave in WAVES) == pytest.approx(1)
    with np.load(tmp_path / "out" / "attribution.npz") as file:
        assert file["attribution"].shape == (18, 19, 3)
        assert file["magnitude"].shape == (3, 19, 3)
    names = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert names == {"beat_I", "beat_II", "beat_III", "waves", "leads_by_class", "waves_by_class"}


def test_one_record_has_no_intervals(leads_run):
    content, *_ = attribute.attribute(leads_run, "saliency", target="II", record="test3", max_records=0, num_steps=1)
    assert set(content["targets"]) == {"II"}
    assert content["metrics"]["share/P"]["ci95"] is None
    assert "mean_gap" not in content["targets"]["II"]


def test_window_is_that_of_the_run():
    config = mock.MagicMock()
    config.preprocess.fs_hz = 250.0
    config.__contains__.return_value = True
    config.beat.to_dict.return_value = {"before_s": 0.2, "after_s": 0.3, "max_beats": 5}
    assert beat_window(config) == BeatWindow(250.0, 0.2, 0.3, 5)


@pytest.mark.parametrize("script", ["attribute", "embed"])
def test_scripts_end_on_one_line_for_bad_input(script, tmp_path):
    result = commands.run(f"scripts/{script}.py", f"--workdir={tmp_path / 'none'}")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "there is no" in result.stderr
    assert not list(tmp_path.iterdir())
