"""deploy/CAPACITY.md says what was measured: its tables are those of deploy/capacity.json."""

import json
import re
import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "bench"))
import capacity  # noqa: E402


def test_tables_of_the_document_are_those_of_the_figures():
    text = capacity.DOCUMENT.read_text()
    figures = json.loads(capacity.FIGURES.read_text())
    assert capacity.fill(text, figures) == text
    figures["requests"]["single"]["median"] *= 3
    assert capacity.fill(text, figures) != text


def test_loads_are_reckoned_as_told():
    figures = json.loads(capacity.FIGURES.read_text())
    figures["requests"]["single"]["median"] = 24.0  # us, so a million a second are 24 cores at work
    figures["requests"] |= {"bytes_request": 250, "bytes_reply": 500}
    row = next(line for line in capacity.render_loads(figures).splitlines() if line.startswith("| 1,000,000 requests/s"))
    _, _, at_work, to_have, replicas, _, network, _ = (cell.strip() for cell in row.split("|"))
    assert (at_work, to_have, replicas, network) == ("24", "40", "11", "2 + 4")


def test_links_of_the_document_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", capacity.DOCUMENT.read_text())
    assert len(links) > 4 and all((capacity.DOCUMENT.parent / link).exists() for link in links), links
