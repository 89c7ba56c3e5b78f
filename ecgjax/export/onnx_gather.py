"""JAX's gather and scatter as GatherND and ScatterND, which index the first axes and take all of the others."""

from collections.abc import Mapping, Sequence

import numpy as np

from ecgjax.errors import InputError
from ecgjax.export.onnx_graph import Call, Graph, Operator, Value


def gather(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    """Slices of an operand at indices; those that reach beyond it are moved inside."""
    operand, indices = values
    numbers, sizes = call.params["dimension_numbers"], call.params["slice_sizes"]
    batching = list(numbers.operand_batching_dims)
    indexed = list(numbers.start_index_map)
    # What is taken whole needs no index.
    columns = [
        k for k, axis in enumerate(indexed) if sizes[axis] != operand.dims[axis] or axis in numbers.collapsed_slice_dims
    ]
    axes = [indexed[k] for k in columns]
    rest = [axis for axis in range(len(operand.dims)) if axis not in (*batching, *axes)]
    if any(operand.dims[axis] < 0 for axis in axes) or not axes:
        raise InputError("the network indexes the batch itself", "use --formats=stablehlo")

    name = graph.add("Cast", graph.name(indices), to=7)
    if columns != list(range(len(indexed))):
        name = graph.add("Gather", name, graph.integers(columns), axis=-1)
    last = [operand.dims[axis] - sizes[axis] for axis in axes]
    name = graph.add("Min", graph.add("Max", name, graph.integers([0])), graph.integers(last))
    # Axes of the result: those of the indices, then places within slices, then what is taken whole.
    places = list(range(len(indices.dims) - 1))
    first = list(numbers.start_indices_batching_dims)
    order = first + [axis for axis in places if axis not in first]
    if order != places:
        name = graph.add("Transpose", name, perm=[*order, len(places)])
    labels: list[tuple[str, int]] = [("index", axis) for axis in order]
    sliced = {axis: sizes[axis] for axis in axes if axis not in numbers.collapsed_slice_dims}
    name = _within_slices(graph, name, axes, sliced)
    labels += [("operand", axis) for axis in sliced]
    labels += [("operand", axis) for axis in rest]

    whole = graph.name(operand)
    for axis in rest:
        if sizes[axis] != operand.dims[axis] and operand.dims[axis] > 0:
            whole = graph.add("Slice", whole, *(graph.integers([k]) for k in (0, sizes[axis], axis)))
    whole = graph.add("Transpose", whole, perm=[*batching, *axes, *rest])
    found = graph.add("GatherND", whole, name, batch_dims=len(batching))

    offsets = [
        ("operand", axis) for axis in range(len(operand.dims)) if axis not in (*batching, *numbers.collapsed_slice_dims)
    ]
    wanted: list[tuple[str, int]] = []
    of_indices, of_operand = iter([("index", axis) for axis in places]), iter(offsets)
    for axis in range(len(call.output.dims)):
        wanted.append(next(of_operand if axis in numbers.offset_dims else of_indices))
    return graph.add("Transpose", found, perm=[labels.index(label) for label in wanted])


def scatter(reduction: str) -> Operator:
    """Updates of slices at indices; `reduction` is none, which replaces, or add."""

    def make(graph: Graph, call: Call, values: Sequence[Value]) -> str:
        operand, indices, updates = values
        numbers = call.params["dimension_numbers"]
        axes = list(numbers.scatter_dims_to_operand_dims)
        if numbers.operand_batching_dims or any(operand.dims[axis] < 0 for axis in axes):
            raise InputError("the network writes to the batch itself", "use --formats=stablehlo")
        windowed = [axis for axis in range(len(operand.dims)) if axis not in numbers.inserted_window_dims]
        of_update = dict(zip(windowed, numbers.update_window_dims, strict=True))
        sliced = [axis for axis in axes if axis in of_update]
        sizes = {axis: updates.dims[of_update[axis]] for axis in sliced}
        name = _within_slices(graph, graph.add("Cast", graph.name(indices), to=7), axes, sizes)
        order = axes + [axis for axis in windowed if axis not in axes]
        first = [axis for axis in range(len(updates.dims)) if axis not in numbers.update_window_dims]
        of_slices = [of_update[axis] for axis in [*sliced, *order[len(axes) :]]]
        found = graph.add(
            "ScatterND",
            graph.add("Transpose", graph.name(operand), perm=order),
            name,
            graph.add("Transpose", graph.name(updates), perm=first + of_slices),
            reduction=reduction,
        )
        return graph.add("Transpose", found, perm=np.argsort(order).tolist())

    return make


def _within_slices(graph: Graph, name: str, axes: Sequence[int], sizes: Mapping[int, int]) -> str:
    """Indices `[..., axis]` of the first place of slices -> `[..., place, ..., axis]` of all their places.

    `sizes`, axis -> its length, are of those axes along which slices extend.
    """
    for axis, size in sizes.items():
        within = np.zeros((size, len(axes)), np.int64)
        within[:, list(axes).index(axis)] = np.arange(size)
        name = graph.add("Add", graph.add("Unsqueeze", name, graph.integers([-2])), graph.integers(within))
    return name
