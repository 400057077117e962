"""Who may do what in the cluster: people by tokens of a real issuer, asked of a real API server."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiplat.actions.kubeconfig import person_kubeconfig, team_kubeconfig
from aiplat.actions.login_listener import PORTS
from aiplat.cluster.raw import RawObjects, Refused
from aiplat.content import write_atomic
from aiplat.errors import BadInput
from aiplat.plan.authentication import authentication_configuration
from aiplat.plan.sign_in import ROLES
from aiplat.services.operator.team_objects import Platform
from aiplat.services.operator.team_pass import TeamKeeper
from aiplat.state import site_dir
from tests import patience
from tests.charts.conftest import VALUES, Helm, charts, documents, helm  # noqa: F401 - two are fixtures
from tests.e2e.kubectl import Desk
from tests.patience import PATIENCE
from tests.plan.test_golden import SITE
from tests.plan.test_sign_in import with_company
from tests.services.oidc.issuer import TestIssuer
from tests.services.operator.api_server import ADMIN, OPERATOR, ApiServer, Document, api_server, install

# What the lab's hosts run has to be built first, which takes minutes once.
pytestmark = pytest.mark.lab
CLIENT = "portal-cli"
KNOWN = {"userClaim": "preferred_username", "groupsClaim": "groups"}
WARD: Document = {
    "apiVersion": "aiplat.dev/v1alpha1",
    "kind": "Team",
    "metadata": {"name": "ward"},
    "spec": {"members": ["alice"], "groups": ["nurses"], "quota": {"cpu": 2}},
}
REVIEW = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
WHO = "apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestIssuer]:
    """The site's sign-in, as far as an API server sees it."""
    comes_back = {CLIENT: tuple(f"http://127.0.0.1:{port}/" for port in PORTS)}
    found = TestIssuer(redirects=comes_back, folder=tmp_path_factory.mktemp("issuer"))
    yield found
    found.close()


def token_of(issuer: TestIssuer, name: str, *groups: str, **claims: Any) -> str:
    """Return a person's ID token for kubectl; a claim that is None is left out."""
    told = {"sub": f"id-of-{name}", "preferred_username": name, "groups": list(groups), **claims}
    return issuer.token(told.pop("aud", CLIENT), **told)


def configured(issuer: TestIssuer, *audiences: str) -> str:
    """Return the API server's file, as the role writes it."""
    known = {**KNOWN, "issuer": issuer.url}
    return json.dumps(authentication_configuration(known, audiences, issuer.authority))


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory,
    helm: Helm,  # noqa: F811 - the fixture
    charts: dict[str, Path],  # noqa: F811 - the fixture
    issuer: TestIssuer,
) -> Iterator[ApiServer]:
    """An API server that knows the issuer, with the operator's release and one Team."""
    folder = tmp_path_factory.mktemp("api")
    people = folder / "people.json"
    people.write_text(json.dumps({"people": {role: [role] for role in ROLES}}))
    given = ("-n", "aiplat-model", "-f", VALUES / "values-operator.yaml", "-f", people)
    rendered = helm("template", "operator", charts["operator"], *given)
    assert rendered.returncode == 0, rendered.stderr
    write_atomic(folder / "authentication.json", configured(issuer, "portal-cli").encode())
    server = api_server(folder, authentication_config=folder / "authentication.json")
    try:
        server.start()
        install(server, documents(rendered.stdout))
        _aggregate(server)
        assert patience.eventually(lambda: server.apply(WARD) == "")
        assert patience.eventually(lambda: signed_in(server, token_of(issuer, "alice")) != {})
        yield server
    finally:
        server.stop()


def _aggregate(server: ApiServer) -> None:
    """Give the role `view` its rules, as the controller manager does that is not here."""
    roles = "apis/rbac.authorization.k8s.io/v1/clusterroles"
    with server.client() as client:
        rules = client.get(f"{roles}/system:aggregate-to-view").json()["rules"]
    server.change({"kind": "ClusterRole", "metadata": {"name": "view"}}, {"rules": rules})


@pytest.fixture(scope="module")
def keeper(api: ApiServer) -> TeamKeeper:
    """The operator's part for Teams, under its own account; it has made the Team's namespace."""
    objects = RawObjects.of_kubeconfig(api.kubeconfig(OPERATOR), "aiplat-operator")
    made = TeamKeeper(objects, Platform("aiplat-model", "aiplat-access"))
    assert patience.eventually(made.run), "the operator's account may not do it"
    return made


