"""The site builds without a warning, links lead somewhere, and Python on the pages runs."""

import os
import re
import subprocess
import sys

import documented
import pytest
from documented import PAGES, ROOT

sys.path.append(str(ROOT / "docs" / "hooks"))


def test_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={site}"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [path.read_text() for path in site.rglob("*.html")]
    assert len(pages) > len(PAGES) - 1
    for page in pages:
        loaded = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="?(https?://[^" >]+)', page)
        assert not [url for url in loaded if "canonical" not in url]
        assert "<!-- " not in re.sub(r"<!--\[if.*?endif\]-->", "", page), "a mark that no maker fills"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for link in documented.links(page):
        path = link.partition("#")[0]
        assert not path or (page.parent / path).exists(), link


def test_every_page_is_in_the_menu():
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"^ +- ([\w/]+\.md)$", text, re.MULTILINE))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]}


def test_every_config_field_says_what_it_means():
    from generated import generated  # noqa: PLC0415 - of the folder that is added above

    rows = re.findall(
        r"^\| `([\w.]+)` \| .* \| (.*) \|$", generated((ROOT / "docs/reference/config.md").read_text()), re.M
    )
    assert len(rows) > 200
    assert [name for name, meaning in rows if not meaning] == []
