"""The heart in pictures: activation maps and potentials on meshes, as figures, animations and VTK files."""
