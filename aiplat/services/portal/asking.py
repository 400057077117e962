"""Which key the gateway is asked with for a visitor: its own, or for a person the playground's."""

from __future__ import annotations

from aiplat.errors import BadInput
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gateway import GatewayRefusalError
from aiplat.services.portal.visitors import Visitor
from aiplat.services.store.own_keys import playground_secret


async def secret_for(portal: Portal, visitor: Visitor) -> str:
    """Return the secret that the gateway is asked with, so that budgets bind and usage names the visitor.

    Raises:
        GatewayRefusalError: no budget would bind the visitor.
        Unreachable: the database does not answer.
    """
    if visitor.person is None:
        return visitor.session.secret
    try:
        return await playground_secret(portal.database, visitor.person, portal.seal.secret_of(visitor.id))
    except BadInput as error:
        raise GatewayRefusalError(error.findings) from error
