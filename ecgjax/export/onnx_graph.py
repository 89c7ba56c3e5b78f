"""A traced JAX function as an ONNX model with a batch of any size.

The function is traced for two sizes of the batch. Dimensions that differ between the traces are multiples of it; inside
a `Value` the k-fold of the batch is written as -k, so that -1 means in ONNX's Reshape what it means here.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import onnx
from jax.extend.core import Literal
from onnx import helper, numpy_helper

from ecgjax.errors import InputError

BATCH = "batch"
_SIZES = (2, 3)
_OPSET = 20

Dims = tuple[int, ...]


@dataclasses.dataclass
class Value:
    """An array of the traced function: either `known`, or the result `name` of a node, or `narrow` repeated.

    Attributes:
      dims: sizes; -k is the k-fold of the batch.
      dtype: its type.
      known: where it depends on no input.
      name: in the graph, once it is there.
      narrow: of the same rank, with ones for what is repeated.
    """

    dims: Dims
    dtype: np.dtype
    known: np.ndarray | None = None
    name: str = ""
    narrow: "Value | None" = None


@dataclasses.dataclass(frozen=True)
class Call:
    """One primitive of the traced function: its parameters, under both sizes of the batch, and what it gives."""

    name: str
    params: Mapping[str, Any]
    other_params: Mapping[str, Any]
    outputs: tuple[Value, ...]

    @property
    def output(self) -> Value:
        """The only one."""
        (output,) = self.outputs
        return output


class Graph:
    """Nodes and constants, and those that a subgraph shares with the graph around it."""

    def __init__(self, around: "Graph | None" = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.opset = _OPSET
        self._around = around
        self._count = 0
        self.constants: dict[str, onnx.TensorProto] = {}
        self._names: dict[tuple, str] = {}

    def new_name(self) -> str:
        """One that no other value has, in whichever graph."""
        if self._around is not None:
            return self._around.new_name()
        self._count += 1
        return f"v{self._count}"

    def need(self, opset: int) -> None:
        """Raises the version of the operators to at least `opset`."""
        self.opset = max(self.opset, opset)
        if self._around is not None:
            self._around.need(opset)

    def add(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        """A node; the name of its result, or a list of `count` names."""
        names = [self.new_name() for _ in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if count == 1 else names

    def constant(self, array: Any, dtype: Any = None) -> str:
        """The name of a constant; equal ones are kept once."""
        if self._around is not None:
            return self._around.constant(array, dtype)
        array = np.asarray(array, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = name = f"c{len(self._names)}"
            self.constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return self._names[key]

    def integers(self, numbers: Sequence[int] | np.ndarray) -> str:
        """An int64 constant, as axes and sizes are."""
        return self.constant(np.array(numbers, np.int64))

    def sizes(self, dims: Dims) -> str:
        """Sizes as an int64 array."""
        if all(size >= 0 for size in dims):
            return self.integers(dims)
        batch = self.add("Shape", self.signal, start=0, end=1)
        parts = [
            self.integers([size]) if size >= 0 else self.add("Mul", batch, self.integers([-size])) for size in dims
        ]
        return self.add("Concat", *parts, axis=0)

    @property
    def signal(self) -> str:
        """The first input, whose first size is the batch."""
        return "signal_mv"

    def name(self, value: Value) -> str:
        """The value as a whole, put into the graph where it is not there yet."""
        if value.name:
            return value.name
        if value.narrow is not None and (value.known is None or value.known.size > 1024):
            name = self.add("Expand", self.name(value.narrow), self.sizes(value.dims))
        else:
            name = self.constant(value.known)
        # A name from a subgraph means nothing outside it.
        if self._around is None:
            value.name = name
        return name

    def elementwise(self, operator: str, values: Sequence[Value], dims: Dims, **attributes: Any) -> str:
        """A node that repeats its operands itself, so that they are handed over as narrow as they are."""
        narrow = [value if value.narrow is None else value.narrow for value in values]
        if _common(narrow) != dims:
            narrow[0] = values[0]
        if _common(narrow) != dims:
            narrow = list(values)
        return self.add(operator, *(self.name(value) for value in narrow), **attributes)


def _common(values: Sequence[Value]) -> Dims:
    rank = max(len(value.dims) for value in values)
    padded = [(1,) * (rank - len(value.dims)) + value.dims for value in values]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


Operator = Callable[[Graph, Call, Sequence[Value]], str | Sequence[str]]
"""Adds the nodes of a primitive and gives the names of its results."""


def walk(graph: Graph, traces: Sequence[Any], consts: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
    """Adds the nodes of a jaxpr, traced under both sizes of the batch; its results."""
    from ecgjax.export.onnx_operators import CALLS, FUNCTIONS, OPERATORS  # noqa: PLC0415 - scans walk what is inside them

    jaxpr, other = traces
    known: dict[Any, Value] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))

    def read(var: Any) -> Value:
        return (
            _constant(np.asarray(var.val, getattr(var.aval, "dtype", None))) if isinstance(var, Literal) else known[var]
        )

    for eqn, twin in zip(jaxpr.eqns, other.eqns, strict=True):
        name, values = eqn.primitive.name, [read(var) for var in eqn.invars]
        outputs = tuple(
            Value(_dims(a.aval.shape, b.aval.shape), np.dtype(a.aval.dtype))
            for a, b in zip(eqn.outvars, twin.outvars, strict=True)
        )
        call = Call(name, eqn.params, twin.params, outputs)
        own = FUNCTIONS.get(eqn.params.get("name", "")) if name in CALLS else OPERATORS.get(name)
        if own is not None:
            made = own(graph, call, values)
            names = [made] if isinstance(made, str) else list(made)
            found = [dataclasses.replace(value, name=n) for value, n in zip(outputs, names, strict=True)]
        elif name in CALLS:
            inner = [params[CALLS[name]] for params in (eqn.params, twin.params)]
            found = walk_closed(graph, inner, values)
        elif name == "broadcast_in_dim":
            found = [_broadcast(graph, call, values[0])]
        elif all(v.known is not None for v in values):
            results = eqn.primitive.bind(*(v.known for v in values), **eqn.params)
            results = results if eqn.primitive.multiple_results else [results]
            found = [_constant(np.asarray(result)) for result in results]
        else:
            raise InputError(f"the network uses {name}, for which no ONNX is written here", "use --formats=stablehlo")
        known.update(zip(eqn.outvars, found, strict=True))
    return [read(var) for var in jaxpr.outvars]


def walk_closed(graph: Graph, traces: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
    """`walk` for jaxprs that may bring constants along."""
    consts = [_constant(np.asarray(const)) for const in getattr(traces[0], "consts", ())]
    return walk(graph, [getattr(trace, "jaxpr", trace) for trace in traces], consts, inputs)


def _constant(array: np.ndarray) -> Value:
    return Value(array.shape, array.dtype, known=array)


def _dims(sizes: Dims, other: Dims) -> Dims:
    small, large = _SIZES
    dims = []
    for a, b in zip(sizes, other, strict=True):
        times = (b - a) // (large - small)
        if a != b and (a, b) != (small * times, large * times):
            raise InputError("a size of the network is no multiple of the batch", "use --formats=stablehlo")
        dims.append(a if a == b else -times)
    return tuple(dims)


def _broadcast(graph: Graph, call: Call, value: Value) -> Value:
    """The value with axes of size 1 where it is to be repeated; it is repeated only where that is needed."""
    output, places = call.output, call.params["broadcast_dimensions"]
    source = value if value.narrow is None else value.narrow
    dims = [1] * len(output.dims)
    for place, size in zip(places, source.dims, strict=True):
        dims[place] = size
    if source.known is not None:
        narrow = _constant(source.known.reshape(dims))
    elif tuple(dims) == source.dims:
        narrow = source
    else:
        missing = [axis for axis in range(len(dims)) if axis not in places]
        name = graph.add("Unsqueeze", graph.name(source), graph.integers(missing))
        narrow = Value(tuple(dims), source.dtype, name=name)
    if narrow.dims == output.dims:
        return narrow
    known = None
    if narrow.known is not None and min(output.dims) >= 0:
        known = np.broadcast_to(narrow.known, output.dims)
    return Value(output.dims, output.dtype, known=known, narrow=narrow)


def to_onnx(
    function: Callable[..., dict[str, jax.Array]], inputs: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """`function` of float32 arrays `[batch, ...]`, `inputs` by name with their shape behind the batch, in order.

    Raises:
      InputError: it uses what cannot be said in ONNX.
    """
    traces = [
        jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct((size, *shape), np.float32) for shape in inputs.values()))
        for size in _SIZES
    ]
    shapes = [jax.ShapeDtypeStruct((1, *shape), np.float32) for shape in inputs.values()]
    names = sorted(jax.eval_shape(function, *shapes))
    graph = Graph()
    given = [Value((-1, *shape), np.dtype(np.float32), name=name) for name, shape in inputs.items()]
    results = walk_closed(graph, traces, given)
    for name, value in zip(names, results, strict=True):
        graph.nodes.append(helper.make_node("Identity", [graph.name(value)], [name]))
    made = helper.make_graph(
        graph.nodes,
        "ecgjax",
        [
            helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, [BATCH, *value.dims[1:]])
            for value in given
        ],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [BATCH, *value.dims[1:]])
            for name, value in zip(names, results, strict=True)
        ],
        list(graph.constants.values()),
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", graph.opset)], ir_version=10)
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model
