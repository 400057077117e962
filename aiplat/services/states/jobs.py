"""Series of Jobs and CronJobs."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.services.states.series import Document, Sample, counted, one_of

_STATUSES = ("true", "false", "unknown")
_ENDS = {"Complete": "complete", "Failed": "failed"}


def job(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a Job."""
    meta, spec, status = document["metadata"], document["spec"], document.get("status", {})
    one = {"namespace": meta["namespace"], "job_name": meta["name"]}
    yield Sample("kube_job_info", one, 1)
    numbers = {
        "created": meta.get("creationTimestamp"),
        "spec_completions": spec.get("completions"),
        "status_active": status.get("active", 0),
        "status_succeeded": status.get("succeeded", 0),
        "status_start_time": status.get("startTime"),
        "status_completion_time": status.get("completionTime"),
    }
    yield from counted("kube_job_", one, numbers)
    for owner in meta.get("ownerReferences", ()):
        yield Sample("kube_job_owner", {**one, "owner_kind": owner["kind"], "owner_name": owner["name"]}, 1)
    yield from _ended(document, one)


def _ended(document: Document, one: dict[str, str]) -> Iterator[Sample]:
    status = document.get("status", {})
    reason = ""
    for condition in status.get("conditions", ()):
        end = _ENDS.get(condition["type"])
        if end:
            yield from one_of(f"kube_job_{end}", one, "condition", _STATUSES, condition["status"].lower())
        if end == "failed":
            reason = condition.get("reason", "")
    yield Sample("kube_job_status_failed", {**one, "reason": reason}, float(status.get("failed", 0)))


def cron_job(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a CronJob."""
    meta, status = document["metadata"], document.get("status", {})
    one = {"namespace": meta["namespace"], "cronjob": meta["name"]}
    numbers = {
        "created": meta.get("creationTimestamp"),
        "spec_suspend": bool(document["spec"].get("suspend")),
        "status_active": len(status.get("active", ())),
        "status_last_schedule_time": status.get("lastScheduleTime"),
        "status_last_successful_time": status.get("lastSuccessfulTime"),
    }
    yield from counted("kube_cronjob_", one, numbers)
