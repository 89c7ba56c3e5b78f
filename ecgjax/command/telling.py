"""What a command says while it works through its inputs: lines or JSON, what failed, and its exit status."""

import argparse
import collections
import sys
from collections.abc import Sequence
from typing import Any

from ecgjax.command import table
from ecgjax.command.inputs import Input, Inputs
from ecgjax.command.rows_file import RowsFile
from ecgjax.errors import InputError
from ecgjax.recordings.load import shown

FAILED = "failed"


class Telling:
    """Says one line on each input, and at the end what could not be done."""

    def __init__(self, found: Inputs, args: argparse.Namespace, verdicts: Sequence[str], rows: RowsFile | None = None):
        """Of commands with the options of `options.add_talk`; `verdicts` are those that stand beside names, if any."""
        self._found, self._is_json, self._is_quiet, self._rows = found, args.json, args.quiet, rows
        self._table = table.table_for([one.name for one in found.files], (*verdicts, FAILED) if verdicts else ())
        self._has_verdicts = bool(verdicts)
        self.counts: collections.Counter[str] = collections.Counter()

    def done(
        self,
        one: Input,
        values: dict[str, Any],
        text: str,
        *,
        verdict: str = "",
        meant: str = "plain",
        below: Sequence[str] = (),
    ) -> None:
        """What was found: `values` for machines, `text` for people, and for a single input the lines `below` it.

        With --quiet only what is meant as bad or in doubt is said.
        """
        self.counts[verdict] += 1
        values = {"record": one.name, "path": str(one.path), **values}
        line = self._table.line(one.name, verdict, text, meant)
        self._say(values, "\n".join([line, *(below if self._found.is_single else ())]), meant in ("plain", "good"))

    def failed(self, one: Input, error: InputError) -> None:
        """Says why nothing could be done with it; raises the error where it is the only one."""
        if self._found.is_single:
            raise error
        self.counts[FAILED] += 1
        reason = str(error).removeprefix(f"{shown(one.path)}: ")
        text = reason if self._has_verdicts else f"{FAILED}: {reason}"
        line = self._table.line(one.name, FAILED if self._has_verdicts else "", text, "bad")
        self._say({"record": one.name, "path": str(one.path), "error": str(error)}, line, is_unimportant=False)

    def _say(self, values: dict[str, Any], line: str, is_unimportant: bool) -> None:
        if self._rows is not None:
            self._rows.add(values)
        if self._is_json:
            table.say(table.json_line(values))
        elif not (self._is_quiet and is_unimportant):
            table.say(line)

    def end(self) -> int:
        """Writes the rows, says how many there were of each verdict, and returns 1 where something failed, else 0.

        Raises:
          InputError: everything failed.
        """
        if self._rows is not None:
            self._rows.write()
        num_files, num_failed = len(self._found.files), self.counts[FAILED]
        if self._has_verdicts and not (self._is_json or self._is_quiet or self._found.is_single):
            counts = [f"{number} {verdict}" for verdict, number in self.counts.most_common()]
            table.say(f"{table.counted(num_files, 'record')}: {', '.join(counts)}{self._left_out()}")
        if num_failed == num_files:
            raise InputError(f"nothing could be done with any of the {num_files} files", "see what is said of each")
        if num_failed and not self._is_quiet:
            print(f"nothing could be done with {num_failed} of {num_files} files", file=sys.stderr)
        return 1 if num_failed else 0

    def _left_out(self) -> str:
        kinds = [f"{number} {ending}" for ending, number in sorted(self._found.left_out.items())]
        return f"; left out, no recordings: {table.listed(kinds)}" if kinds else ""
