"""When a certificate ends, read without a library for certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiplat.services.gateway.http.certificate import ends_at
from aiplat.vault.pki import issue, make_ca


@pytest.mark.parametrize(("years_ago", "valid"), [(0, True), (3, False)])
def test_the_end_is_the_certificates_own(tmp_path: Path, years_ago: int, valid: bool) -> None:
    """Whoever signed it; one that has ended says 0."""
    leaf = issue(make_ca("t"), "gateway", ["a.example"], datetime.now(UTC) - timedelta(days=365 * years_ago))
    (tmp_path / "crt").write_text(leaf.crt)
    (tmp_path / "key").write_text(leaf.key)
    assert ends_at(tmp_path / "crt", tmp_path / "key") == (leaf.expires.timestamp() if valid else 0)
