"""A table of results in a file: CSV or JSON lines."""

import csv
import io
from pathlib import Path
from typing import Any

from ecgjax.command.table import json_line
from ecgjax.errors import InputError
from ecgjax.recordings.write_wfdb import check_free

ENDINGS = (".csv", ".jsonl", ".json")


class RowsFile:
    """Rows that are written together at the end, so that the file is whole or not there."""

    def __init__(self, path: Path | None):
        """Of the kind that the ending of `path` says; None writes nothing.

        Raises:
          InputError: it ends otherwise, is there already or cannot be made.
        """
        self._path = path
        self._rows: list[dict[str, Any]] = []
        if path is None:
            return
        if path.suffix.lower() not in ENDINGS:
            raise InputError(f"--output is {path}", f"give a file that ends in {' or '.join(ENDINGS)}")
        check_free(path)
        if not path.parent.is_dir():
            raise InputError(f"there is no folder {path.parent}", "make it, or give another --output")

    def add(self, row: dict[str, Any]) -> None:
        """One more."""
        if self._path is not None:
            self._rows.append(row)

    def write(self) -> None:
        """Makes the file."""
        if self._path is None:
            return
        draft = self._path.with_name(f".incomplete.{self._path.name}")
        if self._path.suffix.lower() == ".csv":
            draft.write_text(_as_csv(self._rows), newline="")
        else:
            draft.write_text("".join(f"{json_line(row)}\n" for row in self._rows))
        check_free(self._path)
        draft.rename(self._path)


def _as_csv(rows: list[dict[str, Any]]) -> str:
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Objects within become columns `name.key`, lists one text."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": one for key, one in _flat(value).items()}
        elif isinstance(value, list | tuple):
            flat[name] = "; ".join(_as_text(one) for one in value)
        else:
            flat[name] = value
    return flat


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("sentence") or ", ".join(f"{key} {one}" for key, one in value.items()))
    return str(value)
