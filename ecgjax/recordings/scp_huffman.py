"""Huffman codes of SCP-ECG (EN 1064, 5.5 and annex C): tables of prefixes, some followed by a plain number."""

import dataclasses

import numpy as np

from ecgjax.recordings.contents import FormatError

DEFAULT_TABLE = 19999


@dataclasses.dataclass(frozen=True)
class Code:
    """What one prefix means.

    Attributes:
      prefix: its bits, "110".
      num_bits: of the plain number after it, 0 for none.
      value: without a number: the value, or, where `switches`, the table to go on with.
    """

    prefix: str
    num_bits: int
    switches: bool
    value: int


Table = dict[str, Code]


def _default() -> Table:
    codes = [Code("0", 0, False, 0)]
    for value in range(1, 9):
        codes += [Code("1" * value + "0" + sign, 0, False, s * value) for sign, s in (("0", 1), ("1", -1))]
    codes += [Code("1" * 9 + "0", 8, False, 0), Code("1" * 10, 16, False, 0)]
    return {code.prefix: code for code in codes}


DEFAULT: Table = _default()
"""Of the standard: 0 is `0`, 1 is `100`, -1 `101`, 2 `1100`... 8; else 8 or 16 plain bits."""


def read_tables(section: bytes) -> list[Table]:
    """The tables of section 2."""
    num_tables = int.from_bytes(section[:2], "little")
    if num_tables == DEFAULT_TABLE:
        return [DEFAULT]
    tables, at = [], 2
    for _ in range(num_tables):
        num_codes = int.from_bytes(section[at : at + 2], "little")
        at += 2
        if not 0 < num_codes <= 4096 or at + 9 * num_codes > len(section):
            raise FormatError("a Huffman table is longer than its section")
        codes = [_code(section[at + 9 * k : at + 9 * k + 9]) for k in range(num_codes)]
        tables.append({code.prefix: code for code in codes})
        at += 9 * num_codes
    if not tables:
        raise FormatError("its section of Huffman tables holds none")
    return tables


def _code(entry: bytes) -> Code:
    prefix_bits, all_bits, mode = entry[:3]
    if not 0 < prefix_bits <= 32 or not prefix_bits <= all_bits <= prefix_bits + 32:
        raise FormatError(f"a Huffman prefix has {prefix_bits} of {all_bits} bits")
    # The first bit that is sent is the lowest of the base code.
    prefix = f"{int.from_bytes(entry[5:9], 'little'):032b}"[::-1][:prefix_bits]
    return Code(prefix, all_bits - prefix_bits, mode == 0, int.from_bytes(entry[3:5], "little", signed=True))


def decode(data: bytes, tables: list[Table], num_samples: int) -> np.ndarray:
    """int64 [num_samples], beginning with the first table."""
    bits = "".join(f"{byte:08b}" for byte in data)
    longest = max(len(prefix) for table in tables for prefix in table)
    table, at, samples = tables[0], 0, np.zeros(num_samples, np.int64)
    found = 0
    while found < num_samples:
        for length in range(1, longest + 1):
            code = table.get(bits[at : at + length])
            if code is not None:
                break
        else:
            raise FormatError(f"bits {bits[at : at + 12] or 'beyond the end'} are no Huffman code")
        at += len(code.prefix)
        if code.switches:
            if not 0 < code.value <= len(tables):
                raise FormatError(f"a Huffman code leads to table {code.value} of {len(tables)}")
            table = tables[code.value - 1]
            continue
        if code.num_bits:
            plain = bits[at : at + code.num_bits]
            if len(plain) < code.num_bits:
                raise FormatError("its Huffman codes end too early")
            at += code.num_bits
            samples[found] = int(plain, 2) - (int(plain[0]) << code.num_bits)
        else:
            samples[found] = code.value
        found += 1
    return samples
