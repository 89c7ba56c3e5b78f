"""What a browser sends with a form: files, which become a recording and are gone again."""

import re
import tempfile
from pathlib import Path

from ecgjax.errors import InputError
from ecgjax.recordings.load import load
from ecgjax.recordings.recording import Recording

MOST_FILES = 16
_LONGEST_NAME = 100
_BOUNDARY = re.compile(r'boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?\s*$')
_FILE_NAME = re.compile(rb'filename="((?:[^"\\\r\n]|\\.)*)"')
_HEADER_SUFFIX = ".hea"


def files_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """Safe name -> content of the files in a multipart/form-data body (RFC 7578).

    Raises:
      InputError: it is none, or holds no file or too many.
    """
    found = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/form-data") or found is None:
        raise InputError("what was sent is no form with files", "send files from the page")
    files: dict[str, bytes] = {}
    # The first boundary has no line before it.
    for part in (b"\r\n" + body).split(b"\r\n--" + found[1].encode())[1:]:
        header, separator, content = part.partition(b"\r\n\r\n")
        name = _FILE_NAME.search(header)
        if not separator or name is None or not name[1]:
            continue
        safe = safe_name(name[1].decode("utf-8", "replace"))
        if safe in files:
            raise InputError(f"two files are named {safe}", "rename one of them")
        files[safe] = content
    if not 0 < len(files) <= MOST_FILES:
        raise InputError(f"{len(files) or 'no'} files were sent", f"send 1 to {MOST_FILES}")
    return files


def safe_name(name: str) -> str:
    """The last part of a path, of letters, digits, `.`, `_` and `-` only and not hidden."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^0-9A-Za-z._-]", "_", last).lstrip(".-")[-_LONGEST_NAME:] or "file"


def recording_of(files: dict[str, bytes]) -> Recording:
    """The one recording in these files, which lie on disk only while they are read.

    Raises:
      InputError: they are not one recording, or it cannot be read.
    """
    headers = [name for name in files if name.lower().endswith(_HEADER_SUFFIX)]
    main = headers or list(files)
    if len(main) > 1:
        listed = ", ".join(main[:4]) + (", …" if len(main) > 4 else "")
        raise InputError(
            f"these are several recordings: {listed}", "give one, or the header of a WFDB record and its signal files"
        )
    with tempfile.TemporaryDirectory(prefix="ecgjax-") as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        try:
            return load(Path(folder, main[0]))
        except InputError as error:
            problem, _, remedy = str(error).replace(f"{folder}/", "").rpartition("; ")
            raise InputError(problem, remedy) from None
