"""Reads the rhythm of one lead: each beat, the intervals between them, the whole signal, and measures of it."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from ecgjax.beats import ONE_LEAD, BeatWindow, find_beats
from ecgjax.models.batch_norm import BatchNorm
from ecgjax.models.layers import Dense, Dropout, LayerNorm
from ecgjax.models.signal_layers import Conv, max_pool

BEFORE_S, AFTER_S = 0.32, 0.48
"""Reach of a beat around R: the P wave before it, most of the T wave after it."""

FASTEST_BEATS_PER_S = 2.4
"""Mean rate up to which every beat of a recording is read; of faster ones the first."""

SHORTEST_RR_S = 0.1
"""Bound of intervals under the logarithm."""

STEM_S = 0.15
LARGEST = 8.0
"""Bound of the signal in deviations: what lies beyond is an artefact."""

FARTHEST_MEASURE = 4.0
"""Bound of normalised measures: outliers tell no more than that they are some."""

LEAST_DEVIATION = 1e-2


class RhythmReader(nn.Module):
    """A residual network over the signal and one over the sequence of beats, both pooled over what was recorded.

    Attributes:
      num_outputs: width of the output.
      fs_hz: rate of the signal.
      features: channels of each residual unit of the signal.
      strides: by which each shortens it, after the first convolution has halved it.
      beat_features: width of the layers over beats.
      num_beat_layers: layers that each see a beat beside its neighbours.
      measure_features: width of the layer over measures.
      dropout_rate: within units and layers.
      head_dropout_rate: before the output.
      dtype: of the computation; parameters, statistics and output are float32.
      axis_name: device axis over which batch statistics are averaged.
    """

    num_outputs: int
    fs_hz: float
    features: tuple[int, ...]
    strides: tuple[int, ...]
    beat_features: int
    num_beat_layers: int
    measure_features: int
    dropout_rate: float
    head_dropout_rate: float
    dtype: jnp.dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, signal_mv: jax.Array, is_training: bool) -> jax.Array:
        """`[batch, time, channel]` -> `[batch, num_outputs]`.

        The channels are the signal, 1 where it was recorded and 0 where it is padded, and measures that are constant in
        time, where there are any.
        """
        signal, mask, measures = jnp.clip(signal_mv[..., 0], -LARGEST, LARGEST), signal_mv[..., 1], signal_mv[:, 0, 2:]
        parts = [self._signal(signal, mask, is_training), self._beats(signal, mask, is_training)]
        if measures.shape[-1]:
            norm = functools.partial(BatchNorm, is_training, jnp.float32, self.axis_name)
            # Twice, since the first is at the mercy of outliers.
            normal = jnp.clip(norm()(jnp.arcsinh(norm()(measures))), -FARTHEST_MEASURE, FARTHEST_MEASURE)
            parts.append(nn.gelu(LayerNorm(self.dtype)(Dense(self.measure_features, self.dtype)(normal))))
        pooled = Dropout(self.head_dropout_rate)(jnp.concatenate(parts, axis=-1), is_training)
        return Dense(self.num_outputs, jnp.float32, name="head")(pooled)

    def _signal(self, signal: jax.Array, mask: jax.Array, is_training: bool) -> jax.Array:
        """Mean and maximum over time of what the residual units make of the signal."""
        norm = functools.partial(BatchNorm, is_training, self.dtype, self.axis_name)
        drop = functools.partial(Dropout(self.dropout_rate), is_training=is_training)

        def convolution(x: jax.Array, features: int, kernel_size: int, stride: int) -> jax.Array:
            return norm()(Conv(features, kernel_size, stride, False, self.dtype)(x))

        # An odd number of taps, so that the middle one falls on a sample.
        stem_taps = round(STEM_S * self.fs_hz) | 1
        x = nn.relu(convolution(signal[..., None], self.features[0], stem_taps, 2))
        stride_in_all = 2
        for features, stride in zip(self.features, self.strides, strict=True):
            inner = drop(nn.relu(convolution(x, features, 7 if stride_in_all < 4 else 5, stride)))
            inner = convolution(inner, features, 5, 1)
            kept = max_pool(x, stride, stride) if stride > 1 else x
            if kept.shape[-1] != features:
                kept = Conv(features, 1, 1, False, self.dtype)(kept)
            x = nn.relu(kept + inner)
            stride_in_all *= stride
        is_in = -max_pool(-mask[..., None], stride_in_all, stride_in_all)
        mean, _, highest = _pooled(x, is_in)
        return jnp.concatenate([mean, highest], axis=-1)

    def _beats(self, signal: jax.Array, mask: jax.Array, is_training: bool) -> jax.Array:
        """Mean, deviation and maximum over beats of what layers over neighbouring beats make of them; and the mean
        beat, and how many there are."""
        drop = functools.partial(Dropout(self.dropout_rate), is_training=is_training)
        max_beats = max(round(FASTEST_BEATS_PER_S * signal.shape[1] / self.fs_hz), 1)
        window = BeatWindow(self.fs_hz, BEFORE_S, AFTER_S, max_beats)
        beats, intervals, is_beat = jax.vmap(lambda one, known: beat_sequence(one, known, window))(signal, mask)
        is_beat = is_beat[..., None]
        count = jnp.sum(is_beat, axis=1)
        mean_beat = jnp.sum(beats * is_beat, axis=1) / jnp.maximum(count, 1.0)

        def dense(x: jax.Array) -> jax.Array:
            return Dense(self.beat_features, self.dtype)(x)

        shown = jnp.concatenate([beats, beats - mean_beat[:, None], intervals], axis=-1)
        x = dense(drop(nn.gelu(LayerNorm(self.dtype)(dense(shown))))) * is_beat
        for _ in range(self.num_beat_layers):
            active = jnp.pad(nn.gelu(LayerNorm(self.dtype)(x)) * is_beat, ((0, 0), (1, 1), (0, 0)))
            neighbours = jnp.concatenate([active[:, :-2], active[:, 1:-1], active[:, 2:]], axis=-1)
            x = x + drop(dense(neighbours))
        x = dense(nn.gelu(LayerNorm(self.dtype)(x)))
        beats_per_s = count / jnp.maximum(jnp.sum(mask, axis=1, keepdims=True) / self.fs_hz, 1.0)
        summary = jnp.concatenate([*_pooled(x, is_beat), mean_beat, beats_per_s], axis=-1)
        return nn.gelu(Dense(self.beat_features, self.dtype)(LayerNorm(self.dtype)(summary)))


def beat_sequence(signal: jax.Array, mask: jax.Array, window: BeatWindow) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The beats of `[time]` in order: shapes `[beat, num_samples]`, intervals `[beat, 8]`, and `[beat]` 1 where there
    is one, 0 in places left over.

    Intervals are the logarithms of those after and before a beat over their mean, their difference, the sizes of these,
    which of both are known, and the logarithm of the mean in seconds.
    """
    peaks, found = find_beats(signal[:, None], window, ONE_LEAD, is_recorded=mask > 0)
    start = jnp.clip(peaks - window.num_before, 0, len(signal) - window.num_samples)
    beats = jax.vmap(lambda first: jax.lax.dynamic_slice(signal, (first,), (window.num_samples,)))(start)
    has_next = found & jnp.append(found[1:], False)
    rr_s = jnp.where(has_next, jnp.append(jnp.diff(peaks), 0) / window.fs_hz, 0.0)
    mean_rr_s = jnp.maximum(jnp.sum(rr_s) / jnp.maximum(jnp.sum(has_next), 1), SHORTEST_RR_S)
    after = jnp.where(has_next, jnp.log(jnp.maximum(rr_s, SHORTEST_RR_S) / mean_rr_s), 0.0)
    before, has_previous = jnp.append(0.0, after[:-1]), jnp.append(False, has_next[:-1])
    change = after - before
    mean = jnp.full_like(after, jnp.log(mean_rr_s))
    intervals = [after, before, change, jnp.abs(after), jnp.abs(change), has_next, has_previous, mean]
    return beats, jnp.stack(intervals, axis=1) * found[:, None], found.astype(signal.dtype)


def _pooled(x: jax.Array, is_in: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, deviation, maximum of `[batch, time, channel]` where `is_in` `[batch, time, 1]` is 1; 0 if it never is."""
    count = jnp.maximum(jnp.sum(is_in, axis=1), 1.0)
    mean = jnp.sum(x * is_in, axis=1) / count
    variance = jnp.sum((x - mean[:, None]) ** 2 * is_in, axis=1) / count
    highest = jnp.max(jnp.where(is_in > 0, x, -jnp.inf), axis=1)
    return mean, jnp.sqrt(variance + LEAST_DEVIATION**2), jnp.where(jnp.isfinite(highest), highest, 0.0)
