"""The primitives of JAX that networks use when they predict, one by one as nodes of ONNX."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import helper

from ecgjax.errors import InputError
from ecgjax.export.onnx_bodies import condition, scan
from ecgjax.export.onnx_gather import gather, scatter
from ecgjax.export.onnx_graph import Call, Dims, Graph, Operator, Value
from ecgjax.export.onnx_windows import convolution, cumulative_sum, pad, pool

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
}
"""Primitives that only call another function, and the parameter that holds it."""


def _tensor_type(dtype: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def _cast(graph: Graph, name: str, dtype: Any) -> str:
    return graph.add("Cast", name, to=_tensor_type(dtype))


def _elementwise(operator: str, **attributes: Any) -> Operator:
    return lambda graph, call, values: graph.elementwise(operator, values, call.output.dims, **attributes)


def _by_type(of_bool: str, of_integer: str) -> Operator:
    def make(graph: Graph, call: Call, values: Sequence[Value]) -> str:
        operator = of_bool if values[0].dtype == bool else of_integer
        return graph.elementwise(operator, values, call.output.dims)

    return make


def _not_equal(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return graph.add("Not", graph.elementwise("Equal", values, call.output.dims))


def _after(*operators: str) -> Operator:
    """One operator after the other, on one operand."""

    def make(graph: Graph, call: Call, values: Sequence[Value]) -> str:
        name = graph.name(values[0])
        for operator in operators:
            name = graph.add(operator, name)
        return name

    return make


def _same(graph: Graph, call: Call, values: Sequence[Value]) -> list[str]:
    return [graph.name(value) for value in values]


def _integer_pow(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    name, power = graph.name(values[0]), call.params["y"]
    if power == 2:
        return graph.add("Mul", name, name)
    return graph.add("Pow", name, graph.constant(power, values[0].dtype))


def _square(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    name = graph.name(values[0])
    return graph.add("Mul", name, name)


def _exp2(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return graph.add("Pow", graph.constant(2, values[0].dtype), graph.name(values[0]))


def _expm1(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    # (e^x - 1) as 2 sinh(x/2) e^(x/2), which loses nothing near 0.
    half = graph.add("Mul", graph.name(values[0]), graph.constant(0.5, values[0].dtype))
    twice = graph.add("Mul", graph.constant(2, values[0].dtype), graph.add("Sinh", half))
    return graph.add("Mul", twice, graph.add("Exp", half))


def _log1p(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return graph.add("Log", graph.add("Add", graph.name(values[0]), graph.constant(1, values[0].dtype)))


def _erfc(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return graph.add("Sub", graph.constant(1, values[0].dtype), graph.add("Erf", graph.name(values[0])))


def _is_finite(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    name = graph.name(values[0])
    return graph.add("Not", graph.add("Or", graph.add("IsNaN", name), graph.add("IsInf", name)))


def _select(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    which, *cases = values
    if len(cases) != 2 or which.dtype != bool:
        raise InputError("the network selects among more than two arrays", "use --formats=stablehlo")
    return graph.elementwise("Where", [which, cases[1], cases[0]], call.output.dims)


def _clamp(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    low, value, high = values
    bounded = Value(value.dims, value.dtype, name=graph.elementwise("Max", [value, low], value.dims))
    return graph.elementwise("Min", [bounded, high], value.dims)


def _convert(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return _cast(graph, graph.name(values[0]), call.output.dtype)


def _bitcast(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    graph.need(26)
    return graph.add("BitCast", graph.name(values[0]), to=_tensor_type(call.output.dtype))


def _shift_right(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    """As a division, exact in double precision: ONNX shifts only what has no sign."""
    value, power = _in_double(graph, values)
    return _cast(graph, graph.add("Floor", graph.add("Div", value, power)), call.output.dtype)


def _shift_left(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    value, power = _in_double(graph, values)
    return _cast(graph, _cast(graph, graph.add("Mul", value, power), np.int64), call.output.dtype)


def _in_double(graph: Graph, values: Sequence[Value]) -> tuple[str, str]:
    value, by = (_cast(graph, graph.name(v), np.float64) for v in values)
    return value, graph.add("Pow", graph.constant(2.0, np.float64), by)


def _reshape(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    dims = call.output.dims
    if sum(size < 0 for size in dims) > 1 or 0 in dims:
        return graph.add("Reshape", graph.name(values[0]), graph.sizes(dims), allowzero=1)
    return graph.add("Reshape", graph.name(values[0]), graph.integers([max(size, -1) for size in dims]))


def _squeeze(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return graph.add("Squeeze", graph.name(values[0]), graph.integers(call.params["dimensions"]))


def _transpose(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return graph.add("Transpose", graph.name(values[0]), perm=list(call.params["permutation"]))


def _reverse(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    axes = list(call.params["dimensions"])
    return _sliced(graph, graph.name(values[0]), [-1] * len(axes), [-(2**31)] * len(axes), axes, [-1] * len(axes))


def _sliced(graph: Graph, name: str, starts: list, ends: list, axes: list, steps: list) -> str:
    return graph.add("Slice", name, *(graph.integers(numbers) for numbers in (starts, ends, axes, steps)))


def _slice(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    params, dims = call.params, values[0].dims
    strides = params["strides"] or (1,) * len(dims)
    # Of the batch nothing is ever cut.
    cut = [k for k, (a, b) in enumerate(zip(dims, call.output.dims, strict=True)) if a != b]
    if not cut:
        return graph.name(values[0])
    starts, ends = ([params[name][k] for k in cut] for name in ("start_indices", "limit_indices"))
    return _sliced(graph, graph.name(values[0]), starts, ends, cut, [strides[k] for k in cut])


def _dynamic_slice(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    operand, *starts = values
    cut = [k for k, (a, b) in enumerate(zip(operand.dims, call.output.dims, strict=True)) if a != b]
    name = graph.name(operand)
    for axis in cut:
        size, last = call.output.dims[axis], operand.dims[axis] - call.output.dims[axis]
        at = graph.add("Reshape", _cast(graph, graph.name(starts[axis]), np.int64), graph.integers([1]))
        at = graph.add("Min", graph.add("Max", at, graph.integers([0])), graph.integers([last]))
        end = graph.add("Add", at, graph.integers([size]))
        name = graph.add("Slice", name, at, end, graph.integers([axis]))
    return name


def _concatenate(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    return graph.add("Concat", *map(graph.name, values), axis=call.params["dimension"])


def _stack(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    axis = call.params["axis"]
    parts = [graph.add("Unsqueeze", graph.name(value), graph.integers([axis])) for value in values]
    return graph.add("Concat", *parts, axis=axis)


def _split(graph: Graph, call: Call, values: Sequence[Value]) -> Any:
    sizes = graph.integers(call.params["sizes"])
    found = graph.add("Split", graph.name(values[0]), sizes, count=len(call.outputs), axis=call.params["axis"])
    return found


def _iota(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    dims, axis = call.output.dims, call.params["dimension"]
    size = graph.add("Squeeze", graph.sizes((dims[axis],)))
    numbers = graph.add("Range", graph.constant(0, np.int64), size, graph.constant(1, np.int64))
    shape = [1] * len(dims)
    shape[axis] = -1
    placed = graph.add("Reshape", _cast(graph, numbers, call.output.dtype), graph.integers(shape))
    return graph.add("Expand", placed, graph.sizes(dims))


def _reduce(operator: str) -> Operator:
    def make(graph: Graph, call: Call, values: Sequence[Value]) -> str:
        name, axes = graph.name(values[0]), graph.integers(call.params["axes"])
        if values[0].dtype != bool:
            return graph.add(operator, name, axes, keepdims=0)
        return _cast(graph, graph.add(operator, _cast(graph, name, np.int32), axes, keepdims=0), bool)

    return make


def _arg(operator: str) -> Operator:
    def make(graph: Graph, call: Call, values: Sequence[Value]) -> str:
        (axis,) = call.params["axes"]
        name = graph.name(values[0])
        if values[0].dtype == bool:
            name = _cast(graph, name, np.int32)
        return _cast(graph, graph.add(operator, name, axis=axis, keepdims=0), call.output.dtype)

    return make


def _sort(graph: Graph, call: Call, values: Sequence[Value]) -> list[str]:
    if call.params["num_keys"] != 1:
        raise InputError("the network sorts by several arrays", "use --formats=stablehlo")
    key, *others = values
    axis = call.params["dimension"]
    found, place = _top(graph, key, key.dims[axis], axis, largest=0)
    return [found, *(graph.add("GatherElements", graph.name(value), place, axis=axis) for value in others)]


def _top_k(graph: Graph, call: Call, values: Sequence[Value]) -> list[str]:
    axis = call.params.get("axis", -1)
    found, place = _top(graph, values[0], call.params["k"], axis, largest=1)
    return [found, _cast(graph, place, call.outputs[1].dtype)]


def _top(graph: Graph, value: Value, count: int, axis: int, largest: int) -> list[str]:
    return graph.add("TopK", graph.name(value), graph.integers([count]), count=2, axis=axis, largest=largest, sorted=1)


def _product(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    (left_over, right_over), (left_batch, right_batch) = call.params["dimension_numbers"]
    left, right = values
    over = (tuple(left_over), tuple(right_over), len(right.dims))
    if not left_batch and over == ((len(left.dims) - 1,), (0,), 2):
        return graph.add("MatMul", graph.name(left), graph.name(right))
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    of_left = [next(letters) for _ in left.dims]
    of_right = [next(letters) for _ in right.dims]
    for a, b in zip((*left_batch, *left_over), (*right_batch, *right_over), strict=True):
        of_right[b] = of_left[a]
    result = [of_left[axis] for axis in left_batch]
    result += _rest(of_left, (*left_batch, *left_over)) + _rest(of_right, (*right_batch, *right_over))
    equation = f"{''.join(of_left)},{''.join(of_right)}->{''.join(result)}"
    return graph.add("Einsum", graph.name(left), graph.name(right), equation=equation)


def _rest(labels: Sequence[str], without: Dims) -> list[str]:
    return [label for axis, label in enumerate(labels) if axis not in without]


def _solve(graph: Graph, call: Call, values: Sequence[Value]) -> str:
    """Gauss-Jordan elimination without a search for pivots, which positive definite matrices do not need."""
    matrix, right = values
    *batch, size, columns = right.dims
    if matrix.dims != (*batch, size, size):
        raise InputError("the network solves equations of another shape", "use --formats=stablehlo")
    rows, columns_axis, unit = len(batch), len(batch) + 1, np.eye(size, dtype=right.dtype)
    name = graph.add("Concat", graph.name(matrix), graph.name(right), axis=columns_axis)
    for k in range(size):
        row = _sliced(graph, name, [k], [k + 1], [rows], [1])
        row = graph.add("Div", row, _sliced(graph, row, [k], [k + 1], [columns_axis], [1]))
        column = _sliced(graph, name, [k], [k + 1], [columns_axis], [1])
        # What is left of the row itself is its share of 1.
        taken = graph.add("Mul", graph.add("Sub", column, graph.constant(unit[:, k : k + 1])), row)
        name = graph.add("Sub", name, taken)
    return _sliced(graph, name, [size], [size + columns], [columns_axis], [1])


FUNCTIONS: dict[str, Operator] = {"solve": _solve}
"""Called functions that have nodes of their own, by name."""

OPERATORS: dict[str, Operator] = {
    **{name: _elementwise(operator) for name, operator in {
        "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "max": "Max",
        "min": "Min", "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
    }.items()},
    **{name: _after(*operators) for name, operators in {
        "neg": ("Neg",), "sign": ("Sign",), "abs": ("Abs",), "floor": ("Floor",), "ceil": ("Ceil",),
        "round": ("Round",), "exp": ("Exp",), "log": ("Log",), "sqrt": ("Sqrt",), "rsqrt": ("Sqrt", "Reciprocal"),
        "tanh": ("Tanh",), "logistic": ("Sigmoid",), "erf": ("Erf",), "sin": ("Sin",), "cos": ("Cos",),
        "tan": ("Tan",), "asin": ("Asin",), "acos": ("Acos",), "atan": ("Atan",), "sinh": ("Sinh",), "cosh": ("Cosh",),
        "asinh": ("Asinh",), "acosh": ("Acosh",), "atanh": ("Atanh",), "not": ("Not",),
    }.items()},
    **dict.fromkeys(("copy", "copy_p", "stop_gradient", "optimization_barrier", "reduce_precision"), _same),
    "rem": _elementwise("Mod", fmod=1),
    "and": _by_type("And", "BitwiseAnd"),
    "or": _by_type("Or", "BitwiseOr"),
    "xor": _by_type("Xor", "BitwiseXor"),
    "ne": _not_equal,
    "integer_pow": _integer_pow,
    "square": _square,
    "exp2": _exp2,
    "expm1": _expm1,
    "log1p": _log1p,
    "erfc": _erfc,
    "is_finite": _is_finite,
    "select_n": _select,
    "clamp": _clamp,
    "convert_element_type": _convert,
    "bitcast_convert_type": _bitcast,
    "shift_right_arithmetic": _shift_right,
    "shift_left": _shift_left,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "transpose": _transpose,
    "rev": _reverse,
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "concatenate": _concatenate,
    "stack": _stack,
    "split": _split,
    "iota": _iota,
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_prod": _reduce("ReduceProd"),
    "reduce_or": _reduce("ReduceMax"),
    "reduce_and": _reduce("ReduceMin"),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "sort": _sort,
    "top_k": _top_k,
    "dot_general": _product,
    "conv_general_dilated": convolution,
    "pad": pad,
    "reduce_window_max": pool("max"),
    "reduce_window_sum": pool("sum"),
    "cumsum": cumulative_sum,
    "gather": gather,
    "scatter": scatter("none"),
    "scatter-add": scatter("add"),
    "scan": scan,
    "cond": condition,
}  # fmt: skip
"""Primitive -> its nodes."""
