"""ecgjax: deep learning on the electrocardiogram in JAX.

Everything that users call is an attribute of the package:

    import ecgjax
    record = ecgjax.load("rec.hea")
    ecgjax.check(record).sentence

`import ecgjax` alone brings nothing along; each attribute is imported once it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgjax.api.check import Checked as Checked
    from ecgjax.api.check import check as check
    from ecgjax.api.check import check_all as check_all
    from ecgjax.api.digitize import digitize as digitize
    from ecgjax.api.info import info as info
    from ecgjax.api.plot import plot as plot
    from ecgjax.api.predict import Prediction as Prediction
    from ecgjax.api.predict import predict as predict
    from ecgjax.api.reconstruct import reconstruct as reconstruct
    from ecgjax.api.repair import repair as repair
    from ecgjax.errors import InputError as InputError
    from ecgjax.recordings.load import load as load
    from ecgjax.recordings.recording import Recording as Recording

_FOUND_IN = {
    "load": "ecgjax.recordings.load",
    "Recording": "ecgjax.recordings.recording",
    "InputError": "ecgjax.errors",
    "check": "ecgjax.api.check",
    "check_all": "ecgjax.api.check",
    "Checked": "ecgjax.api.check",
    "repair": "ecgjax.api.repair",
    "predict": "ecgjax.api.predict",
    "Prediction": "ecgjax.api.predict",
    "reconstruct": "ecgjax.api.reconstruct",
    "digitize": "ecgjax.api.digitize",
    "plot": "ecgjax.api.plot",
    "info": "ecgjax.api.info",
}
"""Name -> its module."""


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415

    return getattr(importlib.import_module(_FOUND_IN[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FOUND_IN})
