"""Configs that another version of ecgjax wrote: options that are missing or unknown, told by their names."""

import contextlib
import re
from collections.abc import Iterator

from ecgjax.errors import InputError

# What Python says where a dataclass, as tasks and networks are, is made with the wrong fields.
_WRONG_FIELD = re.compile(r"(\w+)\.__init__\(\) (missing|got an unexpected) .*?'(\w+)'.*")
_OR_ELSE = "or use the version of ecgjax that wrote the config"


def missing_option(name: object) -> InputError:
    """What to raise where a config lacks an option."""
    return InputError(f"the config lacks the option {name!r}", f"add it as configs/ describes it, {_OR_ELSE}")


@contextlib.contextmanager
def fitting_options() -> Iterator[None]:
    """For making something of the options of a config.

    Raises:
      InputError: one is missing, or nothing takes it.
    """
    try:
        yield
    except KeyError as error:
        raise missing_option(error.args[0]) from error
    except TypeError as error:
        found = _WRONG_FIELD.fullmatch(str(error))
        if found is None:
            raise
        kind, what, name = found.groups()
        if what == "missing":
            raise missing_option(name) from error
        raise InputError(
            f"the config has an option {name!r}, which {kind} does not take", f"remove it, {_OR_ELSE}"
        ) from error
