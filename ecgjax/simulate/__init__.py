"""A physiological 12-lead ECG: rhythm, a heart of moving dipoles, a torso, a recorder. Every label is exact."""

from ecgjax.simulate.generator import generate

__all__ = ["generate"]
