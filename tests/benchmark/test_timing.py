"""Rates from given times."""

import pytest

from ecgjax.benchmark.timing import Block, Spread, is_far, records_per_s, speed_up, step_s


def blocks(*wall_s, steps=10, batch_size=32):
    return [Block(steps, steps * batch_size, seconds, seconds) for seconds in wall_s]


def test_rates_are_medians_over_blocks():
    timed = blocks(0.5, 0.4, 0.45)
    assert records_per_s(timed).median == pytest.approx(320 / 0.45)
    assert records_per_s(timed).low < records_per_s(timed).median < records_per_s(timed).high
    assert step_s(timed).median == pytest.approx(0.045)
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_blocks_of_any_length_count_alike():
    assert step_s([*blocks(0.1, steps=2), *blocks(0.5)]).median == pytest.approx(0.05)


def test_a_pause_is_told_and_left_out():
    timed = blocks(0.5, 0.5, 3.0, 0.51, 0.5)
    assert is_far(timed).tolist() == [False, False, True, False, False]
    assert step_s(timed).high < 0.06
    assert speed_up(timed, blocks(1.0, 1.0, 1.0, 1.02, 5.0)).median == pytest.approx(2.0)


def test_the_speed_up_is_paired_by_round():
    # A machine that gets slower slows both.
    assert speed_up(blocks(0.4, 0.45, 0.5), blocks(0.8, 0.9, 1.0)) == Spread(*[pytest.approx(2.0)] * 3)
