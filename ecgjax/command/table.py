"""Lines for people: a table as wide as the terminal, in colour where that is wanted, or JSON for programs."""

import dataclasses
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")

COLOURS = {"good": "32", "bad": "31", "doubt": "33", "plain": ""}
"""How a line is meant -> SGR code."""

NARROWEST_TEXT, WIDEST_NAME_SHARE = 28, 0.4
_PIPED_COLUMNS = 10**6
"""What is not read on a terminal is not wrapped."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Lines of a name, a short verdict and a sentence.

    Attributes:
      name_width, verdict_width: of the first two columns.
      columns: of the terminal.
      is_coloured: whether verdicts are.
    """

    name_width: int
    verdict_width: int
    columns: int
    is_coloured: bool

    def line(self, name: str, verdict: str, text: str, meant: str = "plain") -> str:
        """One entry; its text is wrapped under its column or, where that is too narrow, under the name."""
        name = _shortened(name, self.name_width)
        code = COLOURS[meant]
        shown = f"{verdict:<{self.verdict_width}}"
        if code and self.is_coloured:
            shown = f"\x1b[{code}m{shown}\x1b[0m"
        before = f"{name:<{self.name_width}}  {shown}  " if self.verdict_width else f"{name:<{self.name_width}}  "
        indent = self.name_width + 2 + (self.verdict_width + 2 if self.verdict_width else 0)
        if self.columns - indent < NARROWEST_TEXT:
            return "\n".join([f"{name}  {shown}".rstrip(), *_wrapped(text, self.columns - 2, "  ")])
        first, *rest = _wrapped(text, self.columns - indent, " " * indent) or [""]
        return "\n".join([f"{before}{first.strip()}".rstrip(), *rest])


def table_for(names: Iterable[str], verdicts: Iterable[str]) -> Table:
    """One that fits these names and verdicts, and the terminal."""
    is_terminal = sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if is_terminal else _PIPED_COLUMNS
    longest = max(map(len, names), default=0)
    return Table(
        name_width=min(longest, max(8, int(WIDEST_NAME_SHARE * columns))),
        verdict_width=max(map(len, verdicts), default=0),
        columns=columns,
        is_coloured=is_terminal and not os.environ.get("NO_COLOR"),
    )


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return [indent + line for line in textwrap.wrap(text, max(width, 20), break_on_hyphens=False)]


def _shortened(name: str, width: int) -> str:
    """The end of a long name says more than its beginning."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


def json_line(values: dict[str, Any]) -> str:
    """An object on one line; numbers that are not finite are null."""
    return json.dumps(_finite(values), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and value - value != 0 else value


def say(text: str) -> None:
    """Prints to stdout at once, above a progress bar if there is one."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm  # noqa: PLC0415 - where there is no bar it is not needed

        with tqdm.external_write_mode():
            print(text, flush=True)
    else:
        print(text, flush=True)


def with_progress(items: Iterable[Item], total: int, is_quiet: bool, unit: str = "record") -> Iterator[Item]:
    """The items, counted by a bar on stderr where that is a terminal and there is more than one."""
    if is_quiet or total < 2 or not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm  # noqa: PLC0415

    yield from tqdm(items, total=total, unit=unit, leave=False, dynamic_ncols=True)


def counted(number: int, what: str) -> str:
    """`1 record`, `2 records`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
