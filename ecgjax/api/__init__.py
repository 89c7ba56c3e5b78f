"""What users of ecgjax call, one function a file; all are attributes of the package, as `ecgjax.check`."""
