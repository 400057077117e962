"""What the pages of the portal say and do."""

from __future__ import annotations

import csv
import json
import re
import time
from dataclasses import replace
from decimal import Decimal

import pytest

from aiplat.services.portal.cluster import ClusterSeen, NodeSeen
from aiplat.services.portal.gateway import Gateway
from aiplat.services.portal.render import pages_of
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.services.gateway.alone import Alone, total
from tests.services.gateway.conftest import MODEL
from tests.services.portal.conftest import READY, SERVING, TOKEN, Site

SECRET = re.compile(r"sk-aiplat-[A-Za-z0-9_-]+")
QUESTION = {"model": MODEL, "prompt": "count to seven", "temperature": "0", "most": "5"}


def test_a_site_that_is_well_needs_nothing(site: Site) -> None:
    """The page says so, and of how much."""
    assert "Nothing. 1 node and 1 model are as they should be." in site.browser("operator").get("/").text


def test_what_is_wrong_stands_with_its_cause_and_a_command(site: Site) -> None:
    """A lost node, one that takes no pods, one without disk, and a model that does not fit."""
    lost = NodeSeen("a1", ready=False, message="kubelet stopped posting", version="", cordoned=False)
    held = NodeSeen("a2", ready=True, message="", version="", cordoned=True)
    full = replace(READY, name="a3", pressures=("its disk is nearly full",))
    refused = SERVING.model_copy(update={"state": "Refused", "message": "asks 2 nvidia.com/gpu"})
    site.see(nodes=(READY, lost, held, full), models=(refused,))
    text = site.browser("operator").get("/").text
    for said in (
        "kubelet stopped posting",
        "aiplat doctor hosts",
        "kubectl uncordon a2",
        "its disk is nearly full",
        "asks 2 nvidia.com/gpu",
    ):
        assert said in text


def test_a_member_is_told_of_models_and_not_of_machines(site: Site) -> None:
    """Nodes are the operators'."""
    lost = NodeSeen("a1", ready=False, message="kubelet stopped posting", version="", cordoned=False)
    site.see(nodes=(lost,), models=(SERVING.model_copy(update={"state": "Failing", "message": "crashed"}),))
    text = site.browser("red").get("/").text
    assert "crashed" in text
    assert "kubelet stopped posting" not in text


def test_a_cluster_that_does_not_answer_is_said_and_pages_are_shown(site: Site) -> None:
    """A fault of the cluster breaks no page."""
    site.seen = ClusterSeen(fault="cluster: does not answer")
    browser = site.browser("operator")
    for path in ("/", "/models", "/components"):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert "cluster: does not answer" in answer.text


def test_the_models_that_a_key_may_use_stand_with_their_state(site: Site) -> None:
    """The gateway says which, the cluster how they are and what they take."""
    text = site.browser("red").get("/models").text
    assert MODEL in text
    assert "Serving" in text
    assert SERVING.fit in text
    assert "4096" in text


def test_text_of_the_cluster_is_text_on_the_page(site: Site) -> None:
    """Marks in a message are shown, not obeyed."""
    site.see(
        models=(SERVING.model_copy(update={"state": "Failing", "message": "<script>alert(1)</script>"}),)
    )
    text = site.browser("red").get("/").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_a_question_is_answered_and_counted_for_who_asked(site: Site, gateway: Alone) -> None:
    """The gateway is asked with the key of who is signed in."""
    answer = site.browser("red").send("/playground", **QUESTION)
    assert "5, 6, 7" in answer.text
    _wait_for_usage(gateway, site.people.ids["red"], 1)


def test_two_models_answer_side_by_side(site: Site) -> None:
    """One that fails says why, the other answers."""
    text = site.browser("blue").send("/playground", **QUESTION, other="too-busy").text
    assert "5, 6, 7" in text
    assert "<h2>too-busy</h2>" in text


def test_an_answer_is_streamed_as_the_gateway_streams_it(site: Site) -> None:
    """The portal's script reads these events."""
    answer = site.browser("red").send("/playground/stream", **QUESTION)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = [
        line[6:] for line in answer.text.splitlines() if line.startswith("data: ") and "[DONE]" not in line
    ]
    deltas = [json.loads(e)["choices"] for e in events]
    assert "".join(c[0]["delta"].get("content") or "" for c in deltas if c) == " 5, 6, 7"


def test_a_question_that_cannot_be_sent_is_refused_with_all_that_is_wrong(site: Site) -> None:
    """All at once."""
    answer = site.browser("red").send("/playground", model=MODEL, prompt=" ", temperature="hot", most="0")
    assert answer.status_code == 422
    for said in ("question: is empty", "temperature: is not a number", "most tokens: is not a whole number"):
        assert said in answer.text


def test_what_the_gateway_refuses_is_said(site: Site) -> None:
    """A model that is not there."""
    answer = site.browser("red").send("/playground/stream", **QUESTION | {"model": "nothing"})
    assert answer.status_code == 502
    assert "nothing" in answer.text
    assert re.search(r"\(request [0-9a-f]{32}\)", answer.text)


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [("red", "/nowhere", 404), ("red", "/people", 403), ("red", "/playground?model=x", 200)],
)
def test_a_page_that_says_no_names_its_request(site: Site, who: str, path: str, status: int) -> None:
    """People copy it into a mail, scripts have it too; a page that is right has none."""
    for accept in ("text/html", "*/*"):
        answer = site.browser(who).get(path, headers={"accept": accept})
        assert answer.status_code == status
        assert (answer.headers["x-request-id"] in answer.text) is (status != 200)


