"""Paper that is bent, creased and looked at askew: one map from the flat page to the picture, for pixels and points."""

import dataclasses

import cv2
import numpy as np

from ecgjax.images.fields import lit, smooth_field

_EXACT_PX = 1e-3
_MOST_ROUNDS = 40


@dataclasses.dataclass(frozen=True)
class Crease:
    """A fold across the page, in pixels.

    Attributes:
      at_px: a point on it.
      normal: x and y of a unit vector across it.
      width_px: how far from it the paper is bent.
      length_px: how far along it from `at_px` it can be seen.
      shift_px: by how much the paper beside it moves towards it, less than `width_px`.
      depth: the share of light that its shaded side lacks and its lit side gains.
    """

    at_px: tuple[float, float]
    normal: tuple[float, float]
    width_px: float
    length_px: float
    shift_px: float
    depth: float

    def slope(self, points_px: np.ndarray) -> np.ndarray:
        """Of the paper at points `[..., 2]`, -1..1: up to the crease on one side, down on the other."""
        off = points_px - np.array(self.at_px)
        across = off @ np.array(self.normal) / self.width_px
        along = off @ np.array([-self.normal[1], self.normal[0]]) / self.length_px
        return across * np.exp(0.5 - 0.5 * (across**2 + along**2))


@dataclasses.dataclass(frozen=True)
class Warp:
    """From the flat page to the picture.

    Attributes:
      size_px: width and height of the flat page.
      creases: its folds.
      curl_px: how much lower the left and right edge of the page appear than its middle.
      homography: [3, 3], from the bent page to the picture.
      picture_px: width and height of the picture.
    """

    size_px: tuple[int, int]
    creases: tuple[Crease, ...]
    curl_px: float
    homography: np.ndarray
    picture_px: tuple[int, int]

    def _source(self, bent_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where on the flat page a point of the bent one comes from, and how well it is lit."""
        source, light = bent_px.copy(), np.ones(bent_px.shape[:-1])
        if self.curl_px:
            source[..., 1] -= self.curl_px * (2 * bent_px[..., 0] / self.size_px[0] - 1) ** 2
        for crease in self.creases:
            slope = crease.slope(bent_px)
            source += crease.shift_px * slope[..., None] * np.array(crease.normal)
            light += crease.depth * slope
        return source, light

    def move(self, points_px: np.ndarray) -> np.ndarray:
        """Points `[..., 2]`, x and y, of the flat page in the picture; NaN stays."""
        bent = np.array(points_px, float)
        # The shift varies slowly, so that its inverse is found by repetition: a round leaves a fraction of the error.
        for _ in range(_MOST_ROUNDS):
            error = self._source(bent)[0] - points_px
            bent -= error
            if not np.nanmax(np.abs(error), initial=0.0) > _EXACT_PX:
                break
        return _project(self.homography, bent)

    def draw(self, picture: np.ndarray, step_px: int, background: int) -> np.ndarray:
        """uint8 picture [y, x] or [y, x, 3] of the page; the map is worked out every `step_px` pixels."""
        inverse = np.linalg.inv(self.homography)

        def fields(points_px: np.ndarray) -> np.ndarray:
            bent = _project(inverse, points_px)
            source, light = self._source(bent)
            on_page = ((bent >= -0.5) & (bent <= np.array(self.size_px) - 0.5)).all(axis=-1)
            return np.dstack([source, np.where(on_page, light, 1.0)])

        from_x, from_y, light = cv2.split(smooth_field(fields, *self.picture_px, step_px))
        border = (background,) * 3
        drawn = cv2.remap(picture, from_x, from_y, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, border)
        return lit(drawn, light) if self.creases else drawn


def _project(homography: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """Points `[..., 2]` through a homography [3, 3]."""
    x, y, w = np.moveaxis(points_px @ homography[:, :2].T + homography[:, 2], -1, 0)
    return np.stack([x / w, y / w], axis=-1)
