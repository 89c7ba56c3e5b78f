import math
import subprocess
import sys

import jax
import numpy as np
import pytest

from ecgjax.errors import InputError
from ecgjax.parallel import AXIS
from ecgjax.scaling.model import Interconnect, Step
from ecgjax.scaling.rounds import exchanged_bytes
from scripts import scaling

NET = Interconnect(8, 300e9, 6e-6, 40e9, 15e-6)
STEP = Step(fixed_s=2e-3, record_s=4e-6, dispatch_s=7e-4, read_records_per_s=math.inf, rounds=(1_400_000,))


def test_rounds_follow_what_waits_for_what():
    def step(x, y):
        first = jax.lax.psum(x, AXIS)
        beside = jax.lax.psum(y, AXIS)
        second = jax.jit(lambda z: jax.lax.pmean(jax.nn.relu(z), AXIS))(first[:2])
        return second, beside

    arguments = (jax.ShapeDtypeStruct((4,), np.float32), jax.ShapeDtypeStruct((3,), np.float32))
    assert exchanged_bytes(step, arguments) == (4 * (4 + 3), 4 * 2)


def test_exchange_has_the_limits_of_latency_and_bandwidth():
    assert NET.all_reduce_s(1e6, 1) == 0
    # Large messages: every GPU sends nearly all of its data twice, first within the node, an eighth of it beyond.
    assert NET.all_reduce_s(1e12, 8) == pytest.approx(2 * 7 / 8 * 1e12 / 300e9, rel=1e-3)
    beyond = NET.all_reduce_s(1e12, 512) - NET.all_reduce_s(1e12, 8)
    assert beyond == pytest.approx(2 * 63 / 64 * 1e12 / 8 / 40e9, rel=1e-3)
    # Small ones: up and down a tree.
    assert NET.all_reduce_s(4, 512) == pytest.approx(2 * 3 * 6e-6 + 2 * 6 * 15e-6, rel=1e-3)
    times = [NET.all_reduce_s(1e6, gpus) for gpus in (1, 2, 4, 8, 16, 64, 512)]
    assert times == sorted(times)


def test_step_is_bound_by_the_slowest_of_its_parts():
    assert STEP.seconds(500, 1, NET) == pytest.approx(4e-3)
    assert STEP.efficiency(500, 500, 1, NET) == 1
    weak = [STEP.efficiency(500, 500, gpus, NET) for gpus in (1, 8, 64, 512)]
    assert weak == sorted(weak, reverse=True)
    reads = Step(2e-3, 4e-6, 7e-4, 10_000, STEP.rounds)
    assert reads.records_per_s(500, 8, NET) == pytest.approx(80_000)
    assert scaling.half_batch(STEP, 1, NET) == pytest.approx(500)


def test_gpu_is_fitted_to_what_was_measured():
    assert scaling.fitted(["64:2.5", "192:3.5"]) == pytest.approx((2e-3, 1e-3 / 128))
    for points in (["64:2.5"], ["64"], ["64:x", "2:1"]):
        with pytest.raises(InputError, match="give BATCH:MS of two batches or more"):
            scaling.fitted(points)
    with pytest.raises(InputError, match="give larger batches"):
        scaling.fitted(["64:2.5", "128:2.4"])


def test_ways_share_the_same_work():
    found = scaling.ways(32, [1, 2])
    assert [(way.name, way.batch_size, way.num_processes, way.num_devices) for way in found] == [
        ("weak", 32, 1, 1),
        ("weak", 64, 2, 1),
        ("strong", 32, 2, 1),
        ("devices", 32, 1, 1),
        ("devices", 32, 1, 2),
    ]


def test_processes_that_wait_for_each_other_end(tmp_path):
    """As those of jax.distributed do; each makes a file and waits for that of the other."""
    wait = "import sys, pathlib, time; sys.stdin.read(); mine, other = map(pathlib.Path, sys.argv[1:]); mine.touch()\n"
    wait += "while not other.exists(): time.sleep(0.01)"
    files = [str(tmp_path / "one"), str(tmp_path / "two")]
    group = scaling.Group.__new__(scaling.Group)
    group._processes = [
        subprocess.Popen([sys.executable, "-c", wait, *order], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for order in (files, files[::-1])
    ]
    group.close()
    assert [process.returncode for process in group._processes] == [0, 0]
