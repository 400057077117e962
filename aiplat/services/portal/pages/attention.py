"""What needs attention: nodes, models, alerts, budgets, each with its cause and a command."""

from __future__ import annotations

from decimal import Decimal

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from aiplat.services.portal.cluster import Concern
from aiplat.services.portal.context import Portal
from aiplat.services.portal.pages.forms import Here, Signed
from aiplat.services.portal.render import page
from aiplat.services.portal.visitors import Visitor
from aiplat.services.store.budgets import BudgetState, budget_states
from aiplat.services.store.money import amount

router = APIRouter()

_NEARLY = Decimal("0.9")


@router.get("/")
async def attention(request: Request, here: Here, visitor: Signed) -> Response:
    """Show what is wrong; a member sees models and its own budgets, operators nodes and alerts too."""
    seen = await to_thread.run_sync(here.look)
    found = [t for t in seen.troubles() if visitor.has("operator") or t.where.startswith("model ")]
    if here.alerts and visitor.has("operator"):
        found += await here.alerts.firing()
    found += [_nearly_used(state) for state in await binding(here, visitor) if _is_nearly_used(state)]
    return page(request, "attention.html", troubles=found, seen=seen)


async def binding(here: Portal, visitor: Visitor) -> list[BudgetState]:
    """Return the budgets that bind a visitor: its key's and its team's."""
    own = await budget_states(here.database, "key", visitor.id)
    return own + (await budget_states(here.database, "team", visitor.team) if visitor.team else [])


def _is_nearly_used(state: BudgetState) -> bool:
    return state.used >= state.budget.limit * _NEARLY


def _nearly_used(state: BudgetState) -> Concern:
    budget = state.budget
    said = f"{amount(state.used)} of {amount(budget.limit)} {budget.unit} of the {budget.period} are used"
    return Concern(f"budget of {budget.scope} {budget.subject}", said, "aiplat usage")
