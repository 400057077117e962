"""How each kind of declared check looks; which checks there are is said in the components' checks.yaml."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx

from aiplat.catalog.components import Component
from aiplat.catalog.lockfile import supply_in_use
from aiplat.catalog.resolve import served_models
from aiplat.cluster.objects import Pod, Workload
from aiplat.moments import moment_of
from aiplat.site.addresses import in_url
from aiplat.verify.check import Check, Failed, Look, Skipped, fail_on
from aiplat.verify.context import CheckContext
from aiplat.verify.declared import (
    ConnectionCheck,
    DeclaredCheck,
    DeclaredPart,
    DeploymentAvailable,
    GpusOffered,
    HttpCheck,
    ModelAnswers,
    ModelOnGpu,
    Pods,
    Target,
)
from aiplat.verify.gpus import gpus_offered, model_on_gpu
from aiplat.verify.smoke_test import Question, ask, question_for

_TRY_SECONDS = 3
_TIMED_OUT = 124
_ANSWER_SECONDS = 120.0
_NAME_LABEL = "app.kubernetes.io/name"
# A pod may end once or twice while what it needs is still starting.
_CRASHES, _CRASHES_WITHIN = 3, timedelta(minutes=10)


def check_of(component: Component, declared: DeclaredCheck) -> Check:
    """Return a declared check as one that can be run."""
    look = _look_of(component, declared.ways[0])
    return Check(declared.sentence, component.plane, component.name, look, declared.seconds)


def _look_of(component: Component, way: DeclaredPart) -> Look:
    match way:
        case DeploymentAvailable():
            return partial(_deployment_available, component, way)
        case HttpCheck():
            return partial(_http, way)
        case ModelAnswers():
            return partial(_model_answers, component)
        case ConnectionCheck():
            return partial(_connection, way)
        case GpusOffered():
            return partial(gpus_offered, component)
        case ModelOnGpu():
            return partial(model_on_gpu, component, way)
    raise TypeError(f"no way to look at {type(way).__name__}")


def _deployment_available(component: Component, wanted: DeploymentAvailable, context: CheckContext) -> str:
    for workload in context.workloads:
        if (workload.namespace, workload.name) == (component.namespace, wanted.name):
            if not workload.wanted:
                raise Failed("it is scaled to 0, so nothing of it runs", f"scale {workload.title} up again")
            if not workload.is_available:
                raise Failed(
                    f"{workload.available} of {workload.wanted} available; {workload.problem}".rstrip("; ")
                )
            fail_on(_crashing(context, workload))
            return f"{workload.available} of {workload.wanted} available"
    raise Failed(f"{component.namespace}/{wanted.name} is not there", "run `aiplat bootstrap`")


def _crashing(context: CheckContext, workload: Workload) -> list[str]:
    """Return a sentence for each pod of a workload that ends again and again: it serves between two ends."""
    mine = [
        pod
        for pod in context.pods
        if pod.namespace == workload.namespace and pod.labels.get(_NAME_LABEL) == workload.name
    ]
    since = datetime.now(UTC) - _CRASHES_WITHIN
    again = [p for p in mine if p.restarts >= _CRASHES and _is_after(p.ended, since)]
    return [f"{p.name} was started again {p.restarts} times, last after {p.end} at {p.ended}" for p in again]


def _is_after(text: str, since: datetime) -> bool:
    try:
        return moment_of(text) > since
    except ValueError:  # nothing, or Go's zero, the year 1: not known
        return False


def _http(wanted: HttpCheck, context: CheckContext) -> str:
    if wanted.key and context.key is None:
        raise Skipped("the site's key is not known here")
    answer = _ask(context, wanted)
    if answer.status_code != wanted.status:
        raise Failed(f"{wanted.path} answered {answer.status_code}, expected {wanted.status}")
    if wanted.contains not in answer.text:
        raise Failed(f"{wanted.path} answered without {wanted.contains!r}")
    return f"{wanted.path} answered {answer.status_code}"


def _ask(context: CheckContext, wanted: HttpCheck) -> httpx.Response:
    try:
        with context.platform(with_key=wanted.key) as client:
            return client.get(wanted.path)
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise Failed(f"https://{in_url(context.site.endpoint)}{wanted.path}: {error}") from error
    except OSError as error:
        raise Skipped("the site has no CA yet") from error


def _model_answers(component: Component, context: CheckContext) -> str:
    every = served_models(context.site, supply=supply_in_use(context.site))
    served = (model for engine, model in every if engine.name == component.name)
    asked = {model.name: question for model in served if (question := question_for(model))}
    if not asked:
        raise Skipped("the site serves no model that writes text")
    if context.key is None:
        raise Skipped("the site's key is not known here")
    said = {name: _answer(context, name, question) for name, question in asked.items()}
    fail_on(
        [
            f"{name} was asked {asked[name].prompt!r} and said {text!r}, without {asked[name].contains!r}"
            for name, text in said.items()
            if not asked[name].answered_by(text)
        ]
    )
    return "; ".join(f"{name}: {text.strip()}" for name, text in said.items())


def _answer(context: CheckContext, name: str, question: Question) -> str:
    try:
        with context.platform(with_key=True) as client:
            return ask(client, name, question, _ANSWER_SECONDS)
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise Failed(f"{name}: {error}") from error


def _connection(wanted: ConnectionCheck, context: CheckContext) -> str:
    pod = _source(context, wanted.source)
    hosts, port = _addresses(context, wanted.to)
    return "; ".join(_tried(context, pod, (host, port), wanted.expect) for host in hosts)


def _tried(context: CheckContext, pod: Pod, to: tuple[str, int], expected: str) -> str:
    host, port = to
    script = f"timeout {_TRY_SECONDS} bash -c 'exec 3<>/dev/tcp/{host}/{port}' 2>/dev/null; echo ended:$?"
    ran = context.cluster.run_in_pod(pod, ["bash", "-c", script])
    ended = ran.output.rpartition("ended:")[2].strip()
    if ran.code != 0 or not ended.isdigit():
        raise Failed(f"no connection could be tried from {pod.name}: {ran.output.strip()[-200:]}")
    came = "allowed" if ended == "0" else "refused"
    end = f"{in_url(host)}:{port}"
    if came != expected:
        raise Failed(f"{pod.namespace}/{pod.name} to {end} is {came}, expected {expected}")
    return f"{pod.name} to {end} is {came}"


def _source(context: CheckContext, wanted: Pods) -> Pod:
    pods = context.cluster.pods(wanted.namespace, wanted.selector)
    ready = next((p for p in pods if p.ready and p.phase == "Running"), None)
    if ready is None:
        raise Skipped(f"no pod of {wanted.namespace} runs to try it from")
    return ready


def _addresses(context: CheckContext, wanted: Target) -> tuple[tuple[str, ...], int]:
    """Return where to connect: at each address family that a server has."""
    if wanted.server_port is not None and not context.site.servers:
        raise Skipped("there is no server of aiplat's in an existing cluster")
    if wanted.server_port is not None:
        return context.site.servers[0].node_ips, wanted.server_port
    for service in context.cluster.services(wanted.selector or ""):
        if service.namespace == wanted.namespace and service.address:
            return (service.address,), service.ports[0]
    raise Skipped(f"{wanted.namespace} has no Service {wanted.selector} to connect to")
