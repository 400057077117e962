"""Every check is green on a healthy site, and each goes red for its own reason and no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiplat.errors import Finding
from aiplat.site.models import Site
from aiplat.verify.check import Check
from aiplat.verify.context import CheckContext
from aiplat.verify.report import Report, Result
from aiplat.verify.run import checks_of, run_check, run_checks
from tests.cluster import kube as given
from tests.verify.loopback import Loopback

Break = Callable[[Loopback], object]


def failed(report: Report) -> dict[str, str]:
    """Return the sentences that are not true, with what was seen."""
    return {r.sentence: r.detail for r in report.of("FAIL")}


def test_a_healthy_site_is_green(healthy: Loopback) -> None:
    """All checks of core and components, none skipped, in the order of the checks."""
    seen: list[tuple[Result, int]] = []
    report = run_checks(healthy.site, lambda result, total: seen.append((result, total)), disks=tuple)
    assert failed(report) == {}
    assert report.of("SKIP") == ()
    assert [r.sentence for r in report.results] == [c.sentence for c in checks_of(healthy.site)]
    assert len(seen) == len(report.results) == seen[0][1]
    said = next(r.detail for r in report.results if r.component == "ollama")
    assert said == "gemma3:270m-base-q4_k_m: 5, 6, 7"


def open_node_port(site: Loopback) -> None:
    """Somebody made the gateway's Service one that listens on every host."""
    service = next(s for s in site.kube.lists["services"] if s["metadata"]["name"] == "gateway")
    service["spec"]["ports"][0]["nodePort"] = 30443


def lose_node(site: Loopback) -> None:
    """The only node stops reporting."""
    site.kube.lists["nodes"] = [given.node("s1", "Unknown", "Kubelet stopped posting node status.")]


def fail_release(site: Loopback) -> None:
    """The newest revision of the gateway's release failed."""
    site.kube.lists["secrets"].append(given.release("gateway", "aiplat-access", "failed", 2))


def crash_gateway(site: Loopback) -> None:
    """No pod of the gateway is available."""
    items = site.kube.lists["deployments"]
    index = next(i for i, d in enumerate(items) if d["metadata"]["name"] == "gateway")
    items[index] = given.deployment(
        "gateway", "aiplat-access", items[index]["metadata"]["labels"], available=0
    )


def scale_gateway_to_nothing(site: Loopback) -> None:
    """Somebody wants no pod of the gateway: none of none is not a success."""
    items = site.kube.lists["deployments"]
    index = next(i for i, d in enumerate(items) if d["metadata"]["name"] == "gateway")
    labels = items[index]["metadata"]["labels"]
    items[index] = given.deployment("gateway", "aiplat-access", labels, available=0, wanted=0)


