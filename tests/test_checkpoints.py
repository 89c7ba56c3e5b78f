import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecgjax.checkpoints import Checkpoints
from ecgjax.errors import InputError

CONFIG = {"task": "fake", "features": (1, 2)}


def state_at(step: int) -> dict:
    return {"step": jnp.int32(step), "weights": {"kernel": jnp.full((2, 3), step, jnp.float32)}}


@pytest.fixture
def abstract() -> dict:
    return jax.eval_shape(lambda: state_at(0))


def test_best_and_last_are_kept_and_restored(tmp_path, abstract):
    ranks = {1: 0.5, 2: 0.75, 3: None, 4: None}
    with Checkpoints(tmp_path, CONFIG, writes=True) as checkpoints:
        for step, rank in ranks.items():
            checkpoints.save(step, state_at(step), {"best_step": min(step, 2), "best_rank": -np.inf}, rank)
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"2", "4"}
    with Checkpoints(tmp_path, CONFIG, writes=False) as checkpoints:
        assert checkpoints.latest_step() == 4
        last, progress = checkpoints.restore(4, abstract)
        best, best_step = checkpoints.restore_best(abstract)
    assert progress == {"best_step": 2, "best_rank": -np.inf}
    assert best_step == 2
    for step, restored in ((4, last), (2, best)):
        jax.tree.map(np.testing.assert_array_equal, restored, state_at(step))
        assert restored["weights"]["kernel"].dtype == np.float32


def test_last_is_best_where_none_was_validated(tmp_path, abstract):
    with Checkpoints(tmp_path, CONFIG, writes=True) as checkpoints:
        checkpoints.save(7, state_at(7), {"best_step": 0}, None)
        checkpoints.wait()
        assert checkpoints.restore_best(abstract)[1] == 7


def test_saved_state_survives_donation(tmp_path, abstract):
    state = state_at(1)
    with Checkpoints(tmp_path, CONFIG, writes=True) as checkpoints:
        checkpoints.save(1, state, {"best_step": 0}, None)
        jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(state)
        checkpoints.wait()
        jax.tree.map(np.testing.assert_array_equal, checkpoints.restore(1, abstract)[0], state_at(1))


def test_incomplete_checkpoints_are_not_seen(tmp_path, abstract):
    with Checkpoints(tmp_path, CONFIG, writes=True) as checkpoints:
        checkpoints.save(1, state_at(1), {"best_step": 0}, None)
    torn = tmp_path / "2.orbax-checkpoint-tmp" / "state.orbax-checkpoint-tmp"
    torn.mkdir(parents=True)
    (torn / "manifest").write_bytes(b"half")
    with Checkpoints(tmp_path, CONFIG, writes=True) as checkpoints:
        assert checkpoints.latest_step() == 1
        checkpoints.save(2, state_at(2), {"best_step": 0}, None)
        checkpoints.wait()
        assert checkpoints.restore(2, abstract)[0]["step"] == 2


def test_no_checkpoint_is_bad_input(tmp_path, abstract):
    checkpoints = Checkpoints(tmp_path, CONFIG, writes=True)
    with checkpoints, pytest.raises(InputError, match=r"no complete checkpoint in .*; train first"):
        checkpoints.restore_best(abstract)
