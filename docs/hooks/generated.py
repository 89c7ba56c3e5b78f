"""Parts of pages that are made from the code while the site is built, so that they cannot fall behind it.

`<!-- MAKER: WHAT -->` on a line by itself gives way to what the maker of that name says about WHAT.
"""

import re
import sys
from pathlib import Path
from typing import Any

# mkdocs knows neither the repository nor this folder.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import config_fields  # noqa: E402
import programs  # noqa: E402
import signatures  # noqa: E402

MAKERS = {
    "config": config_fields.task_table,
    "common config": config_fields.common_table,
    "datasets": config_fields.dataset_table,
    "fields": signatures.fields,
    "file": programs.shown_file,
    "function": signatures.function,
    "protocol": signatures.protocol,
    "scripts": programs.script_table,
    "subcommands": programs.subcommands,
}
_MARK = re.compile(rf"^<!-- ({'|'.join(MAKERS)}): ?(.*?) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs with the text of each page."""
    return generated(markdown)


def generated(markdown: str) -> str:
    """The page with its marks filled in."""
    return _MARK.sub(lambda mark: MAKERS[mark[1]](mark[2]), markdown)