def signed_in(api: ApiServer, token: str) -> dict[str, Any]:
    """Return as whom the API server knows a token, and nothing where it refuses it."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    with api.client(token) as client:
        answer = client.post(WHO, json=review)
    return dict(answer.json()["status"]["userInfo"]) if answer.is_success else {}


def can(api: ApiServer, token: str, verb: str, what: str, namespace: str = "") -> bool:
    """Ask as `kubectl auth can-i` does; `what` is a resource with its group after a dot."""
    resource, _, group = what.partition(".")
    resource, _, sub = resource.partition("/")
    asked = {"verb": verb, "resource": resource, "group": group, "subresource": sub, "namespace": namespace}
    document = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    with api.client(token) as client:
        answer = client.post(REVIEW, json={**document, "spec": {"resourceAttributes": asked}})
    assert answer.is_success, answer.text
    return bool(answer.json()["status"]["allowed"])


def test_a_person_is_known_by_name_and_groups(api: ApiServer, issuer: TestIssuer) -> None:
    """With a prefix, so that no group of the sign-in is one of Kubernetes' own."""
    found = signed_in(api, token_of(issuer, "alice", "nurses", "system:masters"))
    assert found["username"] == "aiplat:alice"
    assert found["groups"] == ["aiplat:nurses", "aiplat:system:masters", "system:authenticated"]


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "portal"},
        {"iss": "https://elsewhere.example"},
        {"iat": -7200, "exp": -3600},
        {"exp": 3 * 86400},
        {"iat": None},
        {"preferred_username": ""},
        {"preferred_username": None},
    ],
)
def test_a_token_that_is_not_for_kubernetes_is_refused(
    api: ApiServer, issuer: TestIssuer, claims: dict[str, Any]
) -> None:
    """Another client's, another issuer's, an old one, one that is good for days, one that names nobody."""
    bent = {
        claim: value + int(time.time()) if isinstance(value, int) else value
        for claim, value in claims.items()
    }
    assert signed_in(api, token_of(issuer, "alice", "admin", **bent)) == {}


def test_a_token_that_was_changed_is_refused(api: ApiServer, issuer: TestIssuer) -> None:
    """What is signed is what counts."""
    head, _, signature = token_of(issuer, "alice").split(".")
    _, body, _ = token_of(issuer, "alice", "admin").split(".")
    assert signed_in(api, f"{head}.{body}.{signature}") == {}


def test_members_have_their_teams_namespace_and_no_other(
    api: ApiServer, issuer: TestIssuer, keeper: TeamKeeper
) -> None:
    """By name or by group; not roles, quotas, network policies, accounts' tokens and Models to make."""
    for token in (token_of(issuer, "alice", "member"), token_of(issuer, "bob", "member", "nurses")):
        for what in ("pods", "secrets", "deployments.apps", "ingresses.networking.k8s.io"):
            assert can(api, token, "create", what, "team-ward"), what
            assert not can(api, token, "get", what, "aiplat-access"), what
        for what in (
            "rolebindings.rbac.authorization.k8s.io",
            "networkpolicies.networking.k8s.io",
            "resourcequotas",
            "limitranges",
            "serviceaccounts/token",
            "models.aiplat.dev",
        ):
            assert not can(api, token, "create", what, "team-ward"), what
        assert can(api, token, "list", "models.aiplat.dev", "aiplat-model")
        assert not can(api, token, "impersonate", "users")
        assert not can(api, token, "list", "teams.aiplat.dev")


def test_who_is_in_no_team_sees_no_namespace(api: ApiServer, issuer: TestIssuer, keeper: TeamKeeper) -> None:
    """A member of the site sees its models; a person of no group of the site not even those."""
    for token, models in (
        (token_of(issuer, "eve", "member"), True),
        (token_of(issuer, "mallory", "others"), False),
    ):
        assert can(api, token, "list", "models.aiplat.dev") is models
        for verb, what in (("get", "pods"), ("list", "namespaces"), ("get", "secrets"), ("create", "pods")):
            assert not can(api, token, verb, what, "team-ward")


def test_operators_see_all_but_secrets_and_admins_may_everything(api: ApiServer, issuer: TestIssuer) -> None:
    """Operators say which models are served, and make no Team."""
    operator, admin = token_of(issuer, "olga", "operator"), token_of(issuer, "ada", "admin")
    for verb, what in (("list", "pods"), ("list", "nodes"), ("create", "models.aiplat.dev")):
        assert can(api, operator, verb, what)
    for verb, what in (("get", "secrets"), ("create", "teams.aiplat.dev"), ("delete", "pods")):
        assert not can(api, operator, verb, what)
        assert can(api, admin, verb, what)


