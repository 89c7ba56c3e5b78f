"""Convolutions, pooling and padding, for which ONNX has the batch and the channels first."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgjax.errors import InputError
from ecgjax.export.onnx_graph import Call, Graph, Operator, Value


def convolution(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    """With strides, dilation of both operands and groups of channels."""
    params = call.params
    if params["batch_group_count"] != 1:
        raise InputError("the network convolves in groups of the batch", "use --formats=stablehlo")
    of_signal, of_kernel, of_result = params["dimension_numbers"]
    signal = graph.add("Transpose", graph.name(values[0]), perm=list(of_signal))
    dims = [values[0].dims[axis] for axis in of_signal]
    signal = _padded(graph, signal, dims, [(0, 0, 0)] * 2 + [(0, 0, step - 1) for step in params["lhs_dilation"]])
    # ONNX knows no negative padding.
    signal = _padded(graph, signal, None, [(0, 0, 0)] * 2 + [(low, high, 0) for low, high in params["padding"]])
    found = graph.add(
        "Conv",
        signal,
        graph.add("Transpose", graph.name(values[1]), perm=list(of_kernel)),
        strides=list(params["window_strides"]),
        dilations=list(params["rhs_dilation"]),
        group=params["feature_group_count"],
    )
    return graph.add("Transpose", found, perm=np.argsort(of_result).tolist())


def pad(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    """With any constant, outside and between samples."""
    operand, filling = values
    return _padded(graph, graph.name(operand), operand.dims, call.params["padding_config"], graph.name(filling))


def _padded(
    graph: Graph,
    name: str,
    dims: Sequence[int] | None,
    config: Sequence[tuple[int, int, int]],
    filling: str = "",
) -> str:
    """Each axis with so much (low, high, between samples) added, or cut off where it is below 0."""
    for axis, (_, _, between) in enumerate(config):
        if not between:
            continue
        assert dims is not None
        # Each sample and what follows it become a row; what follows the last one is cut off again.
        rank, size = len(dims) + 1, dims[axis]
        name = graph.add("Unsqueeze", name, graph.integers([axis + 1]))
        after = [0] * rank
        after[axis + 1] = between
        name = graph.add("Pad", name, graph.integers([0] * rank + after), *([filling] if filling else []))
        shape = [-1 if k < 0 else k for k in dims]
        shape[axis] = size * (between + 1)
        name = graph.add("Reshape", name, graph.integers(shape))
        name = graph.add("Slice", name, *(graph.integers([k]) for k in (0, shape[axis] - between, axis)))
        dims = [*dims[:axis], shape[axis] - between, *dims[axis + 1 :]]
    low, high = ([max(0, by[side]) for by in config] for side in (0, 1))
    if any((*low, *high)):
        name = graph.add("Pad", name, graph.integers([*low, *high]), *([filling] if filling else []))
    for axis, (first, last, _) in enumerate(config):
        if first < 0 or last < 0:
            end = last if last < 0 else 2**31
            name = graph.add("Slice", name, *(graph.integers([k]) for k in (max(0, -first), end, axis)))
    return name


def pool(kind: str) -> Operator:
    """The highest value or the sum of windows."""

    def make(graph: Graph, call: Call, values: Sequence[Value]) -> str:
        params, dims = call.params, values[0].dims
        window = params["window_dimensions"]
        moving = [axis for axis, size in enumerate(window) if size > 1 or params["window_strides"][axis] > 1]
        if any(params[name][axis] != 1 for name in ("base_dilation", "window_dilation") for axis in range(len(dims))):
            raise InputError("the network pools with gaps", "use --formats=stablehlo")
        still = [axis for axis in range(len(dims)) if axis not in moving]
        order = still + moving
        name = graph.add("Transpose", graph.name(values[0]), perm=order)
        name = graph.add("Reshape", name, graph.integers([-1, 1, *(dims[axis] for axis in moving)]))
        padding = [params["padding"][axis][side] for side in (0, 1) for axis in moving]
        sizes: dict[str, Any] = {
            "kernel_shape": [window[k] for k in moving],
            "strides": [params["window_strides"][k] for k in moving],
        }
        if kind == "max":
            name = graph.add("MaxPool", name, pads=padding, **sizes)
        else:
            name = graph.add("AveragePool", name, pads=padding, count_include_pad=1, **sizes)
            name = graph.add("Mul", name, graph.constant(np.prod(sizes["kernel_shape"]), values[0].dtype))
        ordered = [call.output.dims[axis] for axis in order]
        if sum(size < 0 for size in ordered) > 1:
            raise InputError("the network pools over the batch", "use --formats=stablehlo")
        name = graph.add("Reshape", name, graph.integers([max(size, -1) for size in ordered]))
        return graph.add("Transpose", name, perm=np.argsort(order).tolist())

    return make


def cumulative_sum(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    """Along one axis, from either end."""
    axis = graph.constant(call.params["axis"], np.int64)
    return graph.add("CumSum", graph.name(values[0]), axis, reverse=int(call.params["reverse"]))
