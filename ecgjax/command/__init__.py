"""The installed program `ecgjax`."""