def refused(objects: RawObjects, document: Document, why: str) -> bool:
    """Whether the API refuses a document; a policy is in force some time after it was stored."""
    try:
        objects.apply(document)
    except Refused as said:
        return why in str(said)
    return False


def test_the_operators_account_stays_within_teams_namespaces(api: ApiServer, keeper: TeamKeeper) -> None:
    """It gives no other role, takes no namespace and changes no limit that is not a Team's."""
    objects = RawObjects.of_kubeconfig(api.kubeconfig(OPERATOR), "aiplat-operator")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "1"}}}
    limit = {**quota, "metadata": {"name": "x", "namespace": "kube-system"}}
    assert patience.eventually(lambda: refused(objects, limit, "namespaces of teams alone"))
    taken = {"name": "aiplat-access", "labels": {"aiplat.dev/team": "ward"}}
    with pytest.raises(Refused, match="namespaces of teams alone"):
        objects.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": taken})
    with pytest.raises(Refused, match="namespaces of teams alone"):
        objects.delete("Namespace", "", "aiplat-access")
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "x", "namespace": "team-ward"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "x"}],
    }
    with pytest.raises(Refused, match="attempting to grant"):
        objects.apply(binding)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"namespace": "kube-system"}, "Kubernetes' own or the platform's"),
        ({"budgets": [{"unit": "tokens", "period": "day", "limit": "1.5"}]}, "whole numbers"),
        ({"budgets": [{"unit": "money", "period": "day", "limit": 9999999999}]}, "at most 999999999"),
        ({"quota": {"memory": "lots"}}, "should match"),
        ({"quotas": {}}, "field not declared in schema"),
    ],
)
def test_a_team_that_makes_no_sense_is_refused_by_the_api(api: ApiServer, spec: Document, said: str) -> None:
    """Before anything is stored, in a sentence."""
    assert said in api.apply({**WARD, "metadata": {"name": "bad"}, "spec": spec})


def test_a_teams_namespace_cannot_be_changed(api: ApiServer, keeper: TeamKeeper) -> None:
    """What is in it would be left behind, limited by nobody's Team."""
    changed = {**WARD, "spec": {**WARD["spec"], "namespace": "other"}}
    assert "cannot be changed" in api.apply(changed)


