"""The 75 sites, and times read from their potentials."""

import csv

import jax
import numpy as np
import pytest

from ecgjax.data import intracardiac
from ecgjax.data.intracardiac import NUM_SAMPLES, REST_MV, activation_ms, apd90_ms

SAMPLE = np.arange(NUM_SAMPLES)


def triangle(begun_ms, peak_mv, slope_mv_ms):
    """A jump within a sample to the peak at `begun_ms`, and a straight line back to rest."""
    falling = peak_mv - slope_mv_ms * (SAMPLE - begun_ms)
    return np.where(begun_ms > SAMPLE, REST_MV, np.maximum(falling, REST_MV))[:, None]


def test_sites_are_those_of_the_published_table_in_its_order(sample_data):
    with (sample_data / "llnl-geometry" / "points.csv").open() as file:
        names = [row["Name"].strip("'") for row in csv.DictReader(file)]
    assert tuple(names) == intracardiac.SITES


def test_regions_part_the_sites():
    regions = {name: int(is_in.sum()) for name, is_in in intracardiac.regions().items()}
    assert regions == {"LV": 36, "RV": 24, "septum": 15, "endo": 30, "mid": 25, "epi": 20}


@pytest.mark.parametrize(
    ("site", "chamber", "layer"),
    [
        ("AHA01", "LV", "endo"),
        ("EPI_AHA17", "LV", "epi"),
        ("MID_RV11", "RV", "mid"),
        ("RV05", "septum", "endo"),
        ("AHA14", "septum", "endo"),
        ("SEPTM_AHA14_RV13", "septum", "mid"),
    ],
)
def test_chamber_and_layer_of_a_site(site, chamber, layer):
    assert site in intracardiac.SITES
    assert (intracardiac.chamber(site), intracardiac.layer(site)) == (chamber, layer)


def test_activation_is_where_a_straight_upstroke_crosses_zero():
    begun_ms = np.array([3.25, 100.0, 320.875])
    vm_mv = np.clip(40 * (SAMPLE[:, None] - begun_ms), REST_MV, 30)
    np.testing.assert_allclose(activation_ms(vm_mv), begun_ms, atol=1e-4)


def test_activation_is_undefined_without_a_crossing_and_where_it_was_before_the_record():
    silent = np.full(NUM_SAMPLES, REST_MV)
    above = np.where(SAMPLE < 50, 20.0, REST_MV)
    again = np.where((SAMPLE < 50) | (SAMPLE > 300), 20.0, REST_MV)
    second = np.where((SAMPLE > 99) & (SAMPLE < 200) | (SAMPLE > 300), 20.0, REST_MV)
    found = activation_ms(np.stack([silent, above, again, second], axis=1))
    assert np.isnan(found[:3]).all()
    assert found[3] == pytest.approx(99 - REST_MV / (20 - REST_MV), abs=1e-4)


def test_duration_of_a_triangle():
    level_mv = 30 + 0.9 * (REST_MV - 30)
    end_ms = 60 + (30 - level_mv) / 0.5
    begun_ms = 59 - REST_MV / (30 - REST_MV)
    assert apd90_ms(triangle(60, 30, 0.5))[0] == pytest.approx(end_ms - begun_ms, abs=1e-3)


def test_duration_is_undefined_where_repolarisation_or_the_upstroke_is_outside_the_record():
    unfinished = triangle(450, 30, 0.5)
    from_before = np.where(SAMPLE < 100, 20.0, REST_MV)[:, None]
    silent = np.full((NUM_SAMPLES, 1), REST_MV)
    assert np.isnan(apd90_ms(np.concatenate([unfinished, from_before, silent], axis=1))).all()


def test_jax_gives_what_numpy_gives():
    rng = np.random.default_rng(0)
    vm_mv = np.concatenate([triangle(b, 30, s) for b, s in rng.uniform(1, 3, (20, 2)) * [90, 0.3]], axis=1)
    vm_mv = np.stack([vm_mv, vm_mv + rng.normal(0, 1, vm_mv.shape)]).astype(np.float32)
    for times in (activation_ms, apd90_ms):
        np.testing.assert_allclose(jax.jit(times)(vm_mv), times(vm_mv), rtol=1e-4)
