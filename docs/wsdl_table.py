"""Writes the table of other people's WSDL files in soap-interoperability.md: our border beside zeep alone.

Run: `.venv/bin/python docs/wsdl_table.py [FOLDER]`; FOLDER holds the archives (LIENTHONG_SHARED_DATA/soap).
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tarfile
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import zeep

from lienthong.connectors import soap, soap_documents
from lienthong.core import errors

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "soap-interoperability.md"
BEGIN, END = "<!-- table of WSDL files: docs/wsdl_table.py -->", "<!-- end of the table -->"
WHY = {
    "refused: doctype": "refused: DTD, entities",
    "refused: malformed": "refused: not well-formed",
    "not pinned": "not opened: imports from the network, not pinned",
    "out of the description": "not opened: imports from outside its folder",
    "cannot be read": "a file that it imports is missing",
    "no SOAP port": "no SOAP port",
}


class Offline(zeep.Transport):
    """Zeep's own loading, without a network."""

    def _load_remote_data(self, url: str) -> bytes:
        if url.startswith("file:"):
            return Path(url.removeprefix("file://")).read_bytes()
        raise OSError("the network is off")


def usable(client: zeep.Client) -> str:
    """Say how many operations a loaded description offers."""
    count = len(client.service._binding._operations)
    return f"yes: {count}" if count else "no: no operation of it can be used"


def by_zeep(path: Path) -> str:
    """Say what zeep alone makes of a file."""
    try:
        client = zeep.Client(str(path), transport=Offline())
        return usable(client)
    except Exception as error:
        return f"no: {type(error).__name__}"


def by_us(path: Path) -> str:
    """Say what our border makes of it."""
    described = soap_documents.Description(str(path))
    try:
        client = soap._open(soap_documents.Documents(described, system="demo"), "demo")
    except errors.Misconfigured as error:
        said = str(error)
        found = next((text for mark, text in WHY.items() if mark in said), "")
        cause = re.search(r"cannot be used: (\w+)", said)
        return f"no: {found or (cause[1] if cause else 'other')}"
    return usable(client)


def table(folder: Path) -> str:
    """Make the table of every WSDL in the archives of a folder."""
    rows, sums = [], Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        for archive in sorted(folder.glob("*.tar.gz")):
            inside = Path(place) / archive.name.removesuffix(".tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(inside, filter="data")
            for path in sorted(inside.rglob("*.wsdl")):
                theirs, ours = by_zeep(path), by_us(path)
                sums["all"] += 1
                sums["zeep"] += not theirs.startswith("no")
                sums["ours"] += not ours.startswith("no")
                sums["only zeep"] += not theirs.startswith("no") and ours.startswith("no")
                rows.append(f"| {path.relative_to(place)} | {theirs} | {ours} |")
    head = (
        f"{sums['all']} files: zeep alone (network off) can use {sums['zeep']}, our border {sums['ours']}; "
        f"{sums['only zeep']} that zeep can use our border refuses.\n\n"
    )
    return head + "\n".join(["| file | zeep alone | our border |", "|---|---|---|", *rows])


def main() -> None:
    """Put the table into the page."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    shared = Path(os.environ.get("LIENTHONG_SHARED_DATA") or ROOT.parent / "shared" / "data")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "soap"
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(folder)}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
