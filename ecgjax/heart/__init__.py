"""The heart behind a record: what was predicted, on meshes, as figures, animations and VTK files."""
