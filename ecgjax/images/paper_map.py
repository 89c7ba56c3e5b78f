"""The map from a picture of paper to the plane of that paper: a view of a plane, and what bends it."""

import dataclasses

import cv2
import numpy as np

NUM_TERMS = 15
"""Of a polynomial of degree 4 in two variables."""

_POWERS = tuple((i, degree - i) for degree in range(5) for i in range(degree, -1, -1))
_NODE_PX = 16
_ROUNDS = 4


def bend_terms(at: np.ndarray) -> np.ndarray:
    """Powers of x and y at points [point, (x, y)]: [point, term]."""
    x, y = np.asarray(at, np.float64).T
    return np.stack([x**i * y**j for i, j in _POWERS], axis=1)


def bend_slopes(at: np.ndarray) -> np.ndarray:
    """Derivatives of the terms along x and along y: [point, (x, y), term]."""
    x, y = np.asarray(at, np.float64).T
    along_x = np.stack([i * x ** max(i - 1, 0) * y**j for i, j in _POWERS], axis=1)
    along_y = np.stack([j * x**i * y ** max(j - 1, 0) for i, j in _POWERS], axis=1)
    return np.stack([along_x, along_y], axis=1)


@dataclasses.dataclass(frozen=True)
class PaperMap:
    """From pixels to places on paper.

    Attributes:
      homography: 3x3, of the plane.
      bend: [term, (x, y)], what is added on paper, of places in the picture from `middle_px` over `reach_px`; None for
        a plane.
      middle_px, reach_px: middle and half diagonal of the picture.
    """

    homography: np.ndarray
    bend: np.ndarray | None
    middle_px: np.ndarray
    reach_px: float

    def __call__(self, points_px: np.ndarray) -> np.ndarray:
        """Places on paper [point, (x, y)] of points in the picture."""
        places = cv2.perspectiveTransform(np.asarray(points_px, np.float64)[None], self.homography)[0]
        return places + self._bent(points_px)

    def inverse(self, places: np.ndarray) -> np.ndarray:
        """Points in the picture [point, (x, y)] of places on paper."""
        back = np.linalg.inv(self.homography)
        points_px = cv2.perspectiveTransform(np.asarray(places, np.float64)[None], back)[0]
        if self.bend is not None:
            # Paper bends much less than it extends, so that this comes nearer each time.
            for _ in range(_ROUNDS):
                points_px = cv2.perspectiveTransform((places - self._bent(points_px))[None], back)[0]
        return points_px

    def _bent(self, points_px: np.ndarray) -> np.ndarray | float:
        if self.bend is None:
            return 0.0
        # Beyond the picture a polynomial leads nowhere.
        at = np.clip((points_px - self.middle_px) / self.reach_px, -1.05, 1.05)
        return bend_terms(at) @ self.bend

    def scaled(self, scale: float, offset: np.ndarray) -> "PaperMap":
        """The map to `scale` times a place plus `offset`."""
        homography = np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]]) @ self.homography
        bend = None if self.bend is None else scale * self.bend
        return dataclasses.replace(self, homography=homography, bend=bend)

    def enlarged(self, factor: int) -> "PaperMap":
        """The map from a picture of which this one's is made, each pixel the mean of `factor` by `factor`."""
        offset = 0.5 / factor - 0.5
        shrink = np.array([[1 / factor, 0, offset], [0, 1 / factor, offset], [0, 0, 1]])
        return dataclasses.replace(
            self,
            homography=self.homography @ shrink,
            middle_px=(self.middle_px - offset) * factor,
            reach_px=self.reach_px * factor,
        )

    def straightened(self, picture: np.ndarray, size_px: tuple[int, int], flags: int, border: float) -> np.ndarray:
        """What the paper looks like, a pixel for each whole place (x, y) from 0 up to `size_px`."""
        outside = (border,) * 3
        if self.bend is None:
            return cv2.warpPerspective(picture, self.homography, size_px, flags=flags, borderValue=outside)
        nodes_x, nodes_y = (-(-side // _NODE_PX) + 1 for side in size_px)
        grid = np.stack(np.meshgrid(np.arange(nodes_x), np.arange(nodes_y)), axis=2) * float(_NODE_PX)
        nodes = self.inverse(grid.reshape(-1, 2)).reshape(nodes_y, nodes_x, 2).astype(np.float32)
        # Nodes stand at whole multiples: at those places of the enlarged map, and linear between them.
        between = np.array([[_NODE_PX, 0, 0], [0, _NODE_PX, 0]], np.float64)
        source = cv2.warpAffine(nodes, between, size_px, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source_x, source_y = cv2.split(source)
        return cv2.remap(picture, source_x, source_y, flags, borderValue=outside)


def placement(to_plane: PaperMap, shape: tuple[int, ...]) -> tuple[float, np.ndarray, tuple[int, int]]:
    """Pixels a unit of the plane at which a picture keeps its area, its upper left (x, y) there, and its size then."""
    height, width = shape[:2]
    corners = to_plane(np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]))
    x, y = corners.T
    area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    px = float(np.sqrt(width * height / area))
    size = np.minimum(np.ceil(np.ptp(corners, axis=0) * px) + 1, 3 * max(height, width)).astype(int)
    return px, corners.min(axis=0), (int(size[0]), int(size[1]))
