"""Small folders that stand for runs: made of one, read wherever a run is read, and never other than they were made."""

import subprocess

import fake_task
import jax
import numpy as np
import pytest

from ecgjax import bundled, experiment
from ecgjax.bundled import SUMS, VARIABLES, learnt_variables, read_variables, workdir_of, write_bundle, write_variables
from ecgjax.errors import InputError
from ecgjax.train import train_and_evaluate
from ecgjax.workdir import CHECKPOINTS, read_config, read_results


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two networks and the bundle of it."""
    folder = tmp_path_factory.mktemp("run")
    config = fake_task.fake_config()
    config.kfold = 2
    config.data.dir = "/home/somebody"
    with fake_task.installed():
        train_and_evaluate(config, folder / "run")
        write_bundle(folder / "run", folder / "bundle")
    return folder / "run", folder / "bundle"


def test_a_bundle_gives_the_weights_of_its_run(run):
    workdir, folder = run
    config = read_config(folder)
    with fake_task.installed():
        built = experiment.build(config, fake_task.fake_load(config, "train"))
        ours, theirs = (jax.device_get(built.members(where)) for where in (folder, workdir))
    assert len(ours) == 2
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    assert read_results(folder) == read_results(workdir)
    assert config.data.dir == ""
    assert not list(folder.rglob(CHECKPOINTS))


def test_every_file_is_summed_and_sha256sum_agrees(run):
    _, folder = run
    bundled.check_sums(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files - {SUMS} == {line.split()[1] for line in (folder / SUMS).read_text().splitlines()}
    subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=folder, check=True)


def test_what_is_there_is_never_overwritten(run):
    workdir, folder = run
    with pytest.raises(InputError, match="bundle is there already; name another"):
        write_bundle(workdir, folder)


def test_a_run_that_is_not_finished_makes_no_bundle(tmp_path):
    with pytest.raises(InputError, match="there is no .*results.json; finish the run first"):
        write_bundle(tmp_path, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder of bundles with one for reversal."""
    monkeypatch.setattr(bundled, "WEIGHTS", tmp_path)
    folder = tmp_path / "reversal"
    folder.mkdir()
    write_variables({"params": {"a": {"kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3)}}}, folder)
    digest = bundled._sha256(folder / VARIABLES)
    (folder / SUMS).write_text(f"{digest}  {VARIABLES}\n")
    return folder


def test_bundled_stands_for_a_folder_and_all_else_for_itself(weights):
    assert workdir_of("bundled", "reversal") == weights
    assert str(workdir_of("runs/bundled", "reversal")) == "runs/bundled"
    with pytest.raises(InputError, match=r"no network for age comes with ecgjax \(there are: reversal\)"):
        workdir_of("bundled", "age")


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes() + b"0")]
)
def test_other_weights_than_those_that_came_are_refused(weights, damage):
    damage(weights / VARIABLES)
    with pytest.raises(InputError, match="variables.npz is not the file that SHA256SUMS names; install ecgjax anew"):
        workdir_of("bundled", "reversal")


def test_variables_come_back_in_single_precision(weights):
    (array,) = jax.tree.leaves(read_variables(weights))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(2, 3))
    with np.load(weights / VARIABLES) as file:
        assert {name: file[name].dtype for name in file.files} == {"params/a/kernel": np.float16}


def test_what_half_precision_cannot_hold_is_refused(tmp_path):
    with pytest.raises(InputError, match="the weight params/scale is not within"):
        write_variables({"params": {"scale": np.full(3, 1e5, np.float32)}}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_without_weights_and_damaged_ones(tmp_path):
    with pytest.raises(InputError, match="holds neither checkpoints nor variables.npz; give the folder of a run"):
        learnt_variables(tmp_path)
    (tmp_path / VARIABLES).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match="cannot read .*variables.npz"):
        learnt_variables(tmp_path)
