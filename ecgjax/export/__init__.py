"""Trained networks with their preprocessing, written for other programs: StableHLO and ONNX."""
