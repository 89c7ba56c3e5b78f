"""A record of all leads over the whole time from what a page shows of it."""

import numpy as np
import pytest

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.images.page import FORMATS
from ecgjax.images.whole_record import whole_record
from ecgjax.leads import LEADS

FS_HZ = 500.0
SECONDS = 10.0
BEAT_S = 0.8
WAVES_S = ((-0.18, 0.025, 0.12), (-0.03, 0.01, -0.15), (0.0, 0.012, 1.0), (0.035, 0.012, -0.35), (0.25, 0.05, 0.3))
"""When each wave comes, how long it lasts and how large it is."""


def beats(times_s, seconds=SECONDS, wander_mv=0.0):
    """`[time, 12]`: beats with their R peaks at `times_s`, waves of a turning dipole."""
    rng = np.random.default_rng(5)
    time_s = np.arange(round(seconds * FS_HZ)) / FS_HZ
    independent = np.zeros((len(time_s), 8))
    for centre_s, width_s, size in WAVES_S:
        wave = np.exp(-0.5 * ((time_s[:, None] - times_s - centre_s) / width_s) ** 2).sum(1)
        independent += size * wave[:, None] * rng.normal(size=8)
    independent += wander_mv * np.sin(2 * np.pi * 0.15 * time_s[:, None] + np.arange(8))
    return independent @ leads.LEADS_FROM_INDEPENDENT.T


REGULAR_S = np.arange(-0.4, SECONDS + 1, BEAT_S)
TRUE = beats(REGULAR_S)


def shown(signal_mv, name):
    """What stands on a page, NaN elsewhere."""
    format = FORMATS[name]
    page = np.full(signal_mv.shape, np.nan)
    for row in (*format.rows, *((lead,) for lead in format.rhythm_leads)):
        width = len(signal_mv) // len(row)
        for column, lead in enumerate(row):
            part = slice(column * width, (column + 1) * width), LEADS.index(lead)
            page[part] = signal_mv[part]
    return page


def law_breaks_mv(signal_mv):
    return max(
        np.abs(sum(weight * signal_mv[:, LEADS.index(lead)] for lead, weight in identity.items())).max()
        for identity in leads.IDENTITIES
    )


@pytest.mark.parametrize("name", ["3x4", "3x4+1", "3x4+3", "6x2", "6x2+1", "12x1"])
def test_a_regular_record_comes_back_whole(name):
    page = shown(TRUE, name)
    whole = whole_record(page, FS_HZ)
    is_drawn = np.isfinite(page)
    np.testing.assert_array_equal(whole.is_drawn, is_drawn)
    np.testing.assert_array_equal(whole.signal_mv[is_drawn], TRUE.astype(np.float32)[is_drawn])
    assert whole.missing == ()
    # Columns that have no lead in common may disagree on where the peak of a beat is.
    limit_mv = 0.15 if name in {"3x4", "6x2"} else 0.03
    assert np.sqrt(np.mean((whole.signal_mv - TRUE) ** 2)) < limit_mv
    assert law_breaks_mv(whole.signal_mv) < 1e-5
    assert whole.heart_rate_per_min == pytest.approx(60 / BEAT_S, rel=0.01)
    if name == "12x1":
        assert whole.is_known.all()


def test_limb_leads_of_the_same_instant_follow_from_each_other():
    page = shown(TRUE, "3x4+1")
    whole = whole_record(page, FS_HZ)
    half = len(TRUE) // 2
    assert whole.is_known[: half - 1, :6].all()
    np.testing.assert_allclose(whole.signal_mv[:half, :6], TRUE[:half, :6], atol=1e-6)
    assert not whole.is_known[half:, 0].any()
    assert whole.is_known[:, 1].all()


def test_a_single_limb_lead_pulls_the_others_along():
    # The rhythm lead shows a larger beat at 9 s: the estimates of the others have to obey the laws with it.
    page = shown(TRUE * np.where(np.arange(len(TRUE)) > 4200, 1.5, 1.0)[:, None], "3x4+1")
    whole = whole_record(page, FS_HZ)
    assert law_breaks_mv(whole.signal_mv) < 1e-5


