import jax
import numpy as np
import pytest

from ecgjax.export.preprocessing import preprocessing
from ecgjax.preprocess import Preprocess


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "filter_name", "seconds"),
    [
        (500, 100, "none", 3.0),
        (100, 250, "bandpass", 10.0),
        (257, 100, "bandpass", 10.0),
        (500, 500, "bandpass", 10.0),
        (100, 100, "bandpass", 1.5),
        (500, 100, "wavelet_bandpass", 10.0),
    ],
)
def test_arrays_do_what_the_functions_of_the_host_do(from_hz, to_hz, filter_name, seconds):
    preprocess = Preprocess(fs_hz=float(to_hz), filter=filter_name, low_hz=0.5, high_hz=40.0, normalise="none")
    rng = np.random.default_rng(0)
    shape = (round(seconds * from_hz), 3)
    # As large as baseline wander gets, and away from 0 at both ends.
    signal_mv = 1.5 + 0.02 * rng.normal(size=shape).cumsum(axis=0) + 0.1 * rng.normal(size=shape)
    expected = preprocess.apply(signal_mv, from_hz)
    apply = preprocessing(preprocess, len(signal_mv), from_hz, len(expected), rounds=False)
    assert np.max(np.abs(jax.jit(apply)(signal_mv.astype(np.float32)) - expected)) < 5e-6


@pytest.mark.parametrize("length", [80, 150])
def test_records_are_cut_or_padded_and_rounded_as_in_memory(length):
    preprocess = Preprocess(fs_hz=100.0, filter="none", low_hz=0.5, high_hz=40.0, normalise="none")
    signal_mv = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    signal_mv[50] = 40.0
    got = np.asarray(preprocessing(preprocess, 100, 100.0, length, rounds=True)(signal_mv))
    kept = got[:100] if length > 100 else got
    expected = signal_mv if length > 100 else signal_mv[10:90]
    assert not got[100:].any()
    assert np.max(np.abs(kept - np.clip(expected, None, 32.767))) <= 0.00051
    assert np.allclose(got * 1000, np.rint(got * 1000), atol=1e-3)
