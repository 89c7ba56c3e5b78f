from pathlib import Path

import pytest

from data_prep.build import Options
from data_prep.prepare import prepare


@pytest.fixture
def prepare_into(tmp_path: Path):
    """Prepares a raw folder into `tmp_path/out`, in this process unless told otherwise."""

    def run(dataset: str, raw_dir: Path, skip_bad: bool = False, num_workers: int = 1) -> str:
        name, _, variant = dataset.partition("/")
        out = str(tmp_path / "out")
        prepare(name, variant, out, Options(raw_dir.resolve(), skip_bad, num_workers, beam=None))
        return out

    return run
