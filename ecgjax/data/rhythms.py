"""Rhythms of one-lead recordings: what the datasets of them share (PhysioNet/CinC Challenge 2017)."""

CLASSES = ("N", "A", "O", "~")
"""Sinus rhythm, atrial fibrillation, any other rhythm, and recordings too noisy to tell."""

SCORED = CLASSES[:3]
"""Those whose mean F1 is the challenge's score."""

FS_HZ = 300.0
LEAD_NAMES = ("I",)
