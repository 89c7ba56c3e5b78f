"""Parquet tables, one lead a column."""

from pathlib import Path

import numpy as np

from ecgjax.recordings.contents import Contents, FormatError, Stated, check_size
from ecgjax.recordings.tables import columns_to_channels, split_unit

_MAX_BYTES = 2**30


def read(path: Path, stated: Stated) -> Contents:
    """The columns of numbers; one of time gives the rate."""
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
    except ImportError:
        raise FormatError("pyarrow, which reads it, is not installed: run pip install pyarrow") from None
    del stated
    import pyarrow.types as kinds  # type: ignore[import-untyped]  # noqa: PLC0415

    file = pyarrow.parquet.ParquetFile(path)
    fields = [f for f in file.schema_arrow if kinds.is_floating(f.type) or kinds.is_integer(f.type)]
    check_size(file.metadata.num_rows, len(fields))
    groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
    if not 0 <= sum(group.total_byte_size for group in groups) <= _MAX_BYTES:
        raise FormatError(f"its columns are larger than {_MAX_BYTES >> 20} MB")
    table = file.read(columns=[field.name for field in fields], use_threads=False)
    if table.num_rows != file.metadata.num_rows or table.num_columns != len(fields):
        raise FormatError("several of its columns have one name")
    columns = [np.asarray(column.to_numpy(), float) for column in table.columns]
    notes: list[str] = []
    names, units = zip(*(split_unit(field.name) for field in fields), strict=True)
    return Contents("Parquet", columns_to_channels(list(names), list(units), columns, notes), "", {}, notes)
