"""The native library: compiled once, and missed without harm."""

import os
import subprocess
import sys

import pytest

from ecgjax.native import library

LOAD = "from ecgjax.native import library; print(library.load())"


def load(home, **environment):
    """Whether a new process has native code, and what it says."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        env={**os.environ, "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() == "True", done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Of someone whose machine has compiled it."""
    folder = tmp_path_factory.mktemp("home")
    is_loaded, said = load(folder)
    if not is_loaded:
        pytest.skip(said)
    return folder


def test_it_is_compiled_once(home):
    kept = list(home.rglob("*.so"))
    assert len(kept) == 1
    # No compiler is needed any more.
    assert load(home, PATH="", CXX="") == (True, "")
    assert list(home.rglob("*.so")) == kept


@pytest.mark.parametrize(
    ("compiler", "problem"),
    [
        (None, "no C++ compiler: neither c++, g++, clang++ nor $CXX is one"),
        ("#!/bin/sh\necho 1.cc: no >&2; exit 1", "1.cc: no"),
    ],
)
def test_without_a_compiler_xla_does_it(compiler, problem, tmp_path):
    if compiler is not None:
        (tmp_path / "c++").write_text(compiler)
        (tmp_path / "c++").chmod(0o755)
    is_loaded, said = load(tmp_path, PATH=str(tmp_path), CXX="")
    assert not is_loaded
    assert said.strip().endswith(f"kernels' gradients are left to XLA, which takes longer: {problem}")
    assert len(said.strip().splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_done_without(home, tmp_path):
    (tmp_path / ".cache").write_text("")
    (tmp_path / "c++").write_text(f"""#!/bin/sh\nfor last; do :; done\ncp {next(home.rglob("*.so"))} "$last"\n""")
    (tmp_path / "c++").chmod(0o755)
    assert load(tmp_path, CXX=str(tmp_path / "c++")) == (True, "")
    assert not list(tmp_path.rglob("*.so"))


def test_other_devices_need_none(monkeypatch):
    monkeypatch.setattr(library.jax, "default_backend", lambda: "gpu")
    assert not library.load.__wrapped__()
