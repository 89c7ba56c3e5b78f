"""What has a body, which is a graph of its own in ONNX: JAX's scan and its condition."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import helper

from ecgjax.errors import InputError
from ecgjax.export.onnx_graph import Call, Graph, Value, walk_closed


def scan(graph: Graph, call: Call, values: Sequence[Value]) -> Any:
    """State from step to step, and what each step gives."""
    num_consts, num_carry = call.params["num_consts"], call.params["num_carry"]
    consts, carry, rows = (
        values[:num_consts],
        values[num_consts : num_consts + num_carry],
        values[num_consts + num_carry :],
    )
    # The body looks for constants outside itself, where they have to be first.
    for value in consts:
        graph.name(value)
    body = Graph(graph)
    inside_carry = [Value(value.dims, value.dtype, name=body.new_name()) for value in carry]
    inside_rows = [Value(value.dims[1:], value.dtype, name=body.new_name()) for value in rows]
    if not rows:
        # ONNX's scan has to have something to go through.
        steps = np.arange(call.params["length"])
        rows, counter = [Value(steps.shape, steps.dtype, known=steps)], Value((), steps.dtype, name=body.new_name())
    traces = [params["jaxpr"] for params in (call.params, call.other_params)]
    results = walk_closed(body, traces, [*consts, *inside_carry, *inside_rows])
    names = [body.add("Identity", body.name(value)) for value in results]
    inside = inside_rows or [counter]
    made = helper.make_graph(
        body.nodes,
        graph.new_name(),
        [_info(value.name, value) for value in [*inside_carry, *inside]],
        [_info(name, value) for name, value in zip(names, results, strict=True)],
    )
    num_given = len(call.outputs) - num_carry
    backwards = {"scan_input_directions": [1] * len(inside)} if call.params["reverse"] else {}
    if backwards and num_given:
        backwards["scan_output_directions"] = [1] * num_given
    return graph.add(
        "Scan",
        *(graph.name(value) for value in [*carry, *rows]),
        count=len(call.outputs),
        body=made,
        num_scan_inputs=len(inside),
        **backwards,
    )


def condition(graph: Graph, call: Call, values: Sequence[Value]) -> Any:
    """One of two bodies."""
    which, *operands = values
    if len(call.params["branches"]) != 2:
        raise InputError("the network chooses among more than two ways", "use --formats=stablehlo")
    for value in operands:
        graph.name(value)
    bodies = []
    for traces in zip(call.params["branches"], call.other_params["branches"], strict=True):
        body = Graph(graph)
        results = walk_closed(body, traces, operands)
        names = [body.add("Identity", body.name(value)) for value in results]
        told = [_info(name, value) for name, value in zip(names, results, strict=True)]
        bodies.append(helper.make_graph(body.nodes, graph.new_name(), [], told))
    otherwise, then = bodies
    is_so = graph.add("Cast", graph.name(which), to=9)
    return graph.add("If", is_so, count=len(call.outputs), then_branch=then, else_branch=otherwise)


def _info(name: str, value: Value) -> Any:
    dims = [None if size < 0 else size for size in value.dims]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), dims)
