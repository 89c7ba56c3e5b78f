"""Pages with a grid at known places, for the tests of straightening."""

import cv2
import numpy as np

PAPER = np.array([255, 250, 245])
FINE = np.array([250, 190, 190])
BOLD = np.array([225, 90, 90])


def coverage(at_mm: np.ndarray, every_mm: float, width_mm: float, px_mm: float) -> np.ndarray:
    """How much of each pixel lines of a width cover that stand at multiples of a distance."""
    off_mm = np.abs((at_mm + every_mm / 2) % every_mm - every_mm / 2)
    return np.clip((width_mm / 2 - off_mm) / px_mm + 0.5, 0, 1)


def grid_page(
    width_px: int,
    height_px: int,
    px_per_mm: float,
    *,
    to_page: np.ndarray | None = None,
    has_fine: bool = True,
    has_bold: bool = True,
    fine: np.ndarray = FINE,
    bold: np.ndarray = BOLD,
) -> np.ndarray:
    """uint8 [y, x, rgb]; `to_page` is a homography from its pixels to those of the page."""
    y, x = np.mgrid[:height_px, :width_px].astype(float)
    if to_page is not None:
        points = cv2.perspectiveTransform(np.stack([x, y], axis=2), to_page)
        x, y = points[..., 0], points[..., 1]
    rgb = np.broadcast_to(PAPER, (height_px, width_px, 3)).astype(float)
    for is_drawn, every_mm, width_mm, colour in ((has_fine, 1, 0.15, fine), (has_bold, 5, 0.3, bold)):
        for at in (x, y):
            if is_drawn:
                share = coverage(at / px_per_mm, every_mm, width_mm, 1 / px_per_mm)[:, :, None]
                rgb = (1 - share) * rgb + share * colour
    return rgb.round().astype(np.uint8)


def turned(angle_deg: float, lean: tuple[float, float], width_px: int, height_px: int) -> np.ndarray:
    """Homography that turns a picture about its middle, seen from the side by `lean` over its width."""
    angle = np.deg2rad(angle_deg)
    middle = np.array([[1, 0, -width_px / 2], [0, 1, -height_px / 2], [0, 0, 1]])
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    view = np.array([[1, 0, 0], [0, 1, 0], [lean[0] / width_px, lean[1] / width_px, 1]])
    return np.linalg.inv(middle) @ view @ turn @ middle


def with_trace(rgb: np.ndarray, height_px: np.ndarray, width_px: float, ink: tuple[int, int, int]) -> np.ndarray:
    """A level-ish stroke at a height a column, laid over the page; returns the page and the share of ink."""
    rows = np.arange(len(rgb))[:, None]
    share = np.clip((width_px / 2 + 0.5 - np.abs(rows - height_px)), 0, 1)[:, :, None]
    return ((1 - share) * rgb + share * np.array(ink)).round().astype(np.uint8)
