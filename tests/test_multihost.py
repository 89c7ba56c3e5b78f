import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import jax
import pytest
from fake_task import assert_close_logs, fake_config, fake_load
from processes import environments, start_all

from ecgjax import experiment, lifeline, multihost
from ecgjax.checkpoints import Checkpoints
from ecgjax.cli import set_field
from ecgjax.errors import InputError
from ecgjax.lifeline import LOST
from ecgjax.multihost import Processes, processes_of
from ecgjax.runlog import read_metrics
from ecgjax.train import train_and_evaluate

REL = 1e-3
"""Of the losses: the order of summation, which hundreds of steps of Adam blow up."""

SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NODELIST": "gpu[003-004]",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2)",
    "SLURM_PROCID": "6",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "2",
}
KUBERNETES = {"JOB_COMPLETION_INDEX": "1", "NUM_PROCESSES": "4", "COORDINATOR_ADDRESS": "ecgjax-0.ecgjax:8476"}
GIVEN = {"COORDINATOR_ADDRESS": "[::1]:5000", "NUM_PROCESSES": "2", "PROCESS_ID": "1"}
MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "COORDINATOR_ADDRESS": "node1:5000"}


@pytest.mark.parametrize(
    ("environment", "wanted", "expected"),
    [
        ({}, False, None),
        (SLURM, False, Processes("gpu003", 61440 + 4711 % 4096, 8, 6, (2,))),
        ({**SLURM, "CUDA_VISIBLE_DEVICES": "0"}, False, Processes("gpu003", 62055, 8, 6, None)),
        ({**SLURM, "CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}, False, Processes("gpu003", 62055, 8, 6, (4, 5))),
        ({**SLURM, "COORDINATOR_ADDRESS": "head:9"}, True, Processes("head", 9, 8, 6, (2,))),
        # A batch script and an interactive step have the job's variables, and are one process.
        ({"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, False, None),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, False, None),
        (KUBERNETES, False, Processes("ecgjax-0.ecgjax", 8476, 4, 1, None)),
        # Indexed jobs are also used for runs that have nothing to do with each other.
        ({"JOB_COMPLETION_INDEX": "1"}, False, None),
        (GIVEN, False, None),
        (GIVEN, True, Processes("::1", 5000, 2, 1, None)),
        ({**GIVEN, "NUM_PROCESSES": "1", "PROCESS_ID": "0"}, True, None),
        (MPI, True, Processes("node1", 5000, 4, 3, None)),
        (
            {**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
            True,
            Processes("node1", 5000, 4, 3, (1,)),
        ),
    ],
)
def test_variables_say_who_the_processes_are(environment, wanted, expected):
    assert processes_of(environment, wanted) == expected


@pytest.mark.parametrize(
    ("nodes", "first"), [("a7", "a7"), ("a7,b2", "a7"), ("n[1,5]", "n1"), ("n-x[07-11],m3", "n-x07")]
)
def test_first_host_of_a_step_is_where_they_meet(nodes, first):
    assert processes_of({**SLURM, "SLURM_STEP_NODELIST": nodes}, False).host == first


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "nothing says which processes there are: neither SLURM, .* leave --multihost out"),
        ({"PROCESS_ID": "1"}, "NUM_PROCESSES is not set; set it in every process"),
        ({**GIVEN, "NUM_PROCESSES": "two"}, "NUM_PROCESSES is 'two'; give a whole number"),
        ({**GIVEN, "PROCESS_ID": "2"}, "this is process 2 of 2; count from 0 to NUM_PROCESSES - 1"),
        ({**GIVEN, "COORDINATOR_ADDRESS": "node1"}, "COORDINATOR_ADDRESS is 'node1'; give HOST:PORT of process 0"),
        ({"NUM_PROCESSES": "2", "PROCESS_ID": "0"}, "COORDINATOR_ADDRESS is not set; give HOST:PORT"),
        ({**SLURM, "NUM_PROCESSES": "4"}, "NUM_PROCESSES is 4 and SLURM_STEP_NUM_TASKS is 8; leave NUM_PROCESSES out"),
        ({**KUBERNETES, "PROCESS_ID": "0"}, "PROCESS_ID is 0 and JOB_COMPLETION_INDEX is 1; leave PROCESS_ID out"),
        ({**SLURM, "CUDA_VISIBLE_DEVICES": "0,1,2"}, "4 processes share the 3 GPUs .*; start one process a GPU"),
        ({**SLURM, "SLURM_STEP_TASKS_PER_NODE": ""}, "SLURM_STEP_TASKS_PER_NODE has ''; start"),
        (
            {**SLURM, "SLURM_STEP_NODELIST": ""},
            "SLURM_STEP_NODELIST is ''; start with srun, or set COORDINATOR_ADDRESS",
        ),
    ],
)
def test_variables_that_lead_nowhere_are_told(environment, message):
    with pytest.raises(InputError, match=message):
        processes_of(environment, True)


def test_one_process_starts_nothing(monkeypatch):
    for name in (*SLURM, *GIVEN, *KUBERNETES, *MPI):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(multihost, "Lifeline", pytest.fail)
    multihost.start(wanted=False)
    assert not jax.distributed.is_initialized()


NUM_STEPS = 400
OVERRIDES = (f"num_steps={NUM_STEPS}", "checkpoint_every=20", "eval_every=50", "log_every=10")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The workdir of a run that nothing disturbed."""
    import fake_task  # noqa: PLC0415 - it brings JAX, which not every test needs

    workdir = tmp_path_factory.mktemp("whole")
    with fake_task.installed():
        train_and_evaluate(config_of_run(), workdir)
    return workdir


def config_of_run():
    config = fake_config()
    for override in OVERRIDES:
        set_field(config, *override.split("="))
    return config


def wait_for_step(processes: list[subprocess.Popen], workdir: Path, step: int) -> None:
    """Until the log of `workdir` has a line of `step` or a later one."""
    until = time.monotonic() + 120
    while not any(line["step"] >= step for line in read_metrics(workdir / "metrics.jsonl")):
        for process in processes:
            assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)


def ends(processes: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Status and last line on stderr of each, which has to come within a minute and without a traceback."""
    until = time.monotonic() + 60
    said = [process.communicate(timeout=max(until - time.monotonic(), 0.1))[1] for process in processes]
    assert not any("Traceback" in text or "Check failure" in text for text in said), said
    return [(process.returncode, text.splitlines()[-1]) for process, text in zip(processes, said, strict=True)]


def kill_one(start_fake, workdir: Path, count: int, victim: int) -> None:
    """Kills one of `count` processes while they train; the others have to say so and end."""
    processes = start_all(start_fake, count, workdir, *OVERRIDES)
    wait_for_step(processes, workdir, 60)
    killed = processes.pop(victim)
    killed.kill()
    began = time.monotonic()
    for index, (status, line) in zip((i for i in range(count) if i != victim), ends(processes), strict=True):
        assert status == LOST, line
        assert line == (
            f"error: process {victim} of {count} has died, and so process {index} ends; "
            "the same command resumes from the last checkpoint"
        )
    print(f"process {victim} of {count} killed: the others ended within {time.monotonic() - began:.2f} s")


def check_checkpoints(workdir: Path) -> None:
    """There is at least one, and those that count are whole."""
    with Checkpoints(workdir / "checkpoints", {}, writes=False) as checkpoints:
        step = checkpoints.latest_step()
        assert 0 < step < NUM_STEPS
        built = experiment.build(config_of_run(), fake_load(config_of_run(), "train"))
        state, _ = checkpoints.restore(step, built.abstract_state())
    assert int(state.step) == step


def test_others_end_when_one_is_killed_and_another_number_resumes(fake, whole, start_fake, tmp_path):
    kill_one(start_fake, tmp_path, 2, 1)
    check_checkpoints(tmp_path)
    train_and_evaluate(config_of_run(), tmp_path)
    assert_close_logs(tmp_path, whole, rel=REL)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "victim"), [(2, 0), (4, 0), (4, 2)])
