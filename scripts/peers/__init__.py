"""The training steps of the default networks in PyTorch, one file a task, for `scripts/benchmark_peers.py`."""
