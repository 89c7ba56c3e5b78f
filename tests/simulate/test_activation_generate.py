import numpy as np
import pytest

from ecgjax.data.intracardiac import NUM_SAMPLES, REST_MV, SITES, activation_ms
from ecgjax.errors import InputError
from ecgjax.leads import LEADS
from ecgjax.simulate.activation import generate
from ecgjax.simulate.activation.population import PATTERN

SEED = 5
"""With every pattern and a scar among the first hearts."""

NUM_HEARTS = 16


@pytest.fixture(scope="module")
def beats() -> dict[str, np.ndarray]:
    return generate(SEED, NUM_HEARTS, 4)


def test_shapes_and_ranges(beats):
    assert beats["ecg_mv"].shape == (4 * NUM_HEARTS, NUM_SAMPLES, len(LEADS))
    assert beats["vm_mv"].shape == (4 * NUM_HEARTS, NUM_SAMPLES, len(SITES))
    assert beats["site_mm"].shape == (4 * NUM_HEARTS, len(SITES), 3)
    assert beats["heart"].tolist() == np.repeat(np.arange(NUM_HEARTS), 4).tolist()
    assert beats["beat"].tolist() == np.tile(np.arange(4), NUM_HEARTS).tolist()
    for values in beats.values():
        assert values.dtype.kind == "U" or np.isfinite(values).all() or values is beats["activation_ms"]
    assert beats["vm_mv"].min() > REST_MV - 0.1
    assert beats["vm_mv"].max() < 40


def test_a_record_depends_on_its_numbers_alone(beats):
    few = generate(SEED, 2, 2, first_heart=7)
    for name, values in beats.items():
        np.testing.assert_array_equal(
            values.reshape(NUM_HEARTS, 4, *values.shape[1:])[7:9, :2].reshape(few[name].shape), few[name]
        )


def test_activation_is_that_of_the_potentials(beats):
    read = activation_ms(beats["vm_mv"])
    np.testing.assert_array_equal(np.isnan(read), np.isnan(beats["activation_ms"]))
    assert np.nanmax(np.abs(read - beats["activation_ms"])) < 0.3
    first = np.nanmin(beats["activation_ms"], axis=1)
    assert (first >= PATTERN.onset_ms[0]).all()
    # The first site is near, not at, the stimulus.
    assert (first < PATTERN.onset_ms[1] + 40).all()
    span = np.nanmax(beats["activation_ms"], axis=1) - first
    assert ((span > 50) & (span < 200)).all()


def test_sites_silent_in_a_scar_are_silent_in_every_beat(beats):
    silent = np.isnan(beats["activation_ms"]).reshape(NUM_HEARTS, 4, -1)
    assert silent.any()
    assert silent.mean() < 0.05
    assert (silent == silent[:, :1]).all()


def test_patterns(beats):
    kinds = np.array([name.split(" ")[0] for name in beats["pattern"]])
    assert set(kinds) == {"pace", "purkinje"}
    earliest = np.nanargmin(beats["activation_ms"], axis=1)
    for index in np.flatnonzero(kinds == "pace"):
        paced = [SITES.index(site) for site in beats["pattern"][index].removeprefix("pace ").split("+")]
        place_mm = beats["site_mm"][index]
        nearest = np.linalg.norm(place_mm[paced] - place_mm[earliest[index]], axis=1).min()
        if not np.isnan(beats["activation_ms"][index]).any():
            assert nearest < 35
    # A blocked bundle delays the ventricle that it serves.
    ms = beats["activation_ms"] - np.nanmin(beats["activation_ms"], axis=1, keepdims=True)
    lateral, free = SITES.index("AHA11"), SITES.index("RV07")
    both, left, right = (beats["pattern"] == name for name in ("purkinje", "purkinje lbbb", "purkinje rbbb"))
    assert np.nanmean(ms[left, lateral]) > np.nanmean(ms[both, lateral]) + 25
    assert np.nanmean(ms[right, free]) > np.nanmean(ms[both, free]) + 25


def test_ecgs_are_of_clinical_size(beats):
    swing = np.ptp(beats["ecg_mv"], axis=1)
    assert 0.5 < np.median(swing[:, LEADS.index("II")]) < 3
    assert 0.5 < np.median(swing[:, LEADS.index("V4")]) < 3
    np.testing.assert_allclose(beats["ecg_mv"][:, 0], 0, atol=0.03)
    lead = dict(zip(LEADS, np.moveaxis(beats["ecg_mv"], -1, 0), strict=True))
    np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=1e-4)


def test_bad_numbers():
    with pytest.raises(InputError, match=r"cannot simulate 0 beats of 4 hearts"):
        generate(SEED, 4, 0)
