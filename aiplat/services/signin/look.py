"""How Canaille's pages look at a site: its own templates, in colours that everybody can read."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask
from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader

_PAGES = Path(__file__).parent / "pages"


def put_on(application: Flask) -> None:
    """Lay our templates over Canaille's, which stay to be had as `canaille/NAME`, and serve our files."""
    theirs = application.jinja_loader
    ours = FileSystemLoader(_PAGES / "templates")
    application.jinja_loader = ChoiceLoader([ours, PrefixLoader({"canaille": theirs}), theirs])
    application.register_blueprint(
        Blueprint("look", __name__, static_folder=str(_PAGES / "static"), static_url_path="/look")
    )