def let_gateway_crash_again_and_again(site: Loopback) -> None:
    """A pod serves just now, and ended four times, a minute ago the last time."""
    pod = next(p for p in site.kube.lists["pods"] if p["metadata"]["name"] == "gateway-1")
    ended = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    container = pod["status"]["containerStatuses"][0]
    container["restartCount"] = 4
    container["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ended}}


def sneak_image_in(site: Loopback) -> None:
    """Somebody runs an image by tag."""
    site.kube.lists["pods"].append(given.pod("odd", "aiplat-model", {}, "docker.io/odd/odd:TAG"))


def replace_image(site: Loopback) -> None:
    """An image has a digest that the lock does not know."""
    site.kube.lists["pods"].append(
        given.pod("odd", "aiplat-model", {}, f"docker.io/odd/odd@sha256:{'0' * 64}")
    )


def open_plane(site: Loopback) -> None:
    """The default-deny policy of one plane is gone."""
    site.kube.lists["networkpolicies"].pop(0)


def let_all_connect(site: Loopback) -> None:
    """No policy is enforced."""
    site.kube.executed = lambda _pod, _command: ("ended:0\n", 0)


def let_nobody_connect(site: Loopback) -> None:
    """Everything is refused, the gateway's own way included."""
    site.kube.executed = lambda _pod, _command: ("ended:124\n", 0)


def take_shell_away(site: Loopback) -> None:
    """The pod has no shell: that must not pass for a refused connection."""
    site.kube.executed = lambda _pod, _command: ("exec: bash: not found", 127)


def silence_ssh(site: Loopback) -> None:
    """Something else answers on the host's SSH port."""
    site.ssh.words = b"HTTP/1.1 400"


REFUSED = {
    "The engines may not connect to the gateway.",
    "The engines may not connect to the Kubernetes API.",
    "The operator may not connect to the engines.",
    "The engines may not connect to PostgreSQL.",
    "PostgreSQL may not connect to the gateway.",
    "The gateway may not connect to the site registry.",
}
ALLOWED = {"The gateway may connect to the engines."}


@pytest.mark.parametrize(
    ("broken", "sentences", "said"),
    [
        (lose_node, {"Every host is a Ready node."}, "s1: Kubelet stopped posting node status."),
        (fail_release, {"Every release is deployed."}, "gateway is failed"),
        (crash_gateway, {"Every workload is available.", "The gateway serves."}, "0 of 1 available"),
        (scale_gateway_to_nothing, {"The gateway serves."}, "it is scaled to 0"),
        (
            let_gateway_crash_again_and_again,
            {"The gateway serves."},
            "4 times, last after OOMKilled, exit code 137",
        ),
        (sneak_image_in, {"Every image is named by digest and comes from the site registry."}, "by digest"),
        (replace_image, {"Every image is named by digest and comes from the site registry."}, "site's lock"),
        (open_node_port, {"No Service opens a port of the hosts past the policies."}, "gateway opens 30443"),
        (open_plane, {"Every plane denies connections that no policy allows."}, "aiplat-access has no"),
        (let_all_connect, REFUSED, "is allowed, expected refused"),
        (let_nobody_connect, ALLOWED, "is refused, expected allowed"),
        (take_shell_away, REFUSED | ALLOWED, "no connection could be tried"),
        (silence_ssh, {"Every host answers on its SSH port."}, "does not speak SSH"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_is_seen_by_its_own_check(
    healthy: Loopback, broken: Break, sentences: set[str], said: str
) -> None:
    """The checks named fail, with a detail that helps, and all others stay green."""
    broken(healthy)
    found = failed(run_checks(healthy.site))
    assert set(found) == sentences
    assert all(said in detail for detail in found.values())


def test_a_full_disk_and_hosts_that_nobody_can_ask_are_told_apart(healthy: Loopback) -> None:
    """The first fails with host, place and room; of the second nothing is said, neither good nor bad."""
    full = Finding("s1", "the disk at / is full: 0 of 900 MiB are free")
    assert failed(run_checks(healthy.site, disks=lambda: [full])) == {"No disk of a host is full.": str(full)}
    skipped = [r.sentence for r in run_checks(healthy.site).of("SKIP")]
    assert skipped == ["No disk of a host is full."]


def test_a_certificate_that_ends_soon_is_seen_where_it_is_shown(
    healthy: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway's and the registry's, each with who renews it; the CA lasts longer."""
    monkeypatch.setattr("aiplat.verify.certificates.WARN_BEFORE", timedelta(days=800))
    (said,) = failed(run_checks(healthy.site)).values()
    assert "the gateway's certificate ends on " in said
    assert "the registry's certificate on s1 ends on " in said
    assert "`aiplat bootstrap` renews it" in said
    assert "CA" not in said


def test_certificates_of_others_at_the_sites_addresses_are_not_the_sites(
    healthy: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy may answer there before there is a site."""
    monkeypatch.setattr("aiplat.verify.certificates.site_dir", lambda _: tmp_path)
    (said,) = [r for r in run_checks(healthy.site).results if r.sentence.startswith("No certificate")]
    assert (said.result, said.detail) == ("SKIP", "the site has no CA yet")


def test_what_is_still_starting_is_waited_for(healthy: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """With patience a check that fails is asked again, and only what was not well is."""
    monkeypatch.setattr("aiplat.verify.run._AGAIN_SECONDS", 0)
    crash_gateway(healthy)
    told: list[str] = []

    def heal(result: Result, _total: int) -> None:
        told.append(result.sentence)
        if result.result == "FAIL":
            healthy.bootstrap()

    assert failed(run_checks(healthy.site, heal, patience=60)) == {}
    assert told.count("The gateway serves.") == 2
    assert told.count("Every host answers on its SSH port.") == 1


def test_patience_ends(healthy: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come is a failure in the end."""
    monkeypatch.setattr("aiplat.verify.run._AGAIN_SECONDS", 0)
    crash_gateway(healthy)
    assert set(failed(run_checks(healthy.site, patience=0.2))) >= {"The gateway serves."}


def test_without_an_api_there_is_one_failure_and_the_rest_is_skipped(healthy: Loopback) -> None:
    """One cause, one FAIL; what goes through the gateway is still looked at."""
    healthy.kube.refuse = 503
    report = run_checks(healthy.site, disks=tuple)
    assert set(failed(report)) == {"The Kubernetes API answers."}
    assert {r.detail for r in report.of("SKIP")} == {"the Kubernetes API does not answer"}
    assert "The gateway refuses who has no key." in {r.sentence for r in report.of("OK")}


def test_a_model_that_says_something_else_fails(healthy: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's words are compared, not only its status."""
    monkeypatch.setattr("tests.services.gateway.engine.WORDS", (" banana",))
    found = failed(run_checks(healthy.site))
    assert list(found.values()) == [
        "gemma3:270m-base-q4_k_m was asked '1, 2, 3, 4,' and said ' banana', without '5, 6, 7'"
    ]


def test_a_site_without_models_skips_what_asks_them(healthy: Loopback) -> None:
    """There is nobody to ask."""
    report = run_checks(healthy.site.model_copy(update={"models": ()}))
    assert failed(report) == {}
    assert "the site serves no model that writes text" in {r.detail for r in report.of("SKIP")}


def test_a_site_that_was_never_bootstrapped_fails_without_a_crash(healthy: Loopback) -> None:
    """Another name: no state, no kubeconfig, no key."""
    report = run_checks(healthy.site.model_copy(update={"name": "t-nowhere"}))
    assert set(failed(report)) == {"The Kubernetes API answers."}
    assert not report.good


def test_a_check_that_breaks_is_a_failure(healthy: Loopback) -> None:
    """Never OK, and never a crash of the others."""

    def look(_: CheckContext) -> str:
        raise ZeroDivisionError("oops")

    result = run_check(Check("All is well.", "model", "x", look), CheckContext(healthy.site))
    assert (result.result, result.detail) == ("FAIL", "the check itself broke: ZeroDivisionError: oops")


def test_an_unreachable_platform_is_a_failure(healthy: Loopback) -> None:
    """Nobody listens at the endpoint."""
    cluster = healthy.site.cluster.model_copy(update={"endpoint": "127.0.0.254"})
    site: Site = healthy.site.model_copy(update={"cluster": cluster})
    found = failed(run_checks(site))
    assert "The gateway refuses who has no key." in found
    assert "Connection refused" in found["The gateway refuses who has no key."]
