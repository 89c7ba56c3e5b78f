"""All twelve leads from some of them and an estimate of the rest, so that algebra has the last word.

Given leads stay as they are and leads in their span follow from them. What is estimated is I, II and V1..V6: of these
only what the given leads leave open is taken. One limb lead fixes one of the two dimensions of all six; the estimate of
I and II then is moved, as little as possible, to where that lead is what was recorded. So the twelve leads obey
Einthoven's law whatever the estimate.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads

_NUM_LIMB = len(leads.LIMB_LEADS)
_FROM_PAIR = leads.LEADS_FROM_INDEPENDENT[:_NUM_LIMB, :2]


def _limb_tables() -> tuple[np.ndarray, np.ndarray]:
    """[64, 6, 6] and [64, 6, 2]: limb leads from the given ones and from the estimate of I and II, by bitmask."""
    from_given, from_estimate = leads.LIMB_COMPLETIONS.copy(), np.zeros((2**_NUM_LIMB, _NUM_LIMB, 2))
    from_estimate[0] = _FROM_PAIR
    for given in range(_NUM_LIMB):
        one, mask = _FROM_PAIR[given], 1 << given
        from_given[mask, :, given] = _FROM_PAIR @ one / (one @ one)
        from_estimate[mask] = _FROM_PAIR @ (np.eye(2) - np.outer(one, one) / (one @ one))
        from_given[mask, given, given], from_estimate[mask, given] = 1.0, 0.0
    return from_given, from_estimate


_LIMB_FROM_GIVEN, _LIMB_FROM_ESTIMATE = _limb_tables()


def completion_matrices(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """[12, 12] on the twelve leads, of which only those of `names` are read, and [12, 8] on the estimate.

    Their sum is the completed record; the estimate holds I, II and V1..V6.
    """
    is_given = np.array([name in names for name in leads.LEADS])
    mask, is_chest_given = leads.limb_mask(is_given), is_given[_NUM_LIMB:]
    from_given = np.zeros((len(leads.LEADS), len(leads.LEADS)))
    from_estimate = np.zeros((len(leads.LEADS), len(leads.INDEPENDENT_LEADS)))
    from_given[:_NUM_LIMB, :_NUM_LIMB] = _LIMB_FROM_GIVEN[mask]
    from_estimate[:_NUM_LIMB, :2] = _LIMB_FROM_ESTIMATE[mask]
    from_given[_NUM_LIMB:, _NUM_LIMB:] = np.diag(is_chest_given.astype(float))
    from_estimate[_NUM_LIMB:, 2:] = np.diag((~is_chest_given).astype(float))
    return from_given, from_estimate


def complete(shown_mv: jax.Array, estimate_mv: jax.Array, is_given: jax.Array) -> jax.Array:
    """`[time, 12]` from the shown leads `[time, 12]`, those of `is_given` bool `[12]`, and the estimate `[time, 8]`."""
    mask = leads.limb_mask(is_given)
    from_given = jnp.asarray(_LIMB_FROM_GIVEN, shown_mv.dtype)[mask]
    from_estimate = jnp.asarray(_LIMB_FROM_ESTIMATE, shown_mv.dtype)[mask]
    limb = shown_mv[:, :_NUM_LIMB] @ from_given.T + estimate_mv[:, :2] @ from_estimate.T
    chest = jnp.where(is_given[_NUM_LIMB:], shown_mv[:, _NUM_LIMB:], estimate_mv[:, 2:])
    return jnp.concatenate([limb, chest], axis=1)


def is_known(is_given: jax.Array) -> jax.Array:
    """bool `[12]`: the leads that are given or follow from those that are."""
    limb = is_given[:_NUM_LIMB] | (jnp.sum(is_given[:_NUM_LIMB]) > 1)
    return jnp.concatenate([limb, is_given[_NUM_LIMB:]])


IS_INDEPENDENT = np.isin(leads.LEADS, leads.INDEPENDENT_LEADS)
"""bool [12]: the leads that an estimate holds; the others follow from I and II."""


def learnt_leads(names: Sequence[str]) -> tuple[str, ...]:
    """Those of I, II and V1..V6 that do not follow from `names`."""
    known = leads.derivable(names)
    return tuple(name for name in leads.INDEPENDENT_LEADS if name not in known)
