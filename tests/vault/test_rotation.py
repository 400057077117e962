"""Secrets are exchanged stage by stage; the former ones are good until the new ones were seen to work."""

from __future__ import annotations

import pytest

from aiplat.errors import BadInput
from aiplat.runs.context import public_parts
from aiplat.site.models import Site
from aiplat.vault.generated import generate, new_api_key, new_password
from aiplat.vault.pki import issue, make_ca, still_good
from aiplat.vault.rotation import ROTATED, installed, pending, proven, rotated
from aiplat.vault.store import SiteSecrets, certificate_names, gateway_names, new_token

SITE = Site.model_validate(
    {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "ward-3",
        "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server"}],
    }
)


@pytest.fixture(scope="module")
def known() -> SiteSecrets:
    """Secrets as a first bootstrap leaves them."""
    ca, names = make_ca("ward-3"), certificate_names(SITE)
    return SiteSecrets(
        k3s_token=new_token(),
        ca=ca,
        registry=issue(ca, "registry", names),
        gateway=issue(ca, "gateway", names),
        api_key=new_api_key(),
        postgres_password=new_password(),
    )


def test_everything_that_can_be_rotated_is_new_and_its_identity_too(known: SiteSecrets) -> None:
    """What others may see of each differs, and nothing else of the vault does."""
    fresh = rotated(SITE, known, list(ROTATED))
    assert {n for n in fresh.identities if fresh.identities[n] != known.identities[n]} == {
        *ROTATED.values(),
        "registry certificate",
        "gateway certificate",
    }
    assert pending(fresh).keys() == set(ROTATED.values())
    assert not any(secret in repr(fresh) for secret in (known.api_key, known.k3s_token, fresh.k3s_token))


def test_an_api_key_overlaps_for_a_run(known: SiteSecrets) -> None:
    """Used once it is installed; the former is accepted until the new one was seen to work."""
    made = rotated(SITE, known, ["api-key"])
    assert (made.key_in_use, made.api_keys) == (known.api_key, (made.api_key, known.api_key))
    there = installed(made)
    assert (there.key_in_use, there.api_keys) == (made.api_key, (made.api_key, known.api_key))
    assert there.identities == made.identities, "nothing to do before it is proven"
    good = proven(there)
    assert good.api_keys == (made.api_key,)
    assert good.identities["api key"] != there.identities["api key"], "the next run withdraws the former"
    assert installed(good).former == {}
    assert installed(good).identities == good.identities


def test_both_cas_are_trusted_while_certificates_are_exchanged(known: SiteSecrets) -> None:
    """Certificates are the new CA's at once; the former CA is trusted too until all was seen to work."""
    made = rotated(SITE, known, ["ca"])
    names = gateway_names(SITE)
    assert still_good(made.gateway, names, ca=made.ca)
    assert not still_good(known.gateway, names, ca=made.ca)
    assert made.authorities == installed(made).authorities == made.ca.crt + known.ca.crt
    assert public_parts(made).ca_certificate == made.authorities
    assert proven(installed(made)).authorities == made.ca.crt
    assert known.ca.key not in made.model_dump_json(), "a CA that is withdrawn signs nothing more"


@pytest.mark.parametrize("name", ["k3s-token", "database-password"])
def test_what_cannot_overlap_is_kept_until_it_works(known: SiteSecrets, name: str) -> None:
    """The former is known through the run, for one that is killed in it, and forgotten after it."""
    made = rotated(SITE, known, [name])
    assert ROTATED[name] in installed(made).former
    done = proven(installed(made))
    assert done.former == {}
    assert done.identities == made.identities


def test_a_run_whose_checks_fail_withdraws_nothing(known: SiteSecrets) -> None:
    """Installed again and again it stays, as nothing was seen to work."""
    there = installed(rotated(SITE, known, ["api-key", "ca"]))
    assert installed(there) == there
    assert len(there.api_keys) == 2


def test_one_rotation_at_a_time(known: SiteSecrets) -> None:
    """A second one would forget a secret that is still in use; all problems are said at once."""
    made = rotated(SITE, known, ["ca"])
    with pytest.raises(BadInput) as refused:
        rotated(SITE, made, ["ca", "token"])
    assert [f.where for f in refused.value.findings] == ["ca", "token"]


def test_a_components_secret_is_rotated_alone_and_once_at_a_time(known: SiteSecrets) -> None:
    """Its kind stays, nothing else changes, and a second rotation waits until the first is carried out."""
    before = generate("apiKey")
    known = known.model_copy(update={"generated": {"thing/gateway-key/chat": before}})
    fresh = rotated(SITE, known, ["thing/gateway-key/chat"])
    made = fresh.generated["thing/gateway-key/chat"]
    assert (made.kind, made.entries == before.entries) == ("apiKey", False)
    assert (fresh.api_key, fresh.k3s_token) == (known.api_key, known.k3s_token)
    assert list(pending(fresh).values()) == ["the secret thing/gateway-key/chat is rotated"]
    with pytest.raises(BadInput, match="its last rotation is not carried out yet"):
        rotated(SITE, fresh, ["thing/gateway-key/chat"])
    assert pending(proven(installed(fresh))) == {}
