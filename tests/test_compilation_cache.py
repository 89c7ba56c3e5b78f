import os
import subprocess
import sys
import time
from unittest import mock

import pytest

from ecgjax import compilation_cache

COMPILED = """
import sys
import jax
from ecgjax.compilation_cache import keep_compiled
keep_compiled(sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
jax.jit(lambda x: (x * 2 + 1).sum())(jax.numpy.ones(16))
print(hits.count("/jax/compilation_cache/cache_hits"), jax.config.jax_compilation_cache_dir)
"""


def compile_in(directory, **environment):
    """Cache hits of a new process that compiles a small function, and where it keeps it."""
    inherited = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, str(directory)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    hits, kept_in = done.stdout.split(maxsplit=1)
    return int(hits), kept_in.strip()


def test_what_one_run_compiles_the_next_one_finds(tmp_path):
    hits, kept_in = compile_in("~/steps", HOME=str(tmp_path))
    assert hits == 0
    assert kept_in.startswith(str(tmp_path / "steps"))
    hits, again = compile_in("~/steps", HOME=str(tmp_path))
    assert hits > 0
    assert again == kept_in


def test_the_directory_jax_was_told_of_is_kept_to(tmp_path):
    _, kept_in = compile_in(tmp_path / "config", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "environment"))
    assert kept_in == str(tmp_path / "environment")
    assert not (tmp_path / "config").exists()


def test_nothing_is_kept_where_nothing_is_asked_for_or_can_be_written(tmp_path):
    assert compile_in("") == (0, "None")
    (tmp_path / "file").write_text("")
    assert compile_in(tmp_path / "file") == (0, "None")


@pytest.mark.parametrize(("days", "is_kept"), [(29, True), (31, False)])
def test_what_nobody_used_for_a_month_is_deleted(days, is_kept, tmp_path, monkeypatch):
    monkeypatch.setattr(compilation_cache.jax, "config", mock.Mock(jax_compilation_cache_dir=None))
    compilation_cache.keep_compiled(str(tmp_path))
    (folder,) = tmp_path.iterdir()
    step = folder / "step-cache"
    step.write_bytes(b"compiled")
    used = time.time() - days * 24 * 3600
    os.utime(step, (used, used))
    compilation_cache.keep_compiled(str(tmp_path))
    assert step.exists() == is_kept
