"""The table of rules that a site file must keep; each rule is a small function whose docstring documents it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiplat.site.document import Document
from aiplat.site.findings import SiteFinding
from aiplat.site.known import Known

Rule = Callable[[Document, Known], Iterable[SiteFinding]]

RULES: dict[str, Rule] = {}
