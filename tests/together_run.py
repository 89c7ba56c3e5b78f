"""Trains the fake task with several seeds, rates and decays together: `python tests/together_run.py WORKDIR`.

Two of the runs take turns in WORKDIR/turn, and the step is mapped over them in WORKDIR/pmap and WORKDIR/shard_map.
"""

import sys
from pathlib import Path
from unittest import mock

import fake_task
import jax
from ml_collections import ConfigDict

from ecgjax import together


def members(folder: Path) -> list[tuple[ConfigDict, Path]]:
    """Three runs that one program can train."""
    found = []
    for seed, rate, decay in ((0, 0.01, 1e-4), (1, 0.003, 0.1), (5, 0.03, 1e-4)):
        config = fake_task.fake_config()
        config.ema_decay = 0.9
        config.seed, config.schedule.learning_rate, config.optimizer.weight_decay = seed, rate, decay
        found.append((config, folder / f"seed_{seed}"))
    return found


if __name__ == "__main__":
    for way, sharding, maps in (("turn", "pmap", False), ("pmap", "pmap", True), ("shard_map", "shard_map", True)):
        runs = members(Path(sys.argv[1]) / way)[:2]
        for config, _ in runs:
            config.sharding = sharding
        with fake_task.installed(), mock.patch.object(together, "maps", lambda maps=maps: maps):
            together.train_and_evaluate(runs)
    print(jax.device_count(), "devices")
