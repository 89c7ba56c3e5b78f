"""The transmembrane potential of a ventricular cell after its activation, and how long it lasts where."""

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.data.intracardiac import REPOLARISED, REST_MV
from ecgjax.simulate.activation.mesh import Mesh
from ecgjax.simulate.activation.population import ACTION_POTENTIAL
from ecgjax.simulate.draws import Draws

_HEIGHT_MV = ACTION_POTENTIAL.plateau_mv - REST_MV
# The upstroke crosses 0 mV above its middle.
_LEAD_MS = ACTION_POTENTIAL.upstroke_ms * float(np.log(-REST_MV / ACTION_POTENTIAL.plateau_mv))
_PLATEAU_MS = 300.0
_END = float(np.log(-np.log((1 - REPOLARISED) / (1 - ACTION_POTENTIAL.slope))))


def draw_gradients(draws: Draws, mesh: Mesh) -> jax.Array:
    """[node] ms by which action potentials of one heart last longer here than on average."""
    z = draws.normal(5)
    ap = ACTION_POTENTIAL
    whole = ap.apd_ms * (jnp.exp(ap.apd_log_sd * z[0]) - 1)
    transmural = (ap.transmural_ms + ap.transmural_sd_ms * z[1]) * (0.5 - mesh.depth)
    apical = (ap.apical_ms + ap.apical_sd_ms * z[2]) * (mesh.height - 0.5)
    lateral = (
        -(ap.lateral_ms + ap.lateral_sd_ms * z[4])
        / 2
        * jnp.where(mesh.is_rv, 0.0, jnp.cos(mesh.theta) * jnp.sin(mesh.polar))
    )
    return whole + transmural + apical + lateral + (ap.rv_ms + ap.rv_sd_ms * z[3]) * mesh.is_rv


def duration_ms(gradients_ms: jax.Array, bcl_ms: jax.Array, gkr: jax.Array) -> jax.Array:
    """[node] to 90 % repolarisation at a cycle length, with a share `gkr` of the normal rapid potassium current."""
    ap = ACTION_POTENTIAL

    def recovered(cycle_ms: jax.Array | float) -> jax.Array:
        return 1 - ap.restitution * jnp.exp(-cycle_ms / ap.restitution_ms)

    return (ap.apd_ms + gradients_ms) * recovered(bcl_ms) / recovered(1000.0) * gkr**ap.gkr_power


def potential_mv(since_ms: jax.Array, apd_ms: jax.Array, upstroke_ms: jax.Array | float, notch: jax.Array) -> jax.Array:
    """The potential at a time since activation, which is where a sharp upstroke crosses 0 mV.

    A logistic upstroke, a notch of the depth `notch`, a falling plateau, and a third phase that starts slowly and ends
    sharply (Gompertz); arguments broadcast.
    """
    ap = ACTION_POTENTIAL
    up = jax.nn.sigmoid((since_ms + _LEAD_MS) / upstroke_ms)
    after_ms = jnp.maximum(since_ms, 0.0)
    early = after_ms / ap.notch_ms
    plateau = 1 - ap.slope * after_ms / _PLATEAU_MS - notch * early * jnp.exp(1 - early)
    down = jnp.exp(-jnp.exp(jnp.minimum((since_ms - apd_ms) / ap.repolarisation_ms + _END, 5.0)))
    return REST_MV + _HEIGHT_MV * up * jnp.maximum(plateau, 0.0) * down
