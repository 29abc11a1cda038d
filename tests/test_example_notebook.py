"""The notebook on savings: it runs from top to bottom, and what it shows is fit to be read."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from house import ROOT
from jupyter_client.manager import AsyncKernelManager
from matplotlib import image
from nbclient import NotebookClient

NOTEBOOK = ROOT / "examples" / "savings.ipynb"


def printed(cells: list[Any]) -> str:
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    return "".join(output.get("text", "") for output in outputs)


def pictures(cells: list[Any]) -> list[bytes]:
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    found = (output.get("data", {}).get("image/png") for output in outputs)
    return [base64.b64decode(each) for each in found if each]


@pytest.fixture(scope="module")
def stored() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_runs_from_top_to_bottom(stored: Any, tmp_path: Path) -> None:
    """In a kernel of its own, which talks through files instead of ports."""
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(tmp_path / "kernel"))
    book = nbformat.reads(json.dumps(stored), as_version=4)
    (tmp_path / "here").mkdir()
    place = {"metadata": {"path": str(tmp_path / "here")}}
    try:
        NotebookClient(book, km=kernel, timeout=600, resources=place).execute()
    finally:  # the client leaves a kernel that it was given running, and with it what it writes to
        asyncio.run(kernel.shutdown_kernel(now=True))
    told = printed(book.cells)
    for words in ("Tenant ranker", "Tenant retrieval", "All tenants together", "\nPlan\n"):
        assert words in told
    assert "it pays" in told and "does NOT pay" in told
    assert re.search(r"[\d,]+ events in all sequences, [\d,]+ different ones", told)
    (chart,) = pictures(book.cells)
    assert image.imread(io.BytesIO(chart))[..., :3].std() > 0.05
    assert list((tmp_path / "here").iterdir()) == [], "it cleans up behind it"


def test_what_it_shows_was_made_in_order_and_names_no_machine(stored: Any) -> None:
    nbformat.validate(stored)
    codes = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in codes] == [*range(1, len(codes) + 1)]
    assert all(out.output_type in ("stream", "display_data") for c in codes for out in c.outputs)
    assert not [out for cell in codes for out in cell.outputs if out.get("name") == "stderr"]
    text = NOTEBOOK.read_text("utf-8")
    assert not re.search(r"/(?:tmp|home|root|work|Users|var)/", text)
    (chart,) = pictures(codes)
    pixels = image.imread(io.BytesIO(chart))
    assert pixels.shape[1] > 800
    assert np.ptp(pixels[..., :3]) > 0.5
