"""Activation of a heart's ventricles: geometry, eikonal conduction, action potentials and the twelve leads."""

from ecgjax.simulate.activation.generate import generate

__all__ = ["generate"]