def _count(api: ApiServer) -> None:
    """Say what the quota is and that nothing is used of it, as the controller manager does."""
    objects = RawObjects.of_kubeconfig(api.kubeconfig(ADMIN), "kubectl")
    quota = objects.read("ResourceQuota", "team-ward", "team") or {}
    hard = quota["spec"]["hard"]
    meta = {"name": "team", "namespace": "team-ward"}
    told = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta}
    assert api.apply({**told, "status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}, "/status") == ""


def test_what_quota_and_pod_security_do_not_know_is_refused_in_teams_namespaces(
    api: ApiServer, issuer: TestIssuer, keeper: TeamKeeper
) -> None:
    """Addresses of others, a place before the cluster's own pods, every GPU without asking for one."""
    token = token_of(issuer, "alice")
    _count(api)
    ports = [{"port": 80, "protocol": "TCP"}]
    meta = {"name": "x", "namespace": "team-ward"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
    taken = {**service, "spec": {"externalIPs": ["192.0.2.1"], "ports": ports}}
    assert patience.eventually(lambda: "externalIPs" in api.apply(taken, token=token))
    assert api.apply({**service, "spec": {"ports": ports}}, token=token) == ""
    nodes = {**service, "metadata": {**meta, "name": "y"}, "spec": {"type": "NodePort", "ports": ports}}
    assert "exceeded quota" in api.apply(nodes, token=token)
    safe = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "c", "image": "x", "securityContext": safe}
    pod: Document = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
    plain: Document = {"containers": [container]}
    assert "restricted" in api.apply(
        {**pod, "spec": {"containers": [{"name": "c", "image": "x"}]}}, token=token
    )
    first = api.apply({**pod, "spec": {**plain, "priorityClassName": "system-node-critical"}}, token=token)
    assert "before those of the cluster" in first
    greedy = {**plain, "containers": [{**container, "resources": {"requests": {"cpu": "3"}}}]}
    assert "exceeded quota" in api.apply({**pod, "spec": greedy}, token=token)
    assert api.apply({**pod, "spec": plain}, token=token) == ""


def test_a_kubeconfig_of_a_team_is_for_its_namespace_alone(
    api: ApiServer, keeper: TeamKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a token of the team's account, at the address of the site; a Team that is not there is refused."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    known = json.loads(api.kubeconfig(ADMIN).read_text())
    cluster = known["clusters"][0]["cluster"]
    authority = Path(cluster.pop("certificate-authority")).read_bytes()
    cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    (site_dir(SITE.name) / "kubeconfig").write_text(json.dumps(known))
    made = team_kubeconfig(SITE, "ward", 1)
    assert made["clusters"][0]["cluster"]["server"] == f"https://{SITE.endpoint}:6443"
    assert made["contexts"][0]["context"]["namespace"] == "team-ward"
    token = made["users"][0]["user"]["token"]
    assert can(api, token, "create", "pods", "team-ward")
    assert not can(api, token, "get", "pods", "aiplat-model")
    with pytest.raises(BadInput, match="there are ward"):
        team_kubeconfig(SITE, "wrad", 1)


def test_kubectl_signs_somebody_in_by_a_kubeconfig_without_a_credential(
    api: ApiServer, issuer: TestIssuer, keeper: TeamKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `aiplat kubeconfig --sign-in` prints is enough where nobody else trusts the issuer's CA."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    (tmp_path / "company.pem").write_text(issuer.authority)
    company = with_company(issuer=issuer.url, cliClientId=CLIENT, ca=str(tmp_path / "company.pem")).sign_in
    known = json.loads(api.kubeconfig(ADMIN).read_text())
    cluster = known["clusters"][0]["cluster"]
    authority = Path(cluster.pop("certificate-authority")).read_bytes()
    cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    (site_dir(SITE.name) / "kubeconfig").write_text(json.dumps(known))
    made = person_kubeconfig(SITE.model_copy(update={"sign_in": company}), "ward")
    made["clusters"][0]["cluster"] = cluster
    (tmp_path / "handed-over").write_text(json.dumps(made))
    (tmp_path / "kubectl").symlink_to(api.folder / "kubernetes")
    issuer.who = {"sub": "1", "preferred_username": "alice", "groups": ["member"]}
    trusted = ssl.create_default_context(cadata=issuer.authority)
    opened: list[str] = []

    def browse(address: str) -> None:
        opened.append(address)
        led = httpx.get(address, verify=trusted, timeout=PATIENCE).headers["location"]
        assert httpx.get(led, timeout=PATIENCE).status_code == 200

    names = Path("/etc/hosts")
    desk = Desk(tmp_path / "home", names, tmp_path, tmp_path / "handed-over", browse)
    assert desk.who()["username"] == "aiplat:alice"
    assert desk.kubectl("auth", "can-i", "create", "pods").strip() == "yes"
    assert 'in the namespace "aiplat-model"' in desk.refusal("get", "pods", "-n", "aiplat-model")
    assert len(opened) == 1


def test_a_changed_file_counts_without_a_restart(
    api: ApiServer, issuer: TestIssuer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The API server reads it again by itself, which takes it up to a minute or two."""
    token = token_of(issuer, "alice", aud="another-cli")
    assert signed_in(api, token) == {}
    write_atomic(api.folder / "authentication.json", configured(issuer, "portal-cli", "another-cli").encode())
    patience.until(lambda: signed_in(api, token) != {}, lambda: f"not read in {PATIENCE} s")
    assert signed_in(api, token_of(issuer, "alice"))["username"] == "aiplat:alice"


def test_a_team_that_goes_takes_its_members_access_with_it(
    api: ApiServer, issuer: TestIssuer, keeper: TeamKeeper
) -> None:
    """The namespace and what is in it stay."""
    objects = RawObjects.of_kubeconfig(api.kubeconfig(ADMIN), "kubectl")
    told = objects.read("Team.aiplat.dev", "", "ward") or {}
    assert told["status"]["message"] == "1 member and 1 group may work in team-ward"
    objects.delete("Team.aiplat.dev", "", "ward")
    assert keeper.run()
    assert patience.eventually(lambda: not can(api, token_of(issuer, "alice"), "get", "pods", "team-ward"))
    assert objects.read("ResourceQuota", "team-ward", "team")
