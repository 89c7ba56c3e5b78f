"""Python on the pages runs as it stands, block after block."""

import contextlib
import io
import re

import documented
import pytest
from documented import FOLLOWED, PAGES, ROOT
from made_files import Made

LANGUAGES = ("python", "py")
EXPORTED = "exported/"
"""Named on pages that read what scripts/export.py wrote."""
SLOW = (pytest.mark.slow, pytest.mark.timeout(900))
WITH_PYTHON = [
    pytest.param(page, marks=SLOW if re.search(f"train_and_evaluate|{EXPORTED}", page.read_text()) else ())
    for page in PAGES
    if page not in FOLLOWED and any(block.language in LANGUAGES for block in documented.blocks(page))
]
BUNDLED = ROOT / "ecgjax" / "weights"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The current folder holds what the pages name."""
    made = Made(tmp_path, None)
    for path in made.records().glob("rec0.*"):
        (tmp_path / f"rec{path.suffix}").write_bytes(path.read_bytes().replace(b"rec0", b"rec"))
    made.table()
    (tmp_path / "runs").mkdir()
    for name, task in {"ptbxl": "reversal", "superclass": "diagnosis", "age": "age"}.items():
        (tmp_path / "runs" / name).symlink_to(BUNDLED / task)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page, files):
    if EXPORTED in page.read_text():
        pytest.importorskip("onnxruntime")
        data = ("--dataset=simulated/smoke", f"--data_dir={files.data_dir}", "--records=4")
        files.call(
            "scripts/export.py", "--workdir=bundled", "--task=reversal", f"--output={files.folder / EXPORTED}", *data
        )
    names: dict[str, object] = {}
    for block in documented.blocks(page):
        if block.language in LANGUAGES:
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            with contextlib.redirect_stdout(io.StringIO()):
                exec(code, names)
    assert len(names) > 1, "nothing was named"
