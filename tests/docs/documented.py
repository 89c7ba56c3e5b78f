"""What the README and the pages of docs/ tell their reader to type, found by reading them."""

import dataclasses
import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "hooks"))
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FOLLOWED = [page for page in PAGES if page.parent.name == "howto"]
"""What these say holds where their changes are made; tests/docs/test_examples.py makes them."""

PROGRAMS = (
    "python",
    "ecgjax",
    "pip",
    "pytest",
    "mkdocs",
    "sbatch",
    "kubectl",
    "docker",
    "mpirun",
    "tensorboard",
    "git",
)
_TRAIN = ("python", "-m", "ecgjax.main")
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(rf"^    ((?:{'|'.join(PROGRAMS)}) .*)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
_AFTER = re.compile(r"command.*after `([^`]+)`")
_SCRIPT = re.compile(r"(?:scripts/)?(\w+\.py)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, and the line of the page on which it begins."""

    page: Path
    line: int
    language: str
    text: str


@dataclasses.dataclass(frozen=True)
class Command:
    """What a page says to type, as a shell splits it.

    `is_whole` is false for the mention of an option or of a script with one option, which could not be typed as it is.
    """

    page: str
    line: int
    words: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        return shlex.join(self.words)


@cache
def text_of(page: Path) -> str:
    """A page; what is made from the programs has commands, too."""
    text = page.read_text()
    if "<!-- subcommands: -->" not in text:
        return text
    from generated import generated  # noqa: PLC0415 - it imports every subcommand

    return generated(text)


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """The fenced blocks of a page, in order."""
    text = text_of(page)
    return tuple(
        Block(page, text[: match.start()].count("\n") + 2, match[2], re.sub(rf"^{match[1]}", "", match[3], flags=re.M))
        for match in _FENCE.finditer(text)
    )


@cache
def commands(page: Path) -> tuple[Command, ...]:
    """The commands of a page: of its bash blocks, of lines indented as code, of tables and in the text."""
    text, name = text_of(page), str(page.relative_to(ROOT))
    found = [
        Command(name, block.line + line, words, is_whole=True)
        for block in blocks(page)
        if block.language in ("bash", "")
        for line, words in _shell_lines(block.text)
        if block.language == "bash" or (not block.language and words[0] in PROGRAMS)
    ]
    prose = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in _INDENTED.finditer(prose):
        line = prose[: match.start()].count("\n") + 1
        found += [Command(name, line, words, is_whole=True) for _, words in _shell_lines(match[1])]
    for line, words, is_whole in _spans(_INDENTED.sub("", prose)):
        found.append(Command(name, line, words, is_whole))
    return tuple(found)


def links(page: Path) -> Iterator[str]:
    """Targets of links and pictures of a page, without those of other sites."""
    prose = _FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose):
        link = target[0] or target[1]
        if not re.match(r"\w+:", link):
            yield link


def sections(page: Path) -> Iterator[tuple[int, str]]:
    """Line and text from each heading of second or lower level to the next."""
    text = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text())
    starts = [0, *(match.start() for match in re.finditer(r"^##", text, re.MULTILINE)), len(text)]
    for start, end in itertools.pairwise(starts):
        yield text[:start].count("\n") + 1, text[start:end]


def _shell_lines(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Lines as a shell joins and splits them, optional parts as if they were given: number from 0, words."""
    joined, begun = "", 0
    for number, line in enumerate(text.splitlines()):
        begun = begun if joined else number
        joined += line
        if joined.endswith("\\"):
            joined = joined[:-1]
            continue
        try:
            words = shlex.split(joined, comments=True)
        except ValueError:  # an apostrophe: no shell
            words = []
        joined = ""
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            command = [re.sub(r"\[,\w+\.\.\.\]$|^\[(.*)\]$", r"\1", word) for word in words[:end]]
            while command and re.fullmatch(r"time|[A-Z_]+=\S*", command[0]):  # variables, and what only measures
                command.pop(0)
            command = command[: command.index(">")] if ">" in command else command
            if command:
                yield begun, tuple(command)
            words = words[end + 1 :]


def _spans(prose: str) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """Commands and mentions among the inline code, with their lines."""
    line, prefix = 1, ""
    for paragraph in re.split(r"\n(?=\||\n)", prose):  # a row of a table is one by itself
        row = paragraph.strip()
        if not row.startswith("|"):
            prefix = ""
        is_head = False
        if row.startswith("|") and (header := _AFTER.search(row)):
            prefix, is_head = header[1], True
        for match in [] if is_head else _SPAN.finditer(paragraph):
            code = re.sub(r"\s*\n\s*", " ", match[1])
            if code.startswith("...") and (known := _continued(code, prose)):
                code = known
            words, is_whole = _read_span(code, prefix)
            if words:
                yield line + paragraph[: match.start()].count("\n"), words, is_whole
        line += paragraph.count("\n") + 1


def _continued(code: str, prose: str) -> str | None:
    """`...labels=superclass,x` is a command of the page up to its `labels=superclass`, and then goes on as it says."""
    key = re.split(r"[, ]", code.removeprefix("..."))[0]
    for command in (match[1] for match in _SPAN.finditer(prose)):
        if key and command.startswith("--config=") and key in command:
            return command[: command.index(key)] + code.removeprefix("...")
    return None


def _read_span(code: str, prefix: str) -> tuple[tuple[str, ...], bool]:
    """Words of inline code and whether it is a whole command; no words for anything else."""
    words = next(_shell_lines(code), (0, ()))[1]
    first = words[0] if words else ""
    script = _SCRIPT.fullmatch(first)
    if first in PROGRAMS:
        # A bare program or module is only spoken of.
        return words, len(words) > (3 if words[1:2] == ("-m",) else 2 if first == "python" else 1)
    if first == "-m":
        found = ("python", *words), True
    elif first.startswith("--config=configs/"):
        found = (*_TRAIN, *words), True
    elif re.match(r"configs/\w+\.py:", first):
        found = (*_TRAIN, f"--config={first}", *words[1:]), False
    elif prefix and first.startswith("--"):
        found = (*prefix.split(), *words), True
    elif script and (ROOT / "scripts" / script[1]).is_file():
        path = f"scripts/{script[1]}"
        found = ("python", path, *words[1:]), first == path and len(words) > 1
    else:
        found = (words if first.startswith("--") else ()), False
    return found
