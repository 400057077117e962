"""Which lab an `aiplat lab` command means: that of a site, or one whose site file is gone; finds no hosts."""

from __future__ import annotations

from aiplat.errors import BadInput
from aiplat.site.find import find_site
from aiplat.site.load import load_site


def lab_name(given: str) -> str:
    """Return the name of the lab that `given` means; a lab whose site file is gone is found by its name.

    Raises:
        BadInput: it is the path of a file that is not there or has findings.
    """
    try:
        path = find_site(given)
    except BadInput:
        if "/" in given or given.endswith((".yaml", ".yml")):
            raise
        return given
    return load_site(path).name
