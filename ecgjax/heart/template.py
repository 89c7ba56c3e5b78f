"""A mesh for a heart of which only the sites are known: the simulator's mean heart, bent until its sites fit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.heart.interpolation import smooth
from ecgjax.heart.mesh import Heart
from ecgjax.simulate.activation.geometry import draw_nodes
from ecgjax.simulate.activation.mesh import heart_mesh
from ecgjax.simulate.draws import Draws


class _MeanDraws(Draws):
    """Every normal number is 0: the mean of the population."""

    def __init__(self) -> None:
        """Without a key."""

    def normal(self, *shape: int) -> jax.Array:
        return jnp.zeros(shape)


@functools.cache
def mean_heart() -> Heart:
    """The simulator's mesh with the nodes of the mean heart."""
    mesh = heart_mesh()
    nodes_mm = np.asarray(jax.jit(lambda: draw_nodes(_MeanDraws(), mesh))(), float)
    return Heart(nodes_mm, mesh.tets, nodes_mm[mesh.sites].mean(axis=1))


def fitted_heart(site_mm: np.ndarray) -> Heart:
    """The mean heart with its sites moved to `site_mm` `[75, 3]`, and all else as smoothly as can be.

    The nodes of simulated hearts are found again to 0.25 mm on average, and to 0.7 mm for 95 %.
    """
    mean = mean_heart()
    return Heart(smooth(mean.site_mm, mean.points_mm) @ site_mm, mean.corners, site_mm)
