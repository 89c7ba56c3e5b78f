import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ecgjax.lifeline import LOST
from ecgjax.multihost import Processes, processes_of

ROOT = Path(__file__).parent.parent
SLURM = ROOT / "scripts" / "slurm"
JOBS = ("train", "sweep_array", "evaluate")

STUBS = {
    "srun": """
echo "srun $*" >>"$CALLS"
if [[ -n ${HOLD:-} ]]; then
  trap 'exit 0' TERM
  touch "$HOLD"
  for _ in {1..200}; do sleep 0.1; done
fi
exit "${STATUS:-0}"
""",
    "scontrol": 'echo "scontrol $*" >>"$CALLS"',
}


@pytest.fixture
def cluster(tmp_path):
    """`cluster(JOB, *arguments, **environment)` starts a job script among stubs that note their calls in `calls`."""
    for name, body in STUBS.items():
        path = tmp_path / name
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)

    def start(job: str, *arguments: object, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", SLURM / f"{job}.sbatch", *map(str, arguments)],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "CALLS": str(tmp_path / "calls"),
                "SLURM_SUBMIT_DIR": str(ROOT),
                "SLURM_JOB_ID": "4711",
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def run(process: subprocess.Popen, calls: Path) -> tuple[int, str, list[str]]:
    """Status, what it said, and the calls of stubs."""
    _, error = process.communicate(timeout=60)
    return process.returncode, error, calls.read_text().splitlines() if calls.exists() else []


def test_scripts_pass_shellcheck():
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    scripts = sorted(path.relative_to(ROOT) for path in SLURM.iterdir())
    found = subprocess.run([shellcheck, "--external-sources", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("job", JOBS)
def test_jobs_ask_for_what_they_need(job):
    text = (SLURM / f"{job}.sbatch").read_text()
    directives = re.findall(r"^#SBATCH --([a-z-]+)", text, re.MULTILINE)
    assert len(set(directives)) == len(directives)
    assert {"job-name", "time", "requeue", "output", "cpus-per-task"} <= set(directives)
    # sbatch reads directives up to the first command.
    assert text.index("#SBATCH") < text.rindex("#SBATCH") < text.index("set -euo pipefail")
    assert subprocess.run(["bash", "-n", SLURM / f"{job}.sbatch"]).returncode == 0


def test_training_is_one_step_of_the_job(cluster, tmp_path):
    (tmp_path / "results.json").touch()
    arguments = ["--config=configs/reversal.py:smoke", f"--workdir={tmp_path}", "--config.seed=1"]
    status, error, calls = run(cluster("train", *arguments), tmp_path / "calls")
    assert (status, error) == (0, "")
    command = f"srun --kill-on-bad-exit=1 python -m ecgjax.main --multihost {' '.join(arguments)}"
    assert calls == [command]


@pytest.mark.parametrize(
    ("ended_with", "goes_back"), [(0, True), (1, False), (2, False), (3, False), (LOST, True), (137, True)]
)
def test_what_was_not_the_run_s_fault_goes_back_to_the_queue(ended_with, goes_back, cluster, tmp_path):
    process = cluster("train", f"--workdir={tmp_path}", STATUS=str(ended_with))
    status, error, calls = run(process, tmp_path / "calls")
    assert status == ended_with
    assert ("scontrol requeue 4711" in calls) == goes_back == ("back to the queue" in error)


def test_a_job_does_not_come_back_for_ever(cluster, tmp_path):
    process = cluster("train", f"--workdir={tmp_path}", STATUS=str(LOST), SLURM_RESTART_COUNT="20")
    status, error, calls = run(process, tmp_path / "calls")
    assert status == 1
    assert len(calls) == 1
    assert "a process was lost (status 4); not requeued after 20 restarts" in error


@pytest.mark.parametrize("job", ["train", "sweep_array"])
def test_signal_of_the_batch_shell_reaches_the_step_and_requeues(job, cluster, tmp_path):
    process = cluster(job, f"--workdir={tmp_path}", HOLD=str(tmp_path / "held"), SLURM_ARRAY_TASK_ID="3")
    until = time.monotonic() + 60
    while not (tmp_path / "held").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    status, error, calls = run(process, tmp_path / "calls")
    assert status == 0
    assert calls[-1] == "scontrol requeue 4711"
    assert "the step was stopped; back to the queue" in error


def test_every_task_of_an_array_trains_its_run_and_the_last_job_collects(cluster, tmp_path):
    arguments = ("--config=configs/reversal.py", "--vary=seed=0,1")
    run(cluster("sweep_array", *arguments, SLURM_ARRAY_TASK_ID="1"), tmp_path / "calls")
    _, _, calls = run(cluster("sweep_array", *arguments), tmp_path / "calls")
    command = f"srun --kill-on-bad-exit=1 python scripts/sweep.py {' '.join(arguments)}"
    assert calls == [f"{command} --only=1", command]


def test_evaluation_takes_one_run_of_a_pattern(cluster, tmp_path):
    for seed in (0, 1):
        (tmp_path / f"seed_{seed}").mkdir()
    pattern = tmp_path / "seed_*"
    process = cluster("evaluate", pattern, "--split=test", SLURM_ARRAY_TASK_ID="1")
    assert run(process, tmp_path / "calls")[2] == [
        f"srun python scripts/evaluate.py --workdir={tmp_path}/seed_1 --split=test"
    ]
    status, error, _ = run(cluster("evaluate", pattern, SLURM_ARRAY_TASK_ID="2"), tmp_path / "calls")
    assert (status, error) == (2, f"error: {pattern} names 2 runs, of which number 2 is asked for\n")


def test_training_needs_a_workdir(cluster, tmp_path):
    status, error, calls = run(cluster("train", "--config=configs/reversal.py"), tmp_path / "calls")
    assert (status, calls) == (2, [])
    assert error == "error: no --workdir is given; name a folder that all nodes share\n"


@pytest.fixture(scope="module")
def manifest():
    """Service and job of the Kubernetes manifest."""
    text = (ROOT / "scripts" / "kubernetes" / "train.yaml").read_text()
    service, job = yaml.safe_load_all(text)
    return service, job


def test_pods_find_each_other(manifest):
    service, job = manifest
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert job["spec"]["completionMode"] == "Indexed"
    count = job["spec"]["parallelism"]
    assert count == job["spec"]["completions"] == int(environment["NUM_PROCESSES"]) > 1
    # The name of the first pod, within the headless service.
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    host, port = f"{job['metadata']['name']}-0.{pod['subdomain']}", service["spec"]["ports"][0]["port"]
    assert pod["subdomain"] == service["metadata"]["name"]
    for index in range(count):
        found = processes_of({**environment, "JOB_COMPLETION_INDEX": str(index)}, wanted=False)
        assert found == Processes(host, port, count, index, None)


def test_pods_come_again_unless_the_run_is_at_fault(manifest):
    _, job = manifest
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["restartPolicy"] == "Never"
    assert container["resources"]["limits"]["nvidia.com/gpu"] >= 1
    [failing] = [rule for rule in job["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailJob"]
    assert failing["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [2, 3]}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_pod_of_an_unfinished_run_fails(manifest, tmp_path):
    """The container's own command, with Python replaced by a stub."""
    [container] = manifest[1]["spec"]["template"]["spec"]["containers"]
    stub = tmp_path / "python"
    stub.write_text('#!/usr/bin/env bash\necho "$*" >"$WORKDIR/called"; exit ${STATUS:-0}\n')
    stub.chmod(0o755)

    def status_of(**environment: str) -> int:
        command = [*container["command"], *(text.replace("$(WORKDIR)", str(tmp_path)) for text in container["args"])]
        variables = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "WORKDIR": str(tmp_path), **environment}
        return subprocess.run(command, env=variables, timeout=60).returncode

    assert status_of() == 1
    called = (tmp_path / "called").read_text().split()
    assert called[:3] == ["-m", "ecgjax.main", "--multihost"]
    assert f"--workdir={tmp_path}" in called
    assert status_of(STATUS="3") == 3
    (tmp_path / "results.json").touch()
    assert status_of() == 0


def test_image_takes_what_a_run_needs():
    text = (ROOT / "Dockerfile").read_text()
    instructions = [line.split(maxsplit=1) for line in re.sub(r"\\\n\s*", "", text).splitlines() if line[:1].isupper()]
    names = [name for name, _ in instructions]
    assert names[0] == "FROM"
    assert re.fullmatch(r"python:3\.(1[1-9])-slim", instructions[0][1])
    copied = [path for name, rest in instructions if name == "COPY" for path in rest.split()[:-1]]
    assert all((ROOT / path).exists() for path in copied)
    assert {"pyproject.toml", "README.md", "LICENSE", "ecgjax", "data_prep", "configs", "scripts"} == set(copied)
    # All else stays out of the context.
    ignore = (ROOT / ".dockerignore").read_text().split()
    assert ignore[0] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == set(copied)
    assert ["ENTRYPOINT", '["python", "-m", "ecgjax.main"]'] in instructions
