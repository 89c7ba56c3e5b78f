"""What the layers of a network make of records: captured on the way through, and seen in few dimensions.

Layers are called by the path of their module, as in `context_0/attention`, and several at once are taken in one pass.
A layer of one vector a record gives a point a record, of the class that is its truth. One of a vector a lead, of a task
that names leads, gives a point a lead, of the class that is the lead's name; time and other axes are averaged.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.data.resident import Resident
from ecgjax.errors import InputError
from ecgjax.explain.attribution import truth_scores
from ecgjax.explain.runs import Examples, Run, Step, lead_order, sweep
from ecgjax.parallel import AXIS
from ecgjax.state import Variables

NONE = "none"
"""Class of a record of which no label holds."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """One output of a module.

    Attributes:
      name: path of the module, with the number of the call where it is called more than once.
      shape: of the output for one record.
      batch_axis: the axis that grows with the batch; None where there is none.
      multiple: its length for one record, above 1 where leads or hypotheses were folded into the batch.
    """

    name: str
    shape: tuple[int, ...]
    batch_axis: int | None
    multiple: int


@dataclasses.dataclass(frozen=True)
class Embedding:
    """Vectors of one layer.

    Attributes:
      layer: its name.
      vectors: [point, feature] float32.
      classes: [point] index into `class_names`.
      class_names: those of the task, and "none" where records may have no label.
      example: [point] row of the examples that it belongs to.
      patient_ids: [point] text.
    """

    layer: str
    vectors: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]
    example: np.ndarray
    patient_ids: np.ndarray


def _captured(run: Run, variables: Variables, signal_mv: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The network's output for `[batch, time, lead]`, and name -> those of all modules and what they `sow`."""
    outputs, state = run.experiment.module.apply(
        variables, signal_mv, is_training=False, capture_intermediates=True, mutable=["intermediates"]
    )
    named = {}
    for path, values in flax.traverse_util.flatten_dict(state["intermediates"]).items():
        name = "/".join(path[:-1] if path[-1] == "__call__" else path)
        for call, value in enumerate(values):
            if name and isinstance(value, jax.Array):
                named[f"{name}:{call}" if len(values) > 1 else name] = value
    return jnp.asarray(outputs), named


def layers(run: Run) -> dict[str, Layer]:
    """The layers of a run's network by name, found without computing anything."""
    record = run.abstract_record()["signal_mv"]

    def shapes(batch: int) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}

        def trace(signal_mv: jax.Array) -> jax.Array:
            # Noted here, since what a traced function returns is sorted by name.
            outputs, named = _captured(run, run.variables, signal_mv)
            found.update({name: value.shape for name, value in named.items()})
            return outputs

        jax.eval_shape(trace, jax.ShapeDtypeStruct((batch, *record.shape[1:]), record.dtype))
        return found

    one, two = shapes(1), shapes(2)
    return {name: _layer(name, one[name], two[name]) for name in one}


def _layer(name: str, one: tuple[int, ...], two: tuple[int, ...]) -> Layer:
    """From its shapes for one record and for two: the axis that doubles is that of the batch."""
    doubled = [axis for axis, (a, b) in enumerate(zip(one, two, strict=True)) if b == 2 * a]
    is_known = len(doubled) == 1 and doubled[0] < len(one) - 1
    return Layer(name, one, doubled[0] if is_known else None, one[doubled[0]] if is_known else 1)


@dataclasses.dataclass(frozen=True)
class Choice:
    """A layer, and how its output for a record becomes a vector, or one for each lead.

    Attributes:
      name: what it is called.
      layer: the layer.
      lead_axis: the axis of the leads, None for a vector a record.
      place: the hypothesis that is taken where they are folded into the batch; None where nothing is.
    """

    name: str
    layer: Layer
    lead_axis: int | None
    place: int | None

    def vectors(self, output: jax.Array) -> jax.Array:
        """The layer's output for one record -> `[feature]` or `[lead, feature]` float32."""
        output = output.astype(jnp.float32)
        if self.place is not None:
            output = jnp.take(output, jnp.array([self.place]), axis=self.layer.batch_axis)
        if self.lead_axis is not None:
            output = jnp.moveaxis(output, self.lead_axis, -2)
        kept = 1 if self.lead_axis is None else 2
        return jnp.mean(output, axis=tuple(range(output.ndim - kept)))


