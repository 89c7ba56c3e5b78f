"""Figures and animations of potentials."""

import numpy as np
from PIL import Image

from ecgjax.data.intracardiac import REST_MV, SITES
from ecgjax.heart.potentials import potential_grid, write_animation
from ecgjax.heart.template import mean_heart

TIME_MS = np.arange(500)[:, None]
VM_MV = REST_MV + 110 * ((np.arange(75) < TIME_MS) & (TIME_MS < 300))


def test_every_site_has_a_panel_with_both_curves():
    (axes,) = potential_grid(VM_MV, VM_MV + 1, "title").axes
    true, predicted = (c for c in axes.collections if c.get_label() in ("true", "predicted"))
    assert [text.get_text() for text in axes.texts][:75] == list(SITES)
    for k, (one, other) in enumerate(zip(true.get_segments(), predicted.get_segments(), strict=True)):
        np.testing.assert_allclose(np.ptp(one[:, 0]), 499)
        np.testing.assert_allclose(one[:, 1] - one[0, 1], VM_MV[:, k] - VM_MV[0, k])
        np.testing.assert_allclose(other[:, 1] - one[:, 1], 1)
    assert [c.get_label() for c in potential_grid(None, VM_MV, "x").axes[0].collections][-1] == "predicted"


def test_an_animation_has_a_picture_every_step(tmp_path):
    path = tmp_path / "vm.gif"
    write_animation(path, mean_heart(), VM_MV, VM_MV, "title", step_ms=100, min_triangles=1)
    with Image.open(path) as picture:
        assert picture.n_frames == 5
        frames = []
        for k in range(5):
            picture.seek(k)
            frames.append(np.asarray(picture.convert("RGB"), float))
    # At rest and recovered look alike but for the clock; excited does not.
    body = [frame[60:] for frame in frames]
    assert np.abs(body[0] - body[1]).mean() > 10 * np.abs(body[0] - body[4]).mean() + 1