@pytest.mark.parametrize("placement", [leads.LIMB_SWAPS[0], leads.LIMB_CYCLES[1], leads.PRECORDIAL_REVERSED])
def test_exchanged_cables_stay_as_they_are(placement):
    whole = whole_record(shown(placement.apply(TRUE), "3x4+1"), FS_HZ)
    undone = placement.inverse.apply(whole.signal_mv.astype(float))
    assert np.sqrt(np.mean((undone - TRUE) ** 2)) < 0.03


def test_levels_go_over_into_each_other_without_a_step():
    wandering = beats(REGULAR_S, wander_mv=0.3)
    whole = whole_record(shown(wandering, "3x4+1"), FS_HZ)
    edge = len(TRUE) // 2
    chest = [LEADS.index(lead) for lead in ("V1", "V2", "V3")]
    step_mv = np.abs(np.diff(whole.signal_mv[edge - 5 : edge + 5, chest], axis=0)).max()
    assert step_mv < 1.5 * np.abs(np.diff(wandering[edge - 50 : edge + 50, chest], axis=0)).max()


def test_beats_follow_the_rhythm_lead():
    times_s = np.cumsum([0.3, 0.8, 0.7, 0.95, 0.8, 1.3, 0.6, 0.75, 0.9, 0.85, 0.8, 0.7])
    irregular = beats(times_s)
    whole = whole_record(shown(irregular, "3x4+1"), FS_HZ)
    np.testing.assert_allclose(whole.r_samples / FS_HZ, times_s[times_s < SECONDS], atol=0.03)
    assert np.sqrt(np.mean((whole.signal_mv - irregular) ** 2)) < 0.06


def test_an_unusual_beat_is_not_what_continues_a_lead():
    strange = TRUE.copy()
    first = round(5.7 * FS_HZ)
    width = round(0.25 * FS_HZ)
    strange[first : first + width] -= 2 * np.hanning(width)[:, None] * TRUE.std(0)
    whole = whole_record(shown(strange, "3x4+1"), FS_HZ)
    late, v2 = slice(len(TRUE) * 3 // 4, None), LEADS.index("V2")
    assert np.sqrt(np.mean((whole.signal_mv[late, v2] - TRUE[late, v2]) ** 2)) < 0.06


def test_what_cannot_be_had_is_reported():
    page = shown(TRUE, "3x4+1")
    page[:, LEADS.index("V3")] = np.nan
    whole = whole_record(page, FS_HZ)
    assert whole.missing == ("V3",)
    assert np.isnan(whole.signal_mv[:, LEADS.index("V3")]).all()
    page[:, 1:6] = np.nan
    assert whole_record(page, FS_HZ).missing == ("II", "III", "aVR", "aVL", "aVF", "V3")


def test_short_gaps_are_bridged_by_the_beats():
    page = TRUE.copy()
    page[2000:2060, LEADS.index("V5")] = np.nan
    whole = whole_record(page, FS_HZ)
    assert not whole.is_known[2000:2060, LEADS.index("V5")].any()
    np.testing.assert_allclose(whole.signal_mv[2000:2060], TRUE[2000:2060], atol=0.05)


def test_without_beats_nothing_is_made_up():
    page = shown(np.full(TRUE.shape, 0.1), "3x4+1")
    whole = whole_record(page, FS_HZ)
    assert np.isnan(whole.heart_rate_per_min)
    assert "V1" in whole.missing
    np.testing.assert_array_equal(np.isfinite(whole.signal_mv), whole.is_known)


def test_other_things_are_refused():
    with pytest.raises(InputError, match=r"expected \[time, 12\] samples, the shape is \(5, 3\)"):
        whole_record(np.zeros((5, 3)), FS_HZ)
    with pytest.raises(InputError, match="no lead is drawn"):
        whole_record(np.full((500, 12), np.nan), FS_HZ)
