"""The heart behind the electrodes: 75 named sites, their transmembrane potentials, and times read from these.

Names and order of the sites are those of the simulated dataset of Landajuela et al. (Computing in Cardiology 2022, 49;
UC San Diego Library, doi 10.6075/J0SN094N), which every dataset of hearts here shares.
"""

import types
from typing import Any

import numpy as np

FS_HZ = 1000.0
NUM_SAMPLES = 500

VM_GAIN = 100.0
"""int16 units per mV of stored potentials."""

REST_MV = -85.5
PEAK_MV = 50.0
"""Resting potential, and the bound of the overshoot to which potentials are scaled."""

REPOLARISED = 0.9
"""Share of the way from the peak back to rest at which an action potential ends."""

_SEPTAL = {"AHA": (2, 3, 8, 9, 14), "RV": (4, 5, 9, 10, 13)}
"""Endocardial sites on either face of the septum, which have no epicardium across from them."""

_ENDO = tuple(f"AHA{i:02}" for i in range(1, 18)) + tuple(f"RV{i:02}" for i in range(1, 14))
_SEPTAL_ENDO = tuple(f"{side}{i:02}" for side, numbers in _SEPTAL.items() for i in numbers)
_FREE = tuple(name for name in _ENDO if name not in _SEPTAL_ENDO)
_SEPTM = ("AHA02_RV05", "AHA03_RV04", "AHA08_RV10", "AHA09_RV09", "AHA14_RV13")

SITES = (
    *_ENDO,
    *(f"EPI_{name}" for name in _FREE),
    *(f"MID_{name}" for name in _FREE),
    *(f"SEPTM_{name}" for name in _SEPTM),
)
"""AHA: left ventricular segments; RV: right ventricular ones. EPI_ and MID_ lie across the free wall from the
endocardial site they name, SEPTM_ in the septum between the two."""

NUM_SITES = len(SITES)


def chamber(site: str) -> str:
    """LV or RV for a site on a free wall, `septum` for both faces and the middle of the septum."""
    if site.startswith("SEPTM_") or site in _SEPTAL_ENDO:
        return "septum"
    return "LV" if "AHA" in site else "RV"


def layer(site: str) -> str:
    """endo, mid or epi."""
    return {"EPI": "epi", "MID": "mid", "SEPTM": "mid"}.get(site.partition("_")[0], "endo")


CHAMBER_NAMES = ("LV", "RV", "septum")
CHAMBERS = tuple(chamber(site) for site in SITES)
LAYERS = tuple(layer(site) for site in SITES)


def regions() -> dict[str, np.ndarray]:
    """LV, RV, septum, endo, mid and epi -> bool `[site]`."""
    return {
        name: np.array(labels) == name
        for labels, names in ((CHAMBERS, CHAMBER_NAMES), (LAYERS, ("endo", "mid", "epi")))
        for name in names
    }


def activation_ms(vm_mv: Any) -> Any:
    """Time of the first upward crossing of 0 mV, `[..., time, site]` -> `[..., site]` float32.

    Interpolated between samples; the first sample is at 0 ms. NaN where it never crosses, and where it is above 0 mV
    from the start, so that the crossing was before. An array of NumPy or of JAX.
    """
    xp = _namespace(vm_mv)
    vm_mv = vm_mv.astype(np.float32)
    is_up = (vm_mv[..., :-1, :] < 0) & (vm_mv[..., 1:, :] >= 0)
    first = xp.argmax(is_up, axis=-2)
    is_found = xp.any(is_up, axis=-2) & (vm_mv[..., 0, :] < 0)
    before, after = (_at(xp, vm_mv, first + step) for step in (0, 1))
    return xp.where(is_found, _ms(first, before, after, 0.0, xp), np.nan).astype(np.float32)


def apd90_ms(vm_mv: Any) -> Any:
    """Duration of the action potential at 90 % repolarisation, `[..., time, site]` -> `[..., site]` float32.

    From `activation_ms` to the first downward crossing, after the peak, of the level that is 90 % of the way from the
    peak to `REST_MV`. NaN where either is not within the record. An array of NumPy or of JAX.
    """
    xp = _namespace(vm_mv)
    vm_mv = vm_mv.astype(np.float32)
    peak = xp.argmax(vm_mv, axis=-2)
    peak_mv = _at(xp, vm_mv, peak)
    level = peak_mv + np.float32(REPOLARISED) * (np.float32(REST_MV) - peak_mv)
    sample = xp.arange(vm_mv.shape[-2] - 1)[:, None]
    is_down = (vm_mv[..., 1:, :] < level[..., None, :]) & (sample >= peak[..., None, :])
    first = xp.argmax(is_down, axis=-2)
    before, after = (_at(xp, vm_mv, first + step) for step in (0, 1))
    end_ms = _ms(first, before, after, level, xp)
    return xp.where(xp.any(is_down, axis=-2), end_ms - activation_ms(vm_mv), np.nan).astype(np.float32)


def _namespace(array: Any) -> types.ModuleType | Any:
    """numpy or jax.numpy."""
    return array.__array_namespace__()


def _at(xp: Any, vm_mv: Any, sample: Any) -> Any:
    """`[..., site]` of `[..., time, site]` at one sample a site."""
    return xp.take_along_axis(vm_mv, sample[..., None, :], axis=-2)[..., 0, :]


def _ms(first: Any, before: Any, after: Any, level: Any, xp: Any) -> Any:
    """Time at which the line from `before`, at sample `first`, to `after` crosses `level`."""
    step = after - before
    return (first + (level - before) / xp.where(step == 0, 1, step)) * np.float32(1000 / FS_HZ)
