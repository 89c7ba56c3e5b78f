"""The published network for naming leads: an encoder of each, a context of all, and a head for each.

Every part treats all leads alike, so a record with its leads in another order gets the same scores in that order.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.models.lead_encoders import LeadEncoder
from ecgjax.models.sequence_layers import Linear
from ecgjax.models.set_context import SetContext

_HIDDEN = {"sab": (256, 128), "isab": (256, 128), "deepsets": (256, 128), "none": (256, 256, 256, 128, 128)}
"""Widths of the head's layers after each context."""


class LeadSetNet(nn.Module):
    """Scores of every name for every lead.

    With encoder inception_gru and context sab, 64 features and 12 names or 128 and 6, the networks that were released,
    without those of their weights that nothing reads.

    Attributes:
      num_outputs: number of names.
      encoder: of each lead, see lead_encoders.py.
      context: of all leads, see set_context.py.
      features: width between the two.
      num_blocks: attention blocks.
      num_heads: attention heads.
      num_inducing: learned vectors of an isab block.
      dropout_rate: of the encoder's output, while training.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    encoder: str
    context: str
    features: int
    num_blocks: int
    num_heads: int
    num_inducing: int
    dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, lead]` -> logits `[batch, lead, num_outputs]`, for any number of leads."""
        encoder = LeadEncoder(
            self.encoder, self.features, self.dropout_rate, self.dtype, self.axis_name, name="encoder"
        )
        context = SetContext(
            self.context, self.num_blocks, self.num_heads, self.num_inducing, self.dtype, name="context"
        )
        x = context(encoder(signal_mv, is_training))
        for i, width in enumerate(_HIDDEN[self.context]):
            x = nn.relu(Linear(width, self.dtype, name=f"head_{i}")(x))
        return Linear(self.num_outputs, jnp.dtype("float32"), name="head")(x)
