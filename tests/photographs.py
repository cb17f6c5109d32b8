"""Nine V*-style questions on real photographs. They are not ours to ship, so whoever lacks them skips their tests and reads why."""

from __future__ import annotations

from pathlib import Path

import pytest

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vstar_photos"
"""In the benchmark's layout."""

needs_photos = pytest.mark.skipif(
    not PHOTOS.is_dir(), reason="../shared/data/vstar_photos is absent: real photographs, which the repository does not ship"
)
