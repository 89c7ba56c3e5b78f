"""Electrocardiograms from files of any kind: one reader a format, one normalisation for all."""
