"""The portal on a lab host in a real browser: pages by role, an answer as it comes, keys; what is open."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiplat.services.store.keys import Role
from tests.e2e import open_doors
from tests.e2e.browser import PHONE, Window, key_of, started
from tests.e2e.journey import Journey
from tests.e2e.portal_walk import (
    answers_to,
    faults_of_menu,
    faults_of_pages,
    sign_in,
    sign_out,
    times_grown,
)
from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.lab, pytest.mark.journey]
MODEL, ADDRESS, DOMAIN = "smollm2:135m", "10.97.104.11", "ward.example"
ORIGIN = f"https://portal.{DOMAIN}"
KUBECTL = "k3s kubectl -n aiplat-user-serving"
SECRET = re.compile(r"sk-aiplat-[A-Za-z0-9_-]+")
QUESTION = "What is the capital of Italy?"
SOON = 2.0
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
PICTURE_BYTES = 150_000
Door = tuple[str, str, int]
TO_A_POD = {"kube-system/kube-dns:9153": "how many questions the name server had, not whose; it is k3s' own"}
TO_A_HOST = TO_A_POD | {
    "aiplat-model/engine-smollm2-135m:11434": "engines know no keys: policies let in the gateway alone",
    "aiplat-platform/prometheus:9090": "has no sign-in of its own: policies let in nobody but the platform",
}
TO_THE_NETWORK = {"host:5443": "nodes take images, charts and models there; nobody can change them"}


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """A lab host."""
    return make_journey("portal")


@pytest.fixture(scope="module")
def first(ward: Journey) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    done = ward.bootstrap()
    assert done["state"] == "done", done
    return done


@pytest.fixture(scope="module")
def secrets(ward: Journey, first: dict[str, Any]) -> dict[str, str]:
    """The key of each role: the first admin's is in the cluster, that one makes the others."""
    told = ward.on_host(f"{KUBECTL} get secret portal-gateway-key -o jsonpath={{.data.key}}")
    return {"admin": base64.b64decode(told).decode()}


@pytest.fixture(scope="module")
def authority(ward: Journey, first: dict[str, Any]) -> Path:
    """The certificate of the site's CA."""
    return ward.state / "aiplat" / "sites" / ward.name / "ca.crt"


@pytest.fixture(scope="module")
def browser(ward: Journey, secrets: dict[str, str]) -> Iterator[Browser]:
    """A browser that knows the site's names, and trusts the certificate that they have."""
    read = "k3s kubectl -n aiplat-access get secret gateway-tls -o jsonpath='{.data.tls\\.crt}'"
    trusted = key_of(base64.b64decode(ward.on_host(read)).decode())
    names = f"--host-resolver-rules=MAP *.{DOMAIN} {ADDRESS}, MAP * ~NOTFOUND, EXCLUDE {ADDRESS}"
    with started(names, f"--ignore-certificate-errors-spki-list={trusted}") as browser:
        yield browser


@pytest.fixture
def window(browser: Browser) -> Iterator[Window]:
    """A window in which nobody is signed in."""
    window = Window(browser, ORIGIN)
    yield window
    window.close()


@pytest.fixture
def admin(window: Window, secrets: dict[str, str]) -> Window:
    """A window in which the first admin is signed in."""
    sign_in(window, secrets["admin"])
    return window


def make_key(window: Window, name: str, role: Role, team: str = "") -> str:
    """Make a key as an admin does; returns the secret that is shown."""
    window.open("/people")
    made = window.page.locator("form[action='/people/keys']")
    made.get_by_label("Name").fill(name)
    made.get_by_label("Role").select_option(role)
    made.get_by_label("Team").select_option(team)
    made.get_by_role("button").click()
    found = SECRET.search(window.page.get_by_role("alert").inner_text())
    assert found
    return found[0]


