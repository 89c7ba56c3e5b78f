"""What tests share: CPU, the repository on the path, sample data, the fake task."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import pytest
from absl import flags

# Before JAX is imported: results are compared to the last bit, and tests run on any machine.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the time goes into compiling, which takes two thirds as long without the dearest optimisations. At level 0,
# XLA of jaxlib 0.10 gets gradients of convolutions wrong.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true")
# Many tests, the workers that share them and the processes that they start compile the same steps.
_COMPILED = None if "PYTEST_XDIST_WORKER" in os.environ else tempfile.TemporaryDirectory(prefix="ecgjax-tests-")
if _COMPILED is not None:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


def pytest_unconfigure() -> None:
    if _COMPILED is not None:
        _COMPILED.cleanup()


def pytest_configure(config: pytest.Config) -> None:
    # wfdb 4.3 on import, under pandas 3.1.
    config.addinivalue_line("filterwarnings", "ignore:The inplace keyword in DataFrame")
    # A step that another worker is just writing is compiled once more.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache entry")
    # Libraries read absl flags, which pytest does not parse.
    flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """Real records: $ECGJAX_TEST_DATA, or shared/data beside the repository."""
    folder = Path(os.environ.get("ECGJAX_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no sample data in {folder}; set ECGJAX_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator["browser.Browser"]:
    """A headless Chromium to click through pages; the tests of it that a worker has share one."""
    executable = browser.find()
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(browser.NAMES)} is installed")
    with browser.started(executable) as tab:
        yield tab


@pytest.fixture
def fake() -> Iterator[None]:
    """The loop finds the fake task, network and dataset."""
    import fake_task  # noqa: PLC0415 - JAX, which not every test needs

    with fake_task.installed():
        yield


@pytest.fixture(scope="session")
def start_fake() -> Iterator[Callable[..., subprocess.Popen]]:
    """`start_fake(*arguments, **environment)` starts tests/fake_run.py in a process of its own."""
    started = []

    def start(*arguments: object, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "tests/fake_run.py", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
