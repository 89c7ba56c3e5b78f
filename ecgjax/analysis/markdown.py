"""Tables in Markdown, for the terminal and for files."""

from collections.abc import Sequence

import numpy as np

from ecgjax.metrics import Metric


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table whose columns are also aligned in plain text; numbers stand to the right."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]
    is_number = [i > 0 and all(_is_number(row[i]) for row in cells[1:]) for i in range(len(header))]
    rule = [f"{'-' * (width - 1)}:" if right else "-" * width for width, right in zip(widths, is_number, strict=True)]
    return "\n".join(_line(row, widths, is_number) for row in (cells[0], rule, *cells[1:]))


def _line(cells: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, is_number, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in "-+" or not text


def value_and_interval(metric: Metric | None) -> str:
    """`0.985 (0.972 to 0.993)`, `-` where there is no value."""
    if metric is None or not np.isfinite(metric.value):
        return "-"
    interval = "" if metric.ci95 is None else f" ({metric.ci95[0]:.3f} to {metric.ci95[1]:.3f})"
    return f"{metric.value:.3f}{interval}"
