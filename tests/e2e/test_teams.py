"""Teams in a lab: members use kubectl in their namespace, by tokens of the site's and a company's sign-in."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.company import Company, company
from tests.e2e.journey import Journey
from tests.e2e.kubectl import Desk, put_kubectl
from tests.e2e.visitor import Visitor
from tests.patience import PATIENCE, eventually, until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
ADDRESS, DOMAIN, MODEL = "10.97.108.11", "ward.example", "smollm2:135m"
ISSUER = f"https://login.{DOMAIN}"
PASSWORD = "correct horse battery"
BUDGETS = [{"unit": "tokens", "period": "day", "limit": 100000}]
WARD = {
    "apiVersion": "aiplat.dev/v1alpha1",
    "kind": "Team",
    "metadata": {"name": "ward"},
    "spec": {
        "description": "Discharge letters",
        "members": ["alice", "ida"],
        "groups": ["nurses"],
        "models": [MODEL],
        "budgets": BUDGETS,
        "quota": {"cpu": 1, "memory": "1Gi", "pods": 2},
    },
}
LABORATORY = {**WARD, "metadata": {"name": "laboratory"}, "spec": {"members": ["carol"]}}
Desks = Callable[[str], Desk]


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey], tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """A lab host; the site file is a copy, because the sign-in changes in the end."""
    made = make_journey("teams")
    copy = tmp_path_factory.mktemp("site") / "site.yaml"
    copy.write_text(made.site_file.read_text())
    return Journey(made.name, copy, made.state)


@pytest.fixture(scope="module")
def admin(ward: Journey) -> Visitor:
    """The first admin's browser, after the link that the first bootstrap ends with."""
    done = ward.aiplat("bootstrap", str(ward.site_file), "--yes")
    (link,) = [s.strip() for s in done.stderr.splitlines() if s.startswith(f"{ISSUER}/reset/admin/")]
    browser = visitor(ward)
    assert browser.post(link, password=PASSWORD, confirmation=PASSWORD).is_redirect
    return browser


@pytest.fixture(scope="module")
def teams(ward: Journey, admin: Visitor) -> None:
    """Two Teams, a group of the sign-in that an admin made in the browser, and people."""
    assert admin.post(f"{ISSUER}/groups/add", display_name="nurses", description="").is_redirect
    apply(ward, WARD)
    apply(ward, LABORATORY)
    assert eventually(lambda: all(state == "Ready" for state in states(ward).values()))


@pytest.fixture(scope="module")
def desks(ward: Journey, teams: None, tmp_path_factory: pytest.TempPathFactory) -> Desks:
    """Give a function that makes somebody an account and a machine with what they were handed."""
    root = tmp_path_factory.mktemp("desks")
    (root / "programs").mkdir()
    put_kubectl(root / "programs", ward.site_file)
    (root / "hosts").write_text("127.0.0.1 localhost\n" + ward.aiplat("hosts", str(ward.site_file)).stdout)
    there: dict[str, Desk] = {}

    def desk(name: str, *groups: str, team: str = "ward") -> Desk:
        if name not in there:
            browser = signed_up(ward, name, *groups)
            there[name] = _desk(ward, root, name, team, lambda address: opened(browser.get(address)))
        return there[name]

    return desk


def _desk(ward: Journey, root: Path, name: str, team: str, browse: Callable[[str], None]) -> Desk:
    (root / name).mkdir()
    words = ("--sign-in", "--team", team) if team else ("--sign-in",)
    given = ward.aiplat("kubeconfig", str(ward.site_file), *words).stdout
    (root / name / "kubeconfig").write_text(given)
    return Desk(root / name, root / "hosts", root / "programs", root / name / "kubeconfig", browse)


def visitor(ward: Journey) -> Visitor:
    """Return a browser that trusts the site's CA."""
    return Visitor(ADDRESS, str(ward.state / "aiplat" / "sites" / ward.name / "ca.crt"))


def signed_up(ward: Journey, name: str, *groups: str) -> Visitor:
    """Add a person and return the browser in which they set their password."""
    words = [word for group in groups for word in ("--group", group)]
    told = ward.aiplat("users", "add", name, *words, str(ward.site_file), "--json").stdout
    browser = visitor(ward)
    assert browser.post(json.loads(told)["link"], password=PASSWORD, confirmation=PASSWORD).is_redirect
    return browser


