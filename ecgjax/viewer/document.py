"""The HTML document that all pages are: one file with its style, script and signals inside, which loads nothing."""

import base64
import functools
import hashlib
import html
from collections.abc import Sequence
from importlib import resources

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0f6e84"/>'
    '<path d="M3 18h7l2-3 2 3h2l2-12 3 19 2-7h6" fill="none" stroke="#fff" stroke-width="2.2" '
    'stroke-linejoin="round"/></svg>'
)


def escape(text: object) -> str:
    return html.escape(str(text))


@functools.cache
def part(name: str) -> str:
    """The text of a style or script file beside this one."""
    return (resources.files("ecgjax.viewer") / name).read_text(encoding="utf-8")


def policy(scripts: Sequence[str], *more: str) -> str:
    """A Content-Security-Policy under which only these scripts run and nothing is loaded; `more` directives follow."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    directives = (
        "default-src 'none'",
        f"script-src {hashes or chr(39) + 'none' + chr(39)}",
        "style-src 'unsafe-inline'",
    )
    return "; ".join((*directives, "img-src data:", "base-uri 'none'", *more))


def document(title: str, body: str, *, of: str, scripts: Sequence[str] = ("viewer.js",), home: str = "") -> str:
    """The whole page around `body`. Browsers keep it from any network.

    `of` stands at its upper left, or a link to the address `home` if there is one.
    """
    texts = [part(name) for name in scripts]
    running = "".join(f"<script>{text}</script>" for text in texts)
    left = f'<a href="{escape(home)}">← Check another recording</a>' if home else f"<span>{escape(of)}</span>"
    theme = '<button type="button" data-switch="theme" hidden>Theme: auto</button>' if "viewer.js" in scripts else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(texts))}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f'<link rel="icon" href="data:image/svg+xml;base64,{base64.b64encode(_ICON.encode()).decode()}">'
        f"<style>{part('page.css')}{part('viewer.css')}</style></head>\n"
        f'<body><main><div class="top">{left}{theme}</div>\n{body}</main>{running}</body></html>\n'
    )