def test_any_of_several_may_be_killed_and_terminated(count, victim, fake, whole, start_fake, tmp_path):
    kill_one(start_fake, tmp_path, count, victim)
    check_checkpoints(tmp_path)
    # Two processes of two devices each go on, until one of them is preempted.
    devices = {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"}
    processes = start_all(start_fake, 2, tmp_path, *OVERRIDES, **devices)
    wait_for_step(processes, tmp_path, 200)
    processes[1].send_signal(signal.SIGTERM)
    for (status, line), why in zip(ends(processes), ("another process", "SIGTERM"), strict=True):
        assert status == 0
        assert re.fullmatch(rf"stopped by {why} at step \d+; saved; the same command resumes", line)
    check_checkpoints(tmp_path)
    train_and_evaluate(config_of_run(), tmp_path)
    assert_close_logs(tmp_path, whole, rel=REL)


@pytest.mark.slow
def test_one_that_fails_takes_the_others_along(start_fake, tmp_path):
    """The first cannot write, which the others do not notice."""
    (tmp_path / "file").touch()
    processes = start_all(start_fake, 2, tmp_path / "file" / "run", *OVERRIDES)
    (first, said), (second, noticed) = ends(processes)
    assert (first, second) == (2, LOST)
    assert said.startswith(f"error: cannot write to {tmp_path / 'file' / 'run'}: Not a directory; give another")
    assert noticed.startswith("error: process 0 of 2 has ended with status 2, and so process 1 ends")


def test_processes_that_do_not_fit_together_are_told(monkeypatch):
    monkeypatch.setattr(lifeline, "START_TIMEOUT_S", 0.5)
    shared, _ = environments(2)
    port = int(shared["COORDINATOR_ADDRESS"].rpartition(":")[2])
    said = []

    def join(index: int, count: int) -> None:
        with pytest.raises(InputError) as told:
            lifeline.Lifeline("localhost", port, count, index)
        said.append(str(told.value))

    join(1, 2)
    join(0, 2)
    monkeypatch.setattr(lifeline, "START_TIMEOUT_S", 60.0)
    together = [threading.Thread(target=join, args=arguments) for arguments in ((0, 2), (1, 3))]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert said[0].startswith(f"process 0 is not reached at localhost:{port} (")
    assert said[1].startswith("process 1 of 2 has not come within 0.5 s; see what it says")
    assert sorted(said[2:])[0].startswith("a process came as number 1 of 3 to 2 that are expected; give every process")
    assert sorted(said[2:])[1].startswith(f"process 0 at localhost:{port} has not taken in process 1 of 3")
