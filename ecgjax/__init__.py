"""ecgjax: deep learning on the electrocardiogram in JAX."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgjax.recordings.load import load as load
    from ecgjax.recordings.recording import Recording as Recording

_FOUND_IN = {"load": "ecgjax.recordings.load", "Recording": "ecgjax.recordings.recording"}
"""Name -> its module, imported once it is asked for: `import ecgjax` alone brings nothing along."""


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_FOUND_IN[name]), name)
