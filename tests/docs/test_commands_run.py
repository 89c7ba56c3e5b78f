"""Every command in the README and in docs/ is run, shrunk, and ends as it should."""

import os
import re
from pathlib import Path

import documented
import pytest
from documented import FOLLOWED, PAGES, ROOT
from made_files import Made
from shrinking import RUN_OF_SCRIPT, SHRINKING, filled, finetuning, shrunk

CANNOT_RUN = {
    r"pip install": "installs packages",
    r"python -m venv": "makes an environment",
    r"pytest": "runs these tests",
    r"mkdocs": "tests/docs/test_site.py builds the site",
    r"sbatch": "needs a cluster; tests/test_cluster_scripts.py looks at the jobs",
    r"kubectl": "needs a cluster",
    r"mpirun": "needs several hosts; tests/test_multihost.py starts processes",
    r"python -m ecgjax.main --multihost \.\.\.": "the same",
    r"ecgjax serve": "runs until it is stopped; tests/serve has it",
    r"ecgjax COMMAND|python scripts/NAME\.py|--dataset=NAME": "stands for any",
    r"--config=\.\.\.|configs/TASK\.py": "stands for any",
    r"scripts/bundle\.py": "trains all bundled networks; their tests judge the result",
}
"""Commands that cannot be run here, as regular expressions, and why."""


def _whole() -> dict[str, documented.Command]:
    """Each once: what differs in seed or in the name of the run is the same when it is shrunk."""
    found = [one for page in PAGES if page not in FOLLOWED for one in documented.commands(page) if one.is_whole]
    alike = r"[,:]seed=\d\b|(?<=ecgjax.main )(.*) --workdir=\S+$"
    unique = {re.sub(alike, r"\1", str(one)): one for one in reversed(found)}
    return {str(one): one for one in unique.values()}


COMMANDS = _whole()


def reason(command: str) -> str | None:
    """Why it cannot be run, None where it can."""
    return next((why for pattern, why in CANNOT_RUN.items() if re.search(pattern, command)), None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = Path(os.environ.get("ECGJAX_TEST_DATA", ROOT.parent / "shared" / "data"))
    return Made(tmp_path_factory.mktemp("made"), folder if folder.is_dir() else None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("text", [text for text in COMMANDS if reason(text) is None])
def test_it_runs(text, made):
    words = list(COMMANDS[text].words)
    # What `check` finds is its status.
    statuses = (0, 1) if words[:2] == ["ecgjax", "check"] else (0,)
    if words[0] == "ecgjax":
        status = made.call("-m", "ecgjax.command", *filled(words[1:], made, words[1]), statuses=statuses)
    elif "--config=configs/finetune.py" in text:
        status = made.call_apart("-m", "ecgjax.main", *finetuning(words[3:], made))
    else:
        status = made.call(*shrunk(words[1:], made))
    assert status in statuses


def test_what_cannot_be_run_is_still_there():
    for pattern in CANNOT_RUN:
        assert any(re.search(pattern, text) for text in COMMANDS), f"no page has {pattern}"
    for script in (*SHRINKING, *RUN_OF_SCRIPT):
        assert (ROOT / "scripts" / f"{script}.py").is_file(), script
