"""Files of others are what their MANIFEST says, to the byte."""

import hashlib
import json
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "static" / "vendor"
LISTED = json.loads((VENDOR / "MANIFEST.json").read_text())


def test_every_file_is_listed_with_its_licence():
    files = {path.name for path in VENDOR.iterdir()} - {"MANIFEST.json"}

    assert files == {row[key] for row in LISTED for key in ("file", "licence_file")}
    assert all(row["name"] and row["version"] and row["licence"] for row in LISTED)


def test_no_file_was_touched():
    changed = [
        row["file"]
        for row in LISTED
        if hashlib.sha256((VENDOR / row["file"]).read_bytes()).hexdigest() != row["sha256"]
    ]
    assert not changed
