"""Embeddings in two and three dimensions: principal components, and how leads lie as their electrodes do."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.decomposition import PCA

from ecgjax import leads, metrics
from ecgjax.errors import InputError
from ecgjax.explain.embeddings import Embedding
from ecgjax.metrics import Metric

NUM_COMPONENTS = 3

FRONTAL_DEG = {"I": 0.0, "II": 60.0, "III": 120.0, "aVR": -150.0, "aVL": -30.0, "aVF": 90.0}
"""Directions of the limb leads in the frontal plane, clockwise from the left arm as the clinic counts them."""

GROUPS = {"limb": leads.LIMB_LEADS, "precordial": leads.PRECORDIAL_LEADS}
"""Classes that are looked at by themselves where classes are leads."""


@dataclasses.dataclass(frozen=True)
class Projection:
    """Principal components of points.

    Attributes:
      coordinates: [point, component]
      explained: [component] share of the variance.
      classes: [point] index into `class_names`.
      class_names: of classes that occur, in their order.
      patient_ids: [point] text.
    """

    coordinates: np.ndarray
    explained: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]
    patient_ids: np.ndarray

    def centroids(self) -> np.ndarray:
        """`[class, component]`"""
        return _centroids(self, np.ones(len(self.classes)))


@dataclasses.dataclass(frozen=True)
class Plane:
    """The plane of least squares through points in three dimensions.

    Attributes:
      centre: [3] a point on it.
      axes: [2, 3] orthogonal directions in it.
      normal: [3]
      off_plane: share of the points' variance across it; a third where they lie about evenly in all directions.
    """

    centre: np.ndarray
    axes: np.ndarray
    normal: np.ndarray
    off_plane: float


def project(embedding: Embedding, num_components: int, class_names: Sequence[str] | None) -> Projection:
    """Principal components of an embedding, or of its points of the classes `class_names` alone.

    Raises:
      InputError: the points or their features are too few.
    """
    names = embedding.class_names if class_names is None else class_names
    occurring = [name for name in names if np.any(embedding.classes == embedding.class_names.index(name))]
    numbers = [embedding.class_names.index(name) for name in occurring]
    is_kept = np.isin(embedding.classes, numbers)
    vectors = embedding.vectors[is_kept].astype(float)
    if min(vectors.shape) < num_components:
        raise InputError(
            f"layer {embedding.layer} gives {vectors.shape[0]} points of {vectors.shape[1]} features",
            f"{num_components} components need as many; choose another layer or more records",
        )
    # Exact, it draws nothing, and points are many times the features.
    analysis = PCA(n_components=num_components, svd_solver="covariance_eigh").fit(vectors)
    return Projection(
        coordinates=analysis.transform(vectors),
        explained=np.nan_to_num(analysis.explained_variance_ratio_),
        classes=np.argmax(embedding.classes[is_kept, None] == np.array(numbers), axis=1),
        class_names=tuple(occurring),
        patient_ids=embedding.patient_ids[is_kept],
    )


def between_share(embedding: Embedding) -> float:
    """Share of the variance of all features that lies between the classes: 0 where they coincide, 1 for points."""
    vectors = embedding.vectors.astype(float) - embedding.vectors.mean(axis=0, dtype=float)
    is_class = metrics.one_hot(embedding.classes, len(embedding.class_names)).astype(float)
    counts = is_class.sum(axis=0)
    means = is_class.T @ vectors / np.maximum(counts, 1)[:, None]
    total = np.sum(vectors**2)
    return float(np.sum(counts[:, None] * means**2) / total) if total else float("nan")


def groups(class_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Limb and precordial classes, at least three of each, where classes are leads."""
    parts = {group: tuple(name for name in class_names if name in members) for group, members in GROUPS.items()}
    return {group: part for group, part in parts.items() if len(part) >= 3}


def plane(points: np.ndarray) -> Plane:
    """Through `[point, 3]`, at least three of them."""
    centre = points.mean(axis=0)
    _, lengths, directions = np.linalg.svd(points - centre, full_matrices=False)
    total = np.sum(lengths**2)
    off_plane = float(lengths[2] ** 2 / total) if total else 0.0
    return Plane(centre, directions[:2], directions[2], off_plane)


