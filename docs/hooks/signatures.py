"""Functions, fields and methods of the code, as their docstrings describe them."""

import importlib
import inspect
import re
from typing import Any


def function(name: str) -> str:
    """Signature and docstring of `module:function`."""
    found = _find(name)
    signature = inspect.signature(found)
    shown = f"{name.replace('ecgjax.api.', 'ecgjax.').split(':')[-1]}{_wrapped(signature)}"
    return f"```text\n{shown}\n```\n\n{_prose(inspect.getdoc(found) or '')}"


def fields(name: str) -> str:
    """Table of the attributes that the docstring of a class `module:Class` lists, and its properties."""
    found = _find(name)
    summary, _, listed = (inspect.getdoc(found) or "").partition("Attributes:\n")
    types = {field: _type(kind) for field, kind in inspect.get_annotations(found).items()}
    rows = ["| attribute | type | |", "|---|---|---|"]
    for match in re.finditer(r"^  (\w+(?:, \w+)*): (.*(?:\n   .*)*)", listed, re.MULTILINE):
        for field in match[1].split(", "):
            rows.append(f"| `{field}` | `{types.get(field, '')}` | {_escaped(' '.join(match[2].split()))} |")
    described = {row.split("`")[1] for row in rows[2:]}
    rows += [f"| `{field}` | `{kind}` | |" for field, kind in types.items() if field not in described]
    for attribute, value in vars(found).items():
        if isinstance(value, property):
            kind = _type(inspect.signature(value.fget).return_annotation) if value.fget else ""
            rows.append(f"| `{attribute}` | `{kind}` | {_escaped(' '.join((inspect.getdoc(value) or '').split()))} |")
    return f"{_prose(summary.strip())}\n\n" + "\n".join(rows)


def protocol(name: str) -> str:
    """Table of the methods and properties of a class `module:Class`, with the first paragraph of their docstrings."""
    rows = ["| | |", "|---|---|"]
    for attribute, value in vars(_find(name)).items():
        if attribute.startswith("_") or (not isinstance(value, property) and not inspect.isfunction(value)):
            continue
        names = [] if isinstance(value, property) else [n for n in inspect.signature(value).parameters if n != "self"]
        call = attribute if isinstance(value, property) else f"{attribute}({', '.join(names)})"
        rows.append(f"| `{call}` | {_escaped(' '.join((inspect.getdoc(value) or '').split()))} |")
    return "\n".join(rows)


def _find(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _wrapped(signature: inspect.Signature) -> str:
    text = re.sub(r"\bnumpy\.|\bpathlib\.\w+\.|\bpathlib\.|ecgjax(\.\w+)+\.|collections\.abc\.", "", str(signature))
    return text if len(text) < 90 else text.replace(", ", ",\n    ").replace("(", "(\n    ", 1)


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:numpy|np|jax|pathlib|collections\.abc)\.|ecgjax(\.\w+)+\.", "", text)


def _prose(text: str) -> str:
    """A docstring as Markdown: `Raises:` and the like become lists, examples code."""
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    if text.startswith(">>> "):
        return f"```pycon\n{re.sub(r'  # doctest: .*', '', text)}\n```"
    text = re.sub(r"^(\w+):$", r"**\1**\n", text, flags=re.MULTILINE)
    return re.sub(r"^  (\w+): ", r"- `\1`: ", text, flags=re.MULTILINE)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
