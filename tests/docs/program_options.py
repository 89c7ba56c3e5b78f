"""Which options programs take, as their source defines them: none has to be imported."""

import ast
import functools
import importlib

from documented import ROOT

TRAINED_WITH = "ecgjax/main.py"
MODULES = {"ecgjax.main": TRAINED_WITH, "data_prep": "data_prep/__main__.py"}
"""What follows `python -m` -> its file."""


@functools.cache
def programs() -> tuple[str, ...]:
    scripts = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").glob("*.py"))
    return (*MODULES.values(), *scripts)


@functools.cache
def options_of(program: str) -> dict[str, tuple[str, ...]]:
    """Options that a program defines, with their choices; () where anything goes."""
    tree = ast.parse((ROOT / program).read_text())
    imported = {
        alias.asname or alias.name: f"{node.module}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip
    found: dict[str, tuple[str, ...]] = {}
    if program != TRAINED_WITH and "main" in imported:
        found |= options_of(TRAINED_WITH)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        name = node.args[0]
        if node.func.attr.startswith("DEFINE_") and isinstance(name, ast.Constant):
            is_enum = node.func.attr == "DEFINE_enum" and isinstance(node.args[2], ast.List | ast.Tuple)
            listed = [getattr(choice, "value", "") for choice in node.args[2].elts] if is_enum else []
            found[name.value] = tuple(listed) if all(isinstance(choice, str) and choice for choice in listed) else ()
    for loop in (node for node in ast.walk(tree) if isinstance(node, ast.For) and isinstance(node.iter, ast.Name)):
        if "DEFINE_" in ast.unparse(loop) and loop.iter.id in imported:
            values = getattr(importlib.import_module(imported[loop.iter.id]), loop.iter.id)
            found |= dict.fromkeys(values, ())
    return found


@functools.cache
def needed(program: str) -> tuple[str, ...]:
    """Options that a program does not run without."""
    calls = [node for node in ast.walk(ast.parse((ROOT / program).read_text())) if isinstance(node, ast.Call)]
    return tuple(
        node.args[0].value
        for node in calls
        if any(key.arg == "required" and ast.unparse(key.value) == "True" for key in node.keywords)
        and isinstance(node.args[0], ast.Constant)
    )
