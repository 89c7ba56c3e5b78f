"""One of the processes whose steps are timed: `python -m ecgjax.scaling.worker NETWORK BATCH STEPS`.

Each line on stdin asks for so many steps; a line of JSON answers with their seconds. The first line that is written
tells of the step. Several processes find each other as those of a run do.
"""

import importlib
import json
import os
import sys
import time

from ml_collections import ConfigDict

from ecgjax import cli, multihost
from ecgjax.memory import keep_freed_memory

NUM_RECORDS = 1024


def task_config(network: str, batch_size: int) -> ConfigDict:
    """The shipped config of TASK or TASK:MODEL, with another batch unless that is 0."""
    task, _, model = network.partition(":")
    config = importlib.import_module(f"configs.{task}").get_config(f"model={model}" if model else "")
    if batch_size:
        config.batch_size = config.evaluation.batch_size = batch_size
    config.compilation_cache_dir = ""
    return config


def serve(network: str, batch_size: int, num_steps: int) -> None:
    """Answers until the end of its input."""
    # Not before: these bring arrays to the device, which has to wait for jax.distributed.
    from ecgjax import experiment  # noqa: PLC0415
    from ecgjax.benchmark.made_records import made_split  # noqa: PLC0415
    from ecgjax.benchmark.steps import TrainingRun  # noqa: PLC0415

    config = task_config(network, batch_size)
    split = made_split(config.data.name, NUM_RECORDS, config.data.seconds, config.preprocess.fs_hz)
    run = TrainingRun(experiment.build(config, split), split)
    run.train(2)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run.train(num_steps)
        spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        print(json.dumps({name: seconds / num_steps for name, seconds in spent.items()}), flush=True)


if __name__ == "__main__":
    keep_freed_memory()
    with cli.told_failures():
        multihost.start(wanted="NUM_PROCESSES" in os.environ)
        serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
