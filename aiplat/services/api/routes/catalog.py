"""/catalog: what a site can have; what it means is aiplat.catalog's."""

from __future__ import annotations

from fastapi import APIRouter

from aiplat.actions.catalog import CatalogDocument, ModelCatalog, catalog_document, shipped_models
from aiplat.catalog.catalog import load_catalog
from aiplat.services.api.callers import needs
from aiplat.services.api.problems import problems

router = APIRouter(prefix="/catalog", tags=["catalog"], responses=problems(401, 403, 503))


@router.get("", operation_id="getCatalog", response_model_exclude_none=True, **needs("member"))
def get_catalog() -> CatalogDocument:
    """Return every plane and component: state, purpose, licence, and which supply can deliver it."""
    return catalog_document(load_catalog())


@router.get("/models", operation_id="listCatalogModels", **needs("member"))
def list_catalog_models() -> ModelCatalog:
    """Return every model that a site can serve, with its real conditions of use."""
    return shipped_models()