def angle_deg(one: Plane, other: Plane) -> float:
    """Between two planes, 0 to 90."""
    return float(np.degrees(np.arccos(np.clip(abs(one.normal @ other.normal), 0, 1))))


def arc_figures(projection: Projection, num_bootstrap: int) -> dict[str, Metric]:
    """Whether classes follow each other around their common centre, as V1 to V6 do around the heart.

    `arc/turn_deg` is the angle from the first to the last centroid through all between, signless; `arc/in_order` 1
    where every step turns the same way and no centroid is met twice. `projection` has two components.
    """

    def figures(weights: np.ndarray) -> dict[str, np.ndarray]:
        steps, turn = _steps_deg(_centroids(projection, weights))
        in_order = np.all(steps * np.sign(turn)[..., None] > 0, axis=-1) & (np.abs(turn) < 360)
        return {"arc/turn_deg": np.abs(turn), "arc/in_order": np.where(np.isnan(turn), np.nan, in_order)}

    return _figures(figures, projection, num_bootstrap)


def _steps_deg(centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles about the mean from each of `[..., class, 2]` to the next, within half a turn, and their sum."""
    x, y = np.moveaxis(centroids - centroids.mean(axis=-2, keepdims=True), -1, 0)
    steps = np.diff(np.degrees(np.arctan2(y, x)), axis=-1)
    steps = (steps + 180) % 360 - 180
    return steps, steps.sum(axis=-1)


def frontal_fit(centroids: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Centroids `[..., lead, 2]` of limb leads turned, mirrored, scaled and moved onto their directions, and R^2.

    R^2 `[...]` is the share of the directions' variance that the fit explains (orthogonal Procrustes).
    """
    directions = frontal_directions(names)
    wanted = directions - directions.mean(axis=0)
    given = centroids - centroids.mean(axis=-2, keepdims=True)
    # A group that no replicate drew has no centroid.
    is_defined = np.all(np.isfinite(given), axis=(-2, -1), keepdims=True)
    given = np.where(is_defined, given, 0.0)
    left, lengths, right = np.linalg.svd(np.swapaxes(given, -1, -2) @ wanted)
    power = np.sum(given**2, axis=(-2, -1))
    scale = np.divide(lengths.sum(axis=-1), power, out=np.zeros_like(power), where=power > 0)
    fitted = scale[..., None, None] * given @ left @ right + directions.mean(axis=0)
    explained = scale * lengths.sum(axis=-1) / np.sum(wanted**2)
    return fitted, np.where(is_defined[..., 0, 0], explained, np.nan)


def frontal_directions(names: Sequence[str]) -> np.ndarray:
    """`[lead, 2]` unit vectors, to the left arm and to the feet."""
    angle = np.radians([FRONTAL_DEG[name] for name in names])
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def frontal_figures(projection: Projection, num_bootstrap: int) -> dict[str, Metric]:
    """`frontal/r2`: how much of the limb leads' directions their centroids in two components explain."""
    names = projection.class_names
    return _figures(
        lambda weights: {"frontal/r2": frontal_fit(_centroids(projection, weights), names)[1]},
        projection,
        num_bootstrap,
    )


def _figures(
    figures: Callable[[np.ndarray], dict[str, np.ndarray]], projection: Projection, num_bootstrap: int
) -> dict[str, Metric]:
    # Patients are resampled for the centroids; the components stay those of all.
    return metrics.with_intervals(figures, np.ones(len(projection.classes)), projection.patient_ids, num_bootstrap)


def _centroids(projection: Projection, weights: np.ndarray) -> np.ndarray:
    """`[..., class, component]`; NaN for a class without weight."""
    is_class = metrics.one_hot(projection.classes, len(projection.class_names)).astype(float)
    counts = weights @ is_class
    sums = np.stack([weights @ (is_class * axis[:, None]) for axis in projection.coordinates.T], axis=-1)
    return np.divide(sums, counts[..., None], out=np.full_like(sums, np.nan), where=counts[..., None] > 0)