def choose(run: Run, asked: str) -> Choice:
    """The layer that is `asked` for: a name, or `NAME[i]` for the place `i` where hypotheses are folded into the batch.

    "" is the last of the widest layers that can be taken, at its first hypothesis.

    Raises:
      InputError: there is no such layer, or it has no vector for every record, or for every lead where leads are named.
    """
    found = layers(run)
    record = run.abstract_record()
    num_named = record["signal_mv"].shape[-1] if "names" in record else 0
    if not asked:
        return _widest(list(found.values()), num_named)
    name, bracket, place = asked.partition("[")
    if name not in found:
        raise InputError(f"the network has no layer {name!r}", f"use one of {', '.join(found)}")
    layer = found[name]
    number = place.removesuffix("]") if bracket else None
    choice = _choice(layer, num_named, number)
    if choice is None:
        wanted = "lead" if num_named else "record"
        last = layer.multiple - 1
        remedy = f"use {name}[0] to {name}[{last}]" if last and not num_named else "use another layer"
        raise InputError(f"layer {asked} gives {list(layer.shape)} and no vector for each {wanted}", remedy)
    return choice


def _widest(found: Sequence[Layer], num_named: int) -> Choice:
    choices = [_choice(layer, num_named, None) or _choice(layer, num_named, "0") for layer in found]
    usable = [choice for choice in choices if choice is not None]
    if not usable:
        raise InputError("no layer of the network has a vector for each record or lead", "use another network")
    widest = max(choice.layer.shape[-1] for choice in usable)
    return [choice for choice in usable if choice.layer.shape[-1] == widest][-1]


def _choice(layer: Layer, num_named: int, place: str | None) -> Choice | None:
    """The vectors of a layer for tasks that name `num_named` leads, 0 for others; None where it has none."""
    if layer.batch_axis is None:
        return None
    if num_named:
        axes = [layer.batch_axis] if layer.multiple > 1 else range(len(layer.shape) - 1)
        held = [axis for axis in axes if layer.shape[axis] == num_named]
        return Choice(layer.name, layer, held[0], None) if held and place is None else None
    if place is None:
        return Choice(layer.name, layer, None, None) if layer.multiple == 1 else None
    if layer.multiple > 1 and place.isdigit() and int(place) < layer.multiple:
        return Choice(f"{layer.name}[{place}]", layer, None, int(place))
    return None


def embed(run: Run, chosen: Examples, choices: Sequence[Choice]) -> list[Embedding]:
    """The vectors of all `choices` for all examples, in one compiled sweep.

    Points are the examples, once for each label that holds; or the leads of the examples where the task names leads.
    """
    compiled = run.experiment.parallel.compile(_step(run, choices), donate=False)
    swept = sweep(run.experiment.parallel, partial(compiled, run.variables, run.data), chosen.rows())
    names = run.task.class_names()
    truth = swept["truth"]
    if (truth < 0).all(axis=1).any():
        truth = np.concatenate([truth, np.where((truth < 0).all(axis=1), len(names), -1)[:, None]], axis=1)
        names = (*names, NONE)
    patients = run.split.patient_ids[chosen.index]
    embeddings = []
    for number, choice in enumerate(choices):
        vectors = swept[str(number)]
        if choice.lead_axis is None:
            example, entry = np.nonzero(truth >= 0)
            vectors, classes = vectors[example], truth[example, entry]
        else:
            example, classes = (index.ravel() for index in np.indices(vectors.shape[:2]))
            vectors = vectors.reshape(len(classes), -1)
        embeddings.append(Embedding(choice.name, vectors, classes, names, example, patients[example]))
    return embeddings


def _step(run: Run, choices: Sequence[Choice]) -> Step:
    def step(variables: Variables, data: Resident, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        record = run.presented(data, batch["index"], batch["view"])
        # One record at a time, so that no axis of a layer mixes records, however the network folds them.
        outputs, named = jax.vmap(lambda signal_mv: _captured(run, variables, signal_mv[None]))(record["signal_mv"])
        _, truth = truth_scores(run.task.predict(outputs[:, 0], record))
        found = {"truth": truth}
        for number, choice in enumerate(choices):
            vectors = jax.vmap(choice.vectors)(named[choice.layer.name])
            if choice.lead_axis is not None:
                vectors = jnp.take_along_axis(vectors, lead_order(record)[..., None], axis=1)
            found[str(number)] = vectors
        return jax.lax.all_gather(found, AXIS, tiled=True)

    return step