def test_what_nobody_foresaw_is_a_page_that_names_its_request(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """What it was is in the log alone."""

    def breaks() -> ClusterSeen:
        raise RuntimeError("a secret of the portal")

    browser = site.browser("operator")
    object.__setattr__(site.portal, "look", breaks)
    answer = browser.get("/")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.text
    assert "a secret of the portal" not in answer.text
    assert "a secret of the portal" in caplog.text


def test_a_gateway_that_is_away_is_said(site: Site) -> None:
    """The page is shown all the same."""
    object.__setattr__(site.portal, "gateway", Gateway(f"http://127.0.0.1:{free_port()}/v1"))
    answer = site.browser("red").get("/models")
    assert answer.status_code == 200
    assert "gateway: does not answer as it should" in answer.text


def test_a_rotated_key_is_shown_once_and_the_session_goes_on_with_it(site: Site) -> None:
    """The old secret signs nobody in any more."""
    browser = site.browser("red")
    secret = SECRET.search(browser.send("/mine/rotate").text)
    assert secret
    assert secret[0] not in browser.get("/mine").text
    assert site.browser().sign_in(site.people.secrets["red"]).status_code == 403
    assert site.browser().sign_in(secret[0]).status_code == 200


def test_a_made_key_is_shown_once_and_signs_in(site: Site) -> None:
    """It has the team and the role that were chosen."""
    browser = site.browser("admin")
    made = browser.send("/people/keys", name="night shift", team="blue", role="member")
    secret = SECRET.search(made.text)
    assert secret
    assert secret[0] not in browser.get("/people").text
    member = site.browser()
    assert member.sign_in(secret[0]).status_code == 200
    assert "<dd>blue</dd>" in member.get("/mine").text


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/people/keys", {"name": "", "role": "king"}, "is not known"),
        ("/people/keys", {"name": "x", "team": "green"}, "is not there"),
        ("/people/teams", {"name": "Not A Slug"}, "name"),
        ("/people/teams", {"name": "red"}, "red"),
        ("/people/revoke", {"key": "key-000000000000"}, "key-000000000000"),
    ],
)
def test_what_cannot_be_made_is_said_on_a_page(
    site: Site, path: str, fields: dict[str, str], said: str
) -> None:
    """Bad input is a sentence, and nothing is changed."""
    answer = site.browser("admin").send(path, **fields)
    assert answer.status_code in {404, 422}, answer.text
    assert said in answer.text


def test_an_admin_does_not_revoke_the_key_that_is_signed_in(site: Site) -> None:
    """Somebody else has to."""
    answer = site.browser("admin").send("/people/revoke", key=site.people.ids["admin"])
    assert answer.status_code == 422
    assert "signed in with" in answer.text


def test_a_team_that_is_made_stands_in_the_list_and_in_the_audit_trail(site: Site) -> None:
    """So does who made it."""
    browser = site.browser("admin")
    assert "ward-9" in browser.send("/people/teams", name="ward-9", description="nights").text
    text = browser.get("/activity").text
    assert "team.created" in text
    assert site.people.ids["admin"] in text
    assert "portal.signed-in" in text


def test_usage_is_added_up_by_what_is_asked(site: Site) -> None:
    """An operator sees all teams, a member its own."""
    long = "&days=366"
    operator = site.browser("operator").get(f"/usage?by=team{long}").text
    assert "red" in operator
    assert "blue" in operator
    member = site.browser("red").get(f"/usage?by=model{long}").text
    assert "model-of-red" in member
    assert "model-of-blue" not in member


def test_usage_by_key_says_what_a_key_is_called(site: Site) -> None:
    """An id alone tells nobody whose it is."""
    text = site.browser("operator").get("/usage?by=key&days=366").text
    assert f"red <code>{site.people.ids['red']}</code>" in text


def test_usage_is_exported_as_csv_of_the_same_sums(site: Site) -> None:
    """A spreadsheet takes it as it is."""
    answer = site.browser("operator").get("/usage.csv?by=team&days=366")
    rows = list(csv.reader(answer.text.splitlines()))
    assert rows[0] == ["team", "requests", "failed", "prompt_tokens", "completion_tokens", "cost"]
    assert ["red", "2", "0", "20", "10", "0.003"] in rows


@pytest.mark.parametrize("query", ["by=colour", "days=0", "days=x", "days=1000000"])
def test_a_question_about_usage_that_makes_no_sense_is_refused(site: Site, query: str) -> None:
    """Without a fault of the portal's own."""
    assert site.browser("red").get(f"/usage?{query}").status_code == 422


def test_tokens_are_told_as_pages_too() -> None:
    """People know how long a page is."""
    assert pages_of(Decimal(1_000_000)) == "1,492"


def test_a_browser_without_script_sends_the_token_of_its_page(site: Site) -> None:
    """Every form that changes something has it."""
    browser = site.browser("admin")
    for path in ("/mine", "/people", "/playground"):
        text = browser.get(path).text
        assert text.count('method="post"') == len(TOKEN.findall(text)), path


def _wait_for_usage(gateway: Alone, key: str, requests: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := total(gateway.database_url, key=key)).requests < requests:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_the_control_api_is_beside_the_pages(site: Site) -> None:
    """It takes an API key and no session: a cookie that comes along opens nothing."""
    browser = site.browser("red")
    assert browser.get("/api/v1/me").status_code == 401
    secret = site.people.secrets["red"]
    mine = browser.get("/api/v1/me", headers={"authorization": f"Bearer {secret}"})
    assert mine.json()["key"]["id"] == site.people.ids["red"]
    assert "set-cookie" not in mine.headers
    assert browser.get("/api/v1/health").json() == {"status": "ok", "runs": "elsewhere"}
    assert browser.get("/api/v10").status_code == 404
