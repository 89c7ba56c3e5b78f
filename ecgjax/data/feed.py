"""How the records of a batch get to the devices: they lie there already, or are read as they are needed."""

from collections.abc import Callable, Iterator
from typing import Protocol

import jax
import numpy as np

from ecgjax.data.resident import Resident, resident
from ecgjax.data.split import Split
from ecgjax.parallel import Parallel, Tree

Block = dict[str, np.ndarray]
"""What one call of a compiled step works on, `[..., batch]` each: `index`, the records of the split, and more."""


class Feed(Protocol):
    """The records of one split, handed to a compiled step.

    Attributes:
      cuts_data: whether each device is handed records of its own, rather than all of them.
    """

    cuts_data: bool

    def __call__(self, num_blocks: int, block: Callable[[int], Block]) -> Iterator[tuple[Resident, Tree]]:
        """The arguments `data` and `batch` of the step, on the devices, for each `block(number)` in turn.

        Blocks may be asked for ahead of their time, and by several threads.
        """


class ResidentFeed:
    """The split lies on every device; nothing but indices travels."""

    cuts_data = False

    def __init__(self, parallel: Parallel, split: Split, targets: dict[str, np.ndarray]):
        self._parallel = parallel
        self._data = parallel.replicate(resident(split, targets))

    def __call__(self, num_blocks: int, block: Callable[[int], Block]) -> Iterator[tuple[Resident, Tree]]:
        for number in range(num_blocks):
            yield self._data, self._parallel.shard(block(number))


class StreamedFeed:
    """Each process reads the records of its own devices, a few blocks ahead, through Grain.

    A device is handed its part of a block as if that were a whole split, so that the same step runs on it, with the
    same numbers.
    """

    cuts_data = True

    def __init__(
        self, parallel: Parallel, split: Split, targets: dict[str, np.ndarray], num_threads: int, num_ahead: int
    ):
        self._parallel = parallel
        self._split = split
        self._targets = targets
        self._num_threads = num_threads
        self._num_ahead = num_ahead

    def __call__(self, num_blocks: int, block: Callable[[int], Block]) -> Iterator[tuple[Resident, Tree]]:
        import grain  # noqa: PLC0415 - takes more than a second, and most runs do without

        read = grain.MapDataset.range(num_blocks).map(lambda number: self._read(block(number)))
        options = grain.ReadOptions(num_threads=self._num_threads, prefetch_buffer_size=self._num_ahead)
        for parts in read.to_iter_dataset(options):
            yield self._parallel.place(parts)

    def _read(self, block: Block) -> tuple[Tree, Tree]:
        """`data` and `batch` with an axis of this process's devices in front."""
        own = {name: self._parallel.own_parts(values) for name, values in block.items()}
        # Evaluation shows a record several times over.
        records, place = np.unique(own["index"], return_inverse=True)
        read = resident(self._split.select(records), {name: values[records] for name, values in self._targets.items()})
        read["ecg"] = np.asarray(read["ecg"])
        num_devices, *shape = own["index"].shape
        gain = np.broadcast_to(read.pop("gain"), num_devices)
        data = jax.tree.map(lambda values: values[place.reshape(num_devices, -1)], read)
        local = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
        return {**data, "gain": gain}, {**own, "index": np.broadcast_to(local, own["index"].shape)}
