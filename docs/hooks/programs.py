"""Files as they are, scripts and subcommands as they describe themselves."""

import argparse
import ast
import importlib
import inspect
import re
from pathlib import Path

from ecgjax.command import main

_ROOT = Path(__file__).parents[2]


def shown_file(what: str) -> str:
    """The text of `FILE as TITLE`, both from the root of the repository."""
    name, _, title = what.partition(" as ")
    return f'```python title="{title}"\n{(_ROOT / name).read_text()}```'


def script_table(_: str) -> str:
    """First sentence of each script and its options."""
    rows = ["| script | what it does | options |", "|---|---|---|"]
    for path in sorted((_ROOT / "scripts").glob("*.py")):
        tree = ast.parse(path.read_text())
        summary = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
        options = [
            f"`--{node.args[0].value}`"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr.startswith("DEFINE_")
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ]
        rows.append(f"| `scripts/{path.name}` | {summary} | {', '.join(options)} |")
    return "\n".join(rows)


def _as_code(lines: re.Match[str]) -> str:
    commands = "\n".join(line.strip() for line in lines[1].splitlines())
    return f"```bash\n{commands}\n```\n"


def subcommands(_: str) -> str:
    """The subcommands of `ecgjax`, each with what its module says and its options."""
    parts = []
    for name, (_, path) in main.COMMANDS.items():
        module = importlib.import_module(path)
        parser = main.Parser(prog=f"ecgjax {name}")
        module.add_arguments(parser)
        said = re.sub(r"((?:^  ecgjax .*\n?)+)", _as_code, inspect.getdoc(module) or "", flags=re.MULTILINE)
        rows = [f"## ecgjax {name}", "", said, "", "| | |", "|---|---|"]
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                option = ", ".join(action.option_strings)
                value = "" if action.nargs == 0 else str(action.metavar or action.dest)
                meaning = parser._get_formatter()._expand_help(action) if action.help else ""
                rows.append(f"| `{'='.join(filter(None, (option, value)))}` | {meaning} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)
