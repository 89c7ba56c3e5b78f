"""The HTML of a report: one file that needs nothing else, with its style and figures inside."""

import base64
import dataclasses
import html
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

_CSS = """
:root { --ink:#1c2128; --muted:#68707b; --rule:#e3e6ea; --wash:#f6f8f9; --accent:#0f6e84; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 2.1rem; letter-spacing: -0.02em; line-height: 1.15; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; letter-spacing: -0.01em; margin: 3.2rem 0 .4rem; padding-top: 1rem;
  border-top: 1px solid var(--rule); }
p { margin: .3rem 0 1rem; max-width: 70ch; }
.lead { color: var(--muted); margin-bottom: 1.8rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 1rem; margin: 1.5rem 0 1rem; }
.tile { background: var(--wash); border-radius: 10px; padding: 1rem 1.2rem; }
.tile b { display: block; font-size: 2rem; font-weight: 650; letter-spacing: -0.02em; line-height: 1.2;
  color: var(--accent); font-variant-numeric: tabular-nums; }
.tile span { display: block; font-size: .88rem; }
.tile small, .ci { color: var(--muted); font-variant-numeric: tabular-nums; }
.tile small { font-size: .82rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; font-size: .85rem; color: var(--muted); vertical-align: bottom; }
th, td { padding: .42rem .8rem; border-bottom: 1px solid var(--rule); white-space: nowrap; }
td { text-align: right; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.own { font-weight: 650; color: var(--ink); background: var(--wash); }
.ci { display: block; font-size: .78rem; font-weight: 400; }
figure { margin: 1rem 0 1.4rem; }
figure img { max-width: 100%; height: auto; display: block; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 0 1.5rem; }
figure.paper img { width: 100%; border: 1px solid #eeb4a8; border-radius: 6px; }
figcaption { color: var(--muted); font-size: .85rem; margin-top: .4rem; max-width: 75ch; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--accent); }
pre { background: var(--wash); padding: 1rem 1.2rem; border-radius: 10px; overflow-x: auto; font-size: .8rem;
  line-height: 1.45; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; font-size: .93rem; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { main { max-width: none; padding: 0; } h2, figure, table { break-inside: avoid; } }
"""

_SAVE = {"svg.fonttype": "path", "svg.hashsalt": "ecgjax", "savefig.facecolor": "auto"}
_PNG_DPI = 170


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading and what stands below it, as HTML."""

    title: str
    body: str


def escape(text: object) -> str:
    return html.escape(str(text))


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def image(figure: Figure, png: Path, alt: str, caption: str = "", css_class: str = "") -> str:
    """Writes the figure to `png` and returns it as an inline SVG picture."""
    svg = io.BytesIO()
    with matplotlib.rc_context(_SAVE):
        figure.savefig(png, dpi=_PNG_DPI)
        figure.savefig(svg, format="svg", metadata={"Date": None})
    data = base64.b64encode(svg.getvalue()).decode()
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    source = f"data:image/svg+xml;base64,{data}"
    return f'<figure class="{css_class}"><img src="{source}" alt="{escape(alt)}">{below}</figure>'


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
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}</style></head>\n<body><main>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>\n{body}</main></body></html>\n'
    )
