"""What a trained network looks at, and what its layers hold; for every task and model."""
