"""From the probabilities of each lead's name to the names of a set of leads."""

import jax
import jax.numpy as jnp
import optax


def most_probable(logits: jax.Array) -> jax.Array:
    """Names `[..., lead]` from `[..., lead, name]`, each lead by itself; a name may be given twice."""
    return jnp.argmax(logits, axis=-1)


def assigned(logits: jax.Array) -> jax.Array:
    """Names `[..., lead]` from `[..., lead, name]`, no name twice, of the highest product of probabilities.

    The optimal assignment (Kuhn, Naval Res Logist Q 1955, 2:83-97); there are at least as many names as leads.
    """
    cost = -jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    flat = cost.reshape(-1, *cost.shape[-2:])

    def names(cost: jax.Array) -> jax.Array:
        lead, name = optax.assignment.hungarian_algorithm(cost)
        return jnp.zeros(cost.shape[0], jnp.int32).at[lead].set(name.astype(jnp.int32))

    return jax.vmap(names)(flat).reshape(cost.shape[:-1])