def opened(answer: httpx.Response) -> None:
    """Go where the sign-in leads: to what waits on loopback."""
    assert answer.headers["location"].startswith("http://127.0.0.1:840"), answer.headers
    assert httpx.get(answer.headers["location"], timeout=PATIENCE).status_code == 200


def apply(ward: Journey, document: dict[str, Any]) -> None:
    """Apply an object as the cluster's administrator."""
    ward.on_host(f"k3s kubectl apply -f - <<'EOF'\n{json.dumps(document)}\nEOF")


def states(ward: Journey) -> dict[str, str]:
    """Return the states of the Teams by their names."""
    told = json.loads(ward.on_host("k3s kubectl get teams -o json"))["items"]
    return {t["metadata"]["name"]: t.get("status", {}).get("phase", "") for t in told}


def pod(ward: Journey, name: str, cpu: str = "100m") -> str:
    """Return a pod as Pod Security lets a team have it."""
    container = {
        "name": "main",
        "image": ward.image("aiplat"),
        "command": ["python3", "-c", "import signal; signal.pause()"],
        "resources": {"requests": {"cpu": cpu}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_a_member_works_in_the_teams_namespace(ward: Journey, desks: Desks) -> None:
    """She signs in once, as kubectl asks for it; the pod that she starts runs."""
    alice = desks("alice", "member")
    assert (alice.who()["username"], "aiplat:member" in alice.who()["groups"]) == ("aiplat:alice", True)
    alice.kubectl("apply", "-f", "-", given=pod(ward, "letters"))
    alice.kubectl("wait", "--for=condition=Ready", "pod/letters", f"--timeout={PATIENCE}s")
    assert alice.kubectl("get", "pods", "-o", "name").split() == ["pod/letters"]
    assert alice.kubectl("get", "models", "-A", "-o", "name")


def test_a_member_is_refused_everywhere_else(desks: Desks) -> None:
    """In another team's namespace, in the platform's, and for what is not a member's in her own."""
    alice, carol = desks("alice", "member"), desks("carol", "member", team="laboratory")
    for person, elsewhere in ((alice, "team-laboratory"), (carol, "team-ward"), (alice, "aiplat-model")):
        said = person.refusal("get", "pods", "-n", elsewhere)
        assert "Forbidden" in said
        assert f'in the namespace "{elsewhere}"' in said
    assert "Forbidden" in alice.refusal("get", "nodes")
    assert "Forbidden" in alice.refusal("delete", "resourcequota", "team")
    assert "Forbidden" in alice.refusal("patch", "team", "ward", "--type=merge", "-p", "{}")


def test_the_quota_refuses_by_name(ward: Journey, desks: Desks) -> None:
    """What a pod asks for and how many there are; the sentence says which limit."""
    alice = desks("alice", "member")
    greedy = alice.refusal("apply", "-f", "-", given=pod(ward, "greedy", cpu="2"))
    assert "exceeded quota: team" in greedy
    assert "requests.cpu=1" in greedy
    alice.kubectl("apply", "-f", "-", given=pod(ward, "second"))
    third = alice.refusal("apply", "-f", "-", given=pod(ward, "third"))
    assert "exceeded quota: team" in third
    assert "pods=2" in third


def test_the_gateway_takes_the_teams_models_and_budgets(ward: Journey, admin: Visitor, desks: Desks) -> None:
    """An admin sees them by name, with the token that the command line got."""
    boss = desks("boss", "admin", team="")
    login = ("aiplat", "login", "--token-only", *login_words(boss))
    bearer = {"Authorization": f"Bearer {boss.run(*login).stdout.strip()}"}

    def told(path: str) -> dict[str, Any]:
        return dict(admin.get(f"https://portal.{DOMAIN}/api/v1/teams/ward{path}", headers=bearer).json())

    budgets = until(lambda: told("/budgets").get("budgets"), lambda: told("/budgets"))
    assert [(b["unit"], b["period"], b["limit"]) for b in budgets] == [("tokens", "day", "100000")]
    assert (told("")["description"], told("")["models"]) == ("Discharge letters", [MODEL])
    assert boss.kubectl("auth", "can-i", "*", "*").strip() == "yes"


def login_words(desk: Desk) -> list[str]:
    """Return how the kubeconfig signs its person in, but for what it prints."""
    words = json.loads(desk.kubeconfig.read_text())["users"][0]["user"]["exec"]["args"]
    return [word for word in words[1:] if word != "--exec-credential"]


def test_who_leaves_the_group_is_refused_at_the_next_token(ward: Journey, desks: Desks) -> None:
    """A token says who somebody was at the sign-in; the next one says it again."""
    bob = desks("bob", "member", "nurses")
    assert "pod/letters" in bob.kubectl("get", "pods", "-o", "name")
    ward.aiplat("users", "groups", "bob", "--group", "member", str(ward.site_file))
    assert "pod/letters" in bob.kubectl("get", "pods", "-o", "name")
    assert bob.run("aiplat", "logout", *login_words(bob)).returncode == 0
    assert 'in the namespace "team-ward"' in bob.refusal("get", "pods")
    assert bob.who()["username"] == "aiplat:bob"


def test_a_second_run_changes_nothing(ward: Journey, desks: Desks) -> None:
    """What a team has in its namespace is nobody's drift."""
    assert desks("alice").kubectl("get", "pods", "-o", "name")
    done = ward.bootstrap()
    assert [c["sentence"] for c in done["checks"] if c["result"] == "FAIL"] == []
    assert done["changed"] == 0


@pytest.fixture(scope="module")
def elsewhere(ward: Journey, desks: Desks) -> Company:
    """The company's provider in place of the site's; its CA is one that nobody else trusts."""
    there = company(ADDRESS)
    (ward.site_file.parent / "company-ca.pem").write_text(there.authority.crt)
    settings = {
        "issuer": there.issuer,
        "clientId": there.client,
        "clientSecret": {"fromSecret": "sign-in"},
        "cliClientId": there.command_line,
        "ca": "company-ca.pem",
        "groupsClaim": "roles",
        "groups": {"admin": ["AI admins"], "member": ["Staff"]},
    }
    without = ward.site_file.read_text().replace("    canaille: {state: on}\n", "    ingress: {state: on}\n")
    ward.site_file.write_text(f"{without}signIn: {json.dumps(settings)}\n")
    ward.aiplat("secret", "set", "sign-in", str(ward.site_file), given=there.secret)
    told = json.loads(ward.aiplat("sign-in", str(ward.site_file), "--json").stdout)
    there.starts(ward, {client["id"]: client["redirectUris"] for client in told["clients"]}, ["Staff"])
    done = ward.bootstrap()
    assert [c["sentence"] for c in done["checks"] if c["result"] == "FAIL"] == []
    return there


def test_people_of_the_company_use_kubectl(ward: Journey, elsewhere: Company, desks: Desks) -> None:
    """The API server and their machines judge the issuer by the company's CA; the site's tokens are over."""
    trusted = ssl.create_default_context(cadata=elsewhere.authority.crt)
    alice = desks("alice")
    root = alice.home.parent
    ida = _desk(ward, root, "ida", "ward", lambda at: opened(httpx.get(at, verify=trusted, timeout=PATIENCE)))
    # It reads its file again within a minute or two.
    assert eventually(lambda: ida.who().get("username") == "aiplat:ida")
    assert "aiplat:Staff" in ida.who()["groups"]
    assert "pod/letters" in ida.kubectl("get", "pods", "-o", "name")
    assert "Forbidden" in ida.refusal("get", "pods", "-n", "team-laboratory")
    assert eventually(lambda: alice.who() == {})


def test_a_reset_leaves_nothing(ward: Journey, elsewhere: Company) -> None:
    """No folder of Kubernetes or the platform is there."""
    assert ward.lines("reset", str(ward.site_file), "--yes", "--json")[-1]["state"] == "done"
    looked_at = "ls -d /etc/rancher /var/lib/rancher /var/lib/aiplat /var/lib/kubelet 2>/dev/null; true"
    assert ward.on_host(looked_at).splitlines() == []
