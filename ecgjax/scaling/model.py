"""Time of a data-parallel step on many GPUs, from that on one, what is exchanged, and the interconnect.

Costs of collectives are the usual ones of latency and bandwidth (Thakur, Rabenseifner and Gropp, Int. J. High Perform.
Comput. Appl. 2005, 19(1):49-66). Nothing is taken to be hidden behind arithmetic, so that the model errs to the slow
side for large gradients.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Interconnect:
    """GPUs of a node on NVLink, nodes on a network.

    Attributes:
      gpus_per_node: GPUs of one node.
      node_bytes_per_s, node_latency_s: reached by each GPU within its node, and of one message there.
      network_bytes_per_s, network_latency_s: the same between nodes.
    """

    gpus_per_node: int
    node_bytes_per_s: float
    node_latency_s: float
    network_bytes_per_s: float
    network_latency_s: float

    def all_reduce_s(self, num_bytes: float, num_gpus: int) -> float:
        """Within the nodes first, every GPU then exchanges its part with its peers, by ring or tree, whichever wins."""
        inside = min(num_gpus, self.gpus_per_node)
        nodes = num_gpus // inside
        # Reduce-scatter before, all-gather after what goes over the network.
        node_s = 2 * (inside - 1) * (self.node_latency_s + num_bytes / inside / self.node_bytes_per_s)
        if inside > 1:
            # A small message goes up and down a tree at once.
            tree_s = 2 * math.log2(inside) * (self.node_latency_s + num_bytes / self.node_bytes_per_s)
            node_s = min(node_s, tree_s)
        if nodes == 1:
            return node_s
        part = num_bytes / inside
        ring_s = 2 * (nodes - 1) * (self.network_latency_s + part / nodes / self.network_bytes_per_s)
        tree_s = 2 * math.ceil(math.log2(nodes)) * self.network_latency_s + 2 * part / self.network_bytes_per_s
        return node_s + min(ring_s, tree_s)


@dataclasses.dataclass(frozen=True)
class Step:
    """A training step on one GPU, and what its copies exchange.

    Attributes:
      fixed_s: seconds that a step takes however few its records are.
      record_s: seconds more for each record.
      dispatch_s: seconds of the host for a step; it works ahead of the GPU, so that only the longer of both counts.
      read_records_per_s: records that one process reads; infinite where they lie on the GPU.
      rounds: bytes of every round of all-reduces, see `rounds.exchanged_bytes`.
    """

    fixed_s: float
    record_s: float
    dispatch_s: float
    read_records_per_s: float
    rounds: tuple[int, ...]

    def seconds(self, batch_per_gpu: float, num_gpus: int, interconnect: Interconnect) -> float:
        """Of one step."""
        return max(
            self.fixed_s + self.record_s * batch_per_gpu + self.exchange_s(num_gpus, interconnect),
            self.dispatch_s,
            batch_per_gpu / self.read_records_per_s,
        )

    def exchange_s(self, num_gpus: int, interconnect: Interconnect) -> float:
        """Seconds of all rounds."""
        return sum(interconnect.all_reduce_s(size, num_gpus) for size in self.rounds) if num_gpus > 1 else 0.0

    def records_per_s(self, batch_per_gpu: float, num_gpus: int, interconnect: Interconnect) -> float:
        """Of all GPUs together."""
        return batch_per_gpu * num_gpus / self.seconds(batch_per_gpu, num_gpus, interconnect)

    def efficiency(self, batch_per_gpu: float, one_gpu_batch: float, num_gpus: int, net: Interconnect) -> float:
        """Records a second, over `num_gpus` times those of one GPU with `one_gpu_batch`."""
        alone = self.records_per_s(one_gpu_batch, 1, net)
        return self.records_per_s(batch_per_gpu, num_gpus, net) / (num_gpus * alone)
