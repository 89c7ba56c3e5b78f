"""scripts/benchmark.py from end to end, with the smallest case there is."""

import dataclasses
import json
from types import SimpleNamespace

import commands
import pytest
from test_throughput_tables import MACHINE

from ecgjax.benchmark import machine as measuring
from ecgjax.errors import InputError
from scripts import benchmark as command

CPU = dataclasses.replace(MACHINE, backend="cpu")
GIVEN = {
    "preset": "quick", "tasks": ["heartbeat"], "models": ["beat_reader"], "axes": ["networks"], "num_records": 40,
    "blocks": 3, "block_s": 0.01, "case_s": 5.0, "data_dir": "", **{axis: [] for axis in command.AXES},
}  # fmt: skip


@pytest.fixture
def run(monkeypatch, tmp_path):
    def main(machine=CPU, **given):
        monkeypatch.setattr(command.flags, "FLAGS", SimpleNamespace(output=str(tmp_path / "out"), **{**GIVEN, **given}))
        monkeypatch.setattr(command.rounds, "measure_machine", lambda: machine)
        command.main()
        return json.loads((tmp_path / "out" / "benchmark.json").read_text())

    return main


@pytest.mark.slow
def test_cases_are_measured_once_and_added_to(run, tmp_path, capsys):
    content = run()
    (case,) = content["cases"]
    assert case["error"] == ""
    assert set(case["figures"]) == {"training", "inference"}
    trained = case["figures"]["training"]
    assert trained["records_per_s"]["median"] > 0
    assert trained["batch_size"] == 256
    assert trained["compile_s"] > 0
    assert trained["flops"] > 2 * 256 * trained["num_parameters"]
    assert 0 < trained["memory_bytes"] < trained["process_peak_bytes"]
    assert len(case["blocks"]["training"]) >= 3
    assert (tmp_path / "out" / "benchmark.md").read_text() == capsys.readouterr().out[:-1]

    faster = dataclasses.replace(CPU, bytes_per_s=2e10)
    more = run(faster, axes=["networks", "num_devices"], num_devices=["3", "5"])
    assert more["cases"][0]["blocks"] == case["blocks"]
    assert more["machine"]["bytes_per_s"] == 2e10
    # What fails is told, and the rest goes on.
    for one, count in zip(more["cases"][1:], (3, 5), strict=True):
        assert one["error"] == f"batch_size is 256, for {count} devices; give a positive multiple of {count}"
        assert one["blocks"] == {}

    for given in ({"machine": dataclasses.replace(CPU, hardware="other")}, {"block_s": 0.02}):
        with pytest.raises(
            InputError, match=r"holds figures of another (hardware|settings), .*; give another --output"
        ):
            run(**given)


def test_presets_measure_every_network_and_vary_the_default_ones():
    nothing = SimpleNamespace(tasks=[], models=[], axes=[], **{axis: [] for axis in command.AXES})
    quick, full = (command.plan(command.PRESETS[name], nothing, num_devices=2) for name in ("quick", "full"))
    measured = {(case.task, case.model) for group in full if group.table == "networks" for case in group.cases}
    assert measured == {(task, model) for task, models in command.NETWORKS.items() for model in models}
    networks = {model for models in command.NETWORKS.values() for model in models}
    assert {case.model for group in quick if group.table == "networks" for case in group.cases} == networks
    assert {group.table for group in quick} == {group.table for group in full} == {"networks", *command.AXES}
    assert {case.num_devices for group in full for case in group.cases} == {1, 2}
    alone = command.plan(command.PRESETS["full"], nothing, num_devices=1)
    assert not any(group.table == "num_devices" for group in alone)
    chosen = SimpleNamespace(**{**vars(nothing), "models": ["xresnet1d"], "dtypes": ["bfloat16"], "axes": ["dtypes"]})
    assert [group.name for group in command.plan(command.PRESETS["full"], chosen, 1)] == [
        "dtypes of diagnosis xresnet1d: bfloat16", "dtypes of age xresnet1d: bfloat16",
    ]  # fmt: skip


@pytest.mark.slow
def test_everything_that_varies(run):
    axes = [axis for axis in command.AXES if axis != "inputs"]
    content = run(axes=axes, batch_sizes=["8", "16"], num_devices=["1", "2"], steps_per_dispatch=["1", "2"])
    assert [case["error"] for case in content["cases"]] == [""] * 2 * len(axes)
    trained = {(case["table"], i % 2): case["facts"]["training"] for i, case in enumerate(content["cases"])}
    assert trained["batch_sizes", 1]["flops"] == pytest.approx(2 * trained["batch_sizes", 0]["flops"], rel=0.2)
    for axis in ("num_devices", "steps_per_dispatch", "shardings"):
        assert trained[axis, 1]["flops"] == pytest.approx(trained[axis, 0]["flops"], rel=0.2)
    assert trained["augmentations", 1]["flops"] < trained["augmentations", 0]["flops"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tasks": ["reversals"]}, "unknown --tasks 'reversals'; use reversal, lead_id"),
        ({"models": ["placement_net"]}, "unknown --models 'placement_net'; use beat_reader, beat_cnn"),
        ({"axes": ["dtype"]}, "unknown --axes 'dtype'; use networks, batch_sizes"),
        ({"dtypes": ["float16"]}, "unknown --dtypes 'float16'; use float32, bfloat16"),
        ({"batch_sizes": ["0"]}, "--batch_sizes is 0; give whole numbers above 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_flags_are_refused_before_anything_is_measured(run, tmp_path, given, message):
    with pytest.raises(InputError) as error:
        run(**given)
    assert str(error.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_bad_flags_end_the_command_on_one_line():
    result = commands.run("scripts/benchmark.py", "--preset=slow")
    assert result.returncode == 2
    assert "should be one of <quick|full>" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_machine_is_measured(monkeypatch):
    monkeypatch.setattr(measuring, "_MEASURED_S", 0.01)
    monkeypatch.setattr(measuring, "_LEAST_S", 0.0)
    monkeypatch.setattr(measuring, "_SMALLEST", 128)
    monkeypatch.setattr(measuring, "_COPIED_BYTES", 1 << 20)
    found = measuring.measured()
    assert set(found.flops_per_s) == {"float32", "bfloat16"}
    assert min(*found.flops_per_s.values(), found.bytes_per_s) > 1e6
    assert not found.uses_tf32
    best = found.at_best(MACHINE)
    assert best.flops_per_s["float32"] == max(found.flops_per_s["float32"], MACHINE.flops_per_s["float32"])
    assert best.hardware == found.hardware