def curl(authority: Path, url: str, *more: str, given: str = "") -> int:
    """Ask with curl and return the status; `given` is what it is told where nobody sees it."""
    ways = ["-sS", "--cacert", str(authority), "--resolve", f"*:443:{ADDRESS}", "-o", "/dev/null", "-K", "-"]
    done = subprocess.run(
        ["curl", *ways, "-w", "%{http_code}", *more, url],
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return int(done.stdout)


def answered_to(authority: Path, secret: str) -> int:
    """Ask the gateway a question with a key; returns the status."""
    body = json.dumps({"model": MODEL, "prompt": "The sea is", "max_tokens": 2})
    header = f'header = "Authorization: Bearer {secret}"\n'
    return curl(authority, f"https://api.{DOMAIN}/v1/completions", "--json", body, given=header)


def seconds_until(status: int, ask: Callable[[], int]) -> float:
    """Return after how long the gateway was asked to whom it answered with a status for the first time."""
    began = time.monotonic()
    while True:
        at = time.monotonic() - began
        if ask() == status:
            return at
        assert at < PATIENCE, f"no {status}"


def test_a_new_site_needs_no_attention_and_shows_its_model(admin: Window) -> None:
    """What the cluster and the gateway tell stands on the pages."""

    def well() -> bool:
        admin.open("/")
        return admin.page.get_by_text("Nothing. 1 node and 1 model are as they should be.").is_visible()

    eventually(well)
    admin.open("/models")
    row = admin.page.get_by_role("row").filter(has_text=MODEL)
    assert "Serving" in row.inner_text()


def test_an_admin_makes_a_team_and_keys_for_others(admin: Window, secrets: dict[str, str]) -> None:
    """With what the page offers; each secret is shown once."""
    admin.open("/people")
    made = admin.page.locator("form[action='/people/teams']")
    made.get_by_label("Name").fill("night")
    made.get_by_role("button").click()
    admin.page.get_by_role("listitem").filter(has_text="night").wait_for()
    secrets["operator"] = make_key(admin, "on call", "operator")
    secrets["member"] = make_key(admin, "night shift", "member", "night")
    text = admin.open("/people").text()
    assert not SECRET.search(text)


@pytest.mark.parametrize("role", ["admin", "operator", "member", None])
def test_every_page_is_for_who_it_is_for_and_good_to_use(
    window: Window, secrets: dict[str, str], role: Role | None
) -> None:
    """By keyboard, on a phone, light and dark, for axe; all comes from the site, no policy is broken."""
    if role:
        sign_in(window, secrets[role])
        assert faults_of_menu(window, role) == []
    assert faults_of_pages(window, role) == []


def test_operators_watch_a_run_while_it_is_made(
    ward: Journey, window: Window, secrets: dict[str, str]
) -> None:
    """Step by step with reasons, on a page that nobody loads again; the first run came when it had ended."""
    sign_in(window, secrets["operator"])
    page = window.open("/runs") and window.page
    first = page.get_by_role("row").filter(has_text="bootstrap").first
    assert "done" in first.inner_text()
    before = page.locator("#run-about code").first.inner_text()
    ward.on_host("chmod 0644 /etc/rancher/k3s/registries.yaml")
    with ThreadPoolExecutor() as aside:
        made = aside.submit(ward.bootstrap)
        page.locator("#run-state").filter(has_text="running").wait_for()
        page.locator("#run-steps").filter(has_text="registries.yaml").wait_for()
        shown = page.locator("#run-about code").first.inner_text()
        page.locator("#run-state").filter(has_text="done, ").wait_for()
        window.picture(PICTURES / "portal-runs.png")
        summary = made.result()
    assert (summary["state"], summary["run"]) == ("done", shown)
    assert shown != before
    assert window.complaints == []


def test_operators_read_what_a_component_writes_as_it_is_written(
    ward: Journey, window: Window, secrets: dict[str, str]
) -> None:
    """A statement that PostgreSQL refuses stands on the page, which nobody loads again."""
    sign_in(window, secrets["operator"])
    window.open("/logs?component=postgresql&level=error")
    window.page.get_by_text("Live: new lines come by themselves.").wait_for()
    ask = "psql -h /tmp -U postgres -c 'select nothing_of_that_name'"
    pod = "k3s kubectl -n aiplat-data exec statefulset/postgresql --"
    ward.on_host(f"{pod} {ask}", expect=1)
    window.page.locator("#lines").get_by_text("nothing_of_that_name").first.wait_for()
    window.open("/logs?component=gateway&level=debug&since=1+day")
    assert window.page.locator("#lines tr").count() > 0
    assert window.complaints == []


def test_signing_out_leaves_nothing_to_go_back_to(admin: Window) -> None:
    """Neither the browser's own button nor an address shows a page of somebody who left."""
    admin.open("/people")
    sign_out(admin)
    assert admin.cookies() == {}
    admin.page.go_back()
    assert admin.page.get_by_role("heading", name="Sign in").is_visible()


def test_the_playground_writes_the_models_answer_as_it_comes(admin: Window) -> None:
    """Through ingress, portal and gateway nothing holds the pieces back."""
    assert "Rome" in answers_to(admin, QUESTION, MODEL)[MODEL]
    assert times_grown(admin) > 3
    admin.picture(PICTURES / "portal-playground.png")


def test_a_key_of_the_portal_works_with_curl_at_once_until_it_is_revoked(
    admin: Window, authority: Path
) -> None:
    """The gateway knows within two seconds, both times; usage names the key and who asked the playground."""
    secret = make_key(admin, "short", "member", "night")
    known = seconds_until(200, lambda: answered_to(authority, secret))

    def counted() -> bool:
        admin.open("/usage?by=key")
        shown = " ".join(admin.page.get_by_role("rowheader").all_inner_texts())
        return "short" in shown and "first-admin" in shown

    eventually(counted)
    admin.open("/people")
    admin.page.get_by_role("button", name="Revoke short").click()
    admin.page.get_by_role("button", name="Revoke short").wait_for(state="detached")
    refused = seconds_until(401, lambda: answered_to(authority, secret))
    assert max(known, refused) <= SOON, f"known after {known:.1f} s, refused after {refused:.1f} s"


def test_pictures_of_the_pages_are_kept_for_the_documents(
    admin: Window, browser: Browser, secrets: dict[str, str]
) -> None:
    """Each is small enough for a repository."""
    for path in ("models", "people"):
        admin.open(f"/{path}")
        admin.picture(PICTURES / f"portal-{path}.png")
    admin.page.emulate_media(color_scheme="dark")
    admin.open("/usage?by=key")
    admin.picture(PICTURES / "portal-usage-dark.png")
    phone = Window(browser, ORIGIN, viewport=PHONE)
    sign_in(phone, secrets["member"])
    phone.open("/mine")
    phone.picture(PICTURES / "portal-mine-phone.png")
    phone.close()
    sizes = {file.name: file.stat().st_size for file in PICTURES.glob("portal-*.png")}
    assert len(sizes) == 6
    assert {name: size for name, size in sizes.items() if size > PICTURE_BYTES} == {}


def listed(ward: Journey, kind: str) -> list[dict[str, Any]]:
    """Return all objects of a kind."""
    return list(json.loads(ward.on_host(f"k3s kubectl get {kind} -A -o json"))["items"])


def named(document: dict[str, Any]) -> str:
    """Return namespace and name of a Service, of what lists its pods, or of what a pod is of."""
    metadata = document["metadata"]
    labels = metadata.get("labels", {})
    known = (labels.get(k) for k in ("kubernetes.io/service-name", "app.kubernetes.io/name", "k8s-app"))
    name = metadata["name"] if document["kind"] == "Service" else next(filter(None, known), metadata["name"])
    return f"{metadata['namespace']}/{name}"


@pytest.fixture(scope="module")
def services(ward: Journey, first: dict[str, Any]) -> list[Door]:
    """Every port of every Service, at its own address and at its pods'."""
    found = [
        (named(s), s["spec"]["clusterIP"], p["port"])
        for s in listed(ward, "services")
        if s["spec"].get("clusterIP", "None") != "None"
        for p in s["spec"]["ports"]
    ]
    return found + [
        (named(s), address, p["port"])
        for s in listed(ward, "endpointslices")
        for e in s["endpoints"] or []
        for address in e["addresses"]
        for p in s["ports"] or []
    ]


@pytest.fixture(scope="module")
def pods(ward: Journey, first: dict[str, Any]) -> list[Door]:
    """Every port that a pod says it has, also for health and metrics."""
    return [
        (named(pod), pod["status"]["podIP"], port["containerPort"])
        for pod in listed(ward, "pods")
        if pod["status"].get("podIP")
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]


def assert_named(found: dict[str, list[str]], reasons: dict[str, str]) -> None:
    """See that all that answers has a reason, and that every reason is still needed."""
    told = "\n".join(f"{name}: {paths}" for name, paths in sorted(found.items()))
    assert sorted(found) == sorted(reasons), told


def test_from_a_host_only_what_is_named_here_answers_without_credentials(
    ward: Journey, services: list[Door]
) -> None:
    """A host is behind the network policies: whoever is root there sees what the platform's pods see."""
    program = Path(open_doors.__file__).read_text()
    told = ward.on_host(f"python3 - '{json.dumps(services)}' <<'EOF'\n{program}\nEOF")
    assert_named(json.loads(told), TO_A_HOST)


def test_a_pod_of_somebody_else_reaches_nothing_without_credentials(
    ward: Journey, services: list[Door], pods: list[Door]
) -> None:
    """Network policies let it reach what asks for a key, and nothing that does not."""
    ward.on_host("k3s kubectl create namespace shop")
    program, image = Path(open_doors.__file__).read_text(), ward.image("aiplat")
    start = f"k3s kubectl -n shop run walker --restart=Never --image={image} -i --rm -q --command --"
    told = ward.on_host(f"{start} python3 - '{json.dumps(services + pods)}' <<'EOF'\n{program}\nEOF")
    assert_named(json.loads(told), TO_A_POD)
    ward.on_host("k3s kubectl delete namespace shop --wait=false")


def test_what_a_host_listens_on_answers_nothing_without_credentials(
    ward: Journey, first: dict[str, Any]
) -> None:
    """As a machine of the same network asks."""
    listening = ward.on_host("ss -Htln").splitlines()
    ports = {int(line.split()[3].rpartition(":")[2]) for line in listening if "127.0.0" not in line}
    found = open_doors.answered([("host", ADDRESS, port) for port in sorted(ports)])
    assert_named(found, TO_THE_NETWORK)


def test_no_name_of_the_site_answers_without_credentials(ward: Journey, authority: Path) -> None:
    """Names of components and the gateway's own, whatever path is asked for."""
    names = [*ward.document("hosts")["names"], f"nobody.{DOMAIN}"]
    assert f"portal.{DOMAIN}" in names
    told = {f"{n}{path}": curl(authority, f"https://{n}{path}") for n in names for path in open_doors.PATHS}
    assert {url: status for url, status in told.items() if status in range(200, 300)} == {}


def test_the_second_bootstrap_changes_nothing(ward: Journey, first: dict[str, Any]) -> None:
    """The portal's secrets are generated once."""
    assert ward.bootstrap()["changed"] == 0


def test_a_session_outlives_the_pod_that_began_it(ward: Journey, admin: Window) -> None:
    """What a session is stands in its cookie: any replica answers."""
    ward.on_host(f"{KUBECTL} delete pod --selector app.kubernetes.io/name=portal")

    def goes_on() -> bool:
        return admin.open("/mine").status == 200 and "first-admin" in admin.page.inner_text("main")

    eventually(goes_on)


def test_the_reset_leaves_nothing(ward: Journey, first: dict[str, Any]) -> None:
    """What the portal brought goes with the platform."""
    assert ward.lines("reset", str(ward.site_file), "--yes", "--json")[-1]["state"] == "done"
