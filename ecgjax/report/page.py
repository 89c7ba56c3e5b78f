"""The HTML of a report: headings, tables and figures, which stand inside the page."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from ecgjax.viewer.document import document, escape

_SAVE = {"svg.fonttype": "path", "svg.hashsalt": "ecgjax", "savefig.facecolor": "auto"}
_PNG_DPI = 170


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading and what stands below it, as HTML."""

    title: str
    body: str


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def image(figure: Figure, png: Path, alt: str, caption: str = "", css_class: str = "") -> str:
    """Writes the figure to `png` and returns it as an inline SVG picture."""
    save_png(figure, png)
    svg = io.BytesIO()
    with matplotlib.rc_context(_SAVE):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    data = base64.b64encode(svg.getvalue()).decode()
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    source = f"data:image/svg+xml;base64,{data}"
    return f'<figure class="{css_class}"><img src="{source}" alt="{escape(alt)}">{below}</figure>'


def save_png(figure: Figure, png: Path) -> None:
    """Writes the figure to `png`."""
    with matplotlib.rc_context(_SAVE):
        figure.savefig(png, dpi=_PNG_DPI)


def side_by_side(pictures: Sequence[str]) -> str:
    return f'<div class="pair">{"".join(pictures)}</div>'


def tiles(entries: Sequence[tuple[str, str, str]]) -> str:
    """Big figures: name, value, interval."""
    cells = (
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b><small>{escape(interval)}</small></div>'
        for name, value, interval in entries
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def table(header: Sequence[str], rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """Rows of a name and, for each column, a value and its interval; the first column of values is ours."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = []
    for name, cells in rows:
        columns = "".join(
            f'<td class="{"own" if own else ""}">{escape(value)}<span class="ci">{escape(interval)}</span></td>'
            for own, (value, interval) in zip([True] + [False] * len(cells), cells, strict=False)
        )
        body.append(f"<tr><td>{escape(name)}</td>{columns}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def definitions(entries: Sequence[tuple[str, object]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
    return f"<dl>{rows}</dl>"


def folded(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The whole document; a section without a title continues the head of the page."""
    body = "".join(
        (f"<section><h2>{escape(section.title)}</h2>" if section.title else "<section>") + f"{section.body}</section>\n"
        for section in sections
    )
    return document(title, f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>\n{body}', of="ecgjax report")
