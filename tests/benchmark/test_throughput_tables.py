"""What files and tables say of given times."""

import dataclasses
import json

import pytest

from ecgjax.benchmark.cases import EVERY_NETWORK, Case
from ecgjax.benchmark.machine import Machine
from ecgjax.benchmark.rounds import Measured
from ecgjax.benchmark.tables import Row, figures, to_markdown
from ecgjax.benchmark.timing import Block
from ecgjax.benchmark.worker import Facts, Settings

MACHINE = Machine(
    hardware="1x card (processor, 2 cores)",
    backend="gpu",
    num_devices=2,
    flops_per_s={"float32": 1e12, "bfloat16": 4e12},
    uses_tf32=True,
    bytes_per_s=1e10,
    versions={"jax": "0"},
    git="abc",
)
SETTINGS = Settings(num_records=8, data_dir="", block_s=0.1, blocks=3, case_s=1.0)
FACTS = Facts(
    batch_size=32, num_parameters=1234, first_s=5.05, flops=1e10, bytes=2e8, memory_bytes=2**20,
    device_peak_bytes=None, process_peak_bytes=2**30,
)  # fmt: skip


def row(table, wall_s, **changes):
    one = Measured(dataclasses.replace(Case.shipped("reversal", "placement_net"), **changes))
    one.facts = {"training": FACTS, "inference": FACTS}
    one.blocks = {name: [Block(10, 320, seconds, seconds) for seconds in wall_s] for name in one.facts}
    return Row(table, f"{table} of reversal", "2026-01-01T00:00:00+00:00", 0.5, one)


def test_figures_of_a_case():
    found = figures(row(EVERY_NETWORK, [0.5, 0.5, 0.5, 2.0]), MACHINE)["training"]
    assert found["records_per_s"]["median"] == pytest.approx(640)
    assert found["step_s"]["median"] == pytest.approx(0.05)
    assert found["compile_s"] == pytest.approx(5.0)
    assert found["share_of_products"] == pytest.approx(0.01 / 0.05)
    assert found["share_of_copies"] == found["share_of_roofline"] == pytest.approx(0.02 / 0.05)
    assert (found["blocks"], found["blocks_with_pauses"]) == (4, 1)
    half = figures(row(EVERY_NETWORK, [0.5], dtype="bfloat16", num_devices=2), MACHINE)["training"]
    assert half["share_of_products"] == pytest.approx(found["share_of_products"] / 8)
    assert half["share_of_copies"] == pytest.approx(found["share_of_copies"] / 2)
    # Threads of one processor are no more of it.
    threads = dataclasses.replace(MACHINE, backend="cpu")
    shared = figures(row(EVERY_NETWORK, [0.5], num_devices=2), threads)["training"]
    assert shared["share_of_copies"] == pytest.approx(found["share_of_copies"])


def test_rows_survive_the_file():
    one = row(EVERY_NETWORK, [0.5, 0.4])
    again = Row.from_json(json.loads(json.dumps(one.to_json())))
    assert again.to_json() == one.to_json()
    assert figures(again, MACHINE) == figures(one, MACHINE)


def test_tables_show_rates_ratios_and_what_failed():
    failed = row("dtypes", [], dtype="bfloat16")
    failed.measured.error = "out of memory"
    rows = [
        row(EVERY_NETWORK, [0.5]),
        row("batch_sizes", [0.5, 1.0, 0.5], batch_size=32),
        row("batch_sizes", [0.25, 0.5, 0.25], batch_size=64),
        failed,
    ]
    text = to_markdown(MACHINE, SETTINGS, rows)
    assert "1,000 GFLOP/s in float32, 4,000 GFLOP/s in bfloat16 (float32 as TF32)" in text
    assert "load average 0.5 to 0.5" in text
    assert "| reversal | placement_net | " in text
    assert "640 [640, 640]" in text
    assert "2.00 [2.00, 2.00]" in text
    assert "- reversal placement_net, dtype bfloat16: out of memory" in text
    assert "Type of the network" not in text
