"""A box of tetrahedra, in which activation has closed forms."""

import itertools

import numpy as np


def slab(counts: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [node, 3] mm of a regular grid from the origin, and six tetrahedra a cell [tet, 4]."""
    grid = np.indices(counts).reshape(3, -1).T
    cells = np.indices([count - 1 for count in counts]).reshape(3, -1).T
    tets = []
    for order in itertools.permutations(range(3)):
        steps = np.concatenate([np.zeros((1, 3), int), np.cumsum(np.eye(3, dtype=int)[list(order)], axis=0)])
        tets.append(np.stack([np.ravel_multi_index(tuple((cells + step).T), counts) for step in steps], axis=1))
    return (grid * spacing_mm).astype(np.float32), np.concatenate(tets)
