"""`checks.yaml` of a component as frozen models; what each kind looks at is in kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aiplat.errors import AiplatError, Finding
from aiplat.frozen import Frozen, findings_of


class DeclaredPart(Frozen):
    """Base of what stands in a checks.yaml."""


class DeploymentAvailable(DeclaredPart):
    """All pods of one workload of the component's namespace serve."""

    name: str


class HttpCheck(DeclaredPart):
    """The platform's URL answers `path` with `status`; with the site's key or without one."""

    path: str = Field(pattern="^/")
    status: int = Field(ge=100, le=599)
    key: bool = True
    contains: str = ""


class ModelAnswers(DeclaredPart):
    """Each model of the engine that writes text answers the smoke test's question rightly."""


class Pods(DeclaredPart):
    """Pods of a namespace that a label selector finds."""

    namespace: str
    selector: str = ""


class Target(DeclaredPart):
    """What to connect to: a Service (by namespace and selector), or a port of the first server."""

    namespace: str | None = None
    selector: str | None = None
    server_port: int | None = Field(default=None, alias="serverPort", ge=1, le=65535)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.selector is None) == (self.server_port is None):
            raise ValueError("needs either namespace and selector, or serverPort")
        return self


class ConnectionCheck(DeclaredPart):
    """A TCP connection, tried from inside a pod, is allowed or refused."""

    source: Pods = Field(alias="from")
    to: Target
    expect: Literal["allowed", "refused"]


class GpusOffered(DeclaredPart):
    """The node of each host with GPUs offers pods what the site makes of them."""


class ModelOnGpu(DeclaredPart):
    """Each pod of the engine that has a GPU has its whole model there; one of three ways to tell.

    `path` is answered by the engine with a list `models`, each with `size` and `size_vram`. `log` is a
    pattern of a line that it writes when it has loaded a model, with groups `part` and `whole`. `because`
    says why an engine that serves has its whole model there.
    """

    path: str = Field(default="", pattern="^(/.*)?$")
    log: str = ""
    because: str = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(map(bool, (self.path, self.log, self.because))) != 1:
            raise ValueError("needs exactly one of path, log, because")
        return self


class DeclaredCheck(DeclaredPart):
    """A sentence and exactly one way to find out whether it is true."""

    sentence: Annotated[str, StringConstraints(pattern=r"^[A-Z].*\.$")]
    every: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[smh]$")] = "60s"
    deployment_available: DeploymentAvailable | None = Field(default=None, alias="deployment-available")
    http: HttpCheck | None = None
    model_answers: ModelAnswers | None = Field(default=None, alias="model-answers")
    connection: ConnectionCheck | None = None
    gpus_offered: GpusOffered | None = Field(default=None, alias="gpus-offered")
    model_on_gpu: ModelOnGpu | None = Field(default=None, alias="model-on-gpu")

    @property
    def ways(self) -> list[DeclaredPart]:
        """What was given of the ways to look."""
        about_gpus = (self.gpus_offered, self.model_on_gpu)
        given = (self.deployment_available, self.http, self.model_answers, self.connection, *about_gpus)
        return [way for way in given if way is not None]

    @property
    def seconds(self) -> int:
        """The interval in seconds."""
        return int(self.every[:-1]) * {"s": 1, "m": 60, "h": 3600}[self.every[-1]]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if len(self.ways) != 1:
            ways = "deployment-available, http, model-answers, connection, gpus-offered, model-on-gpu"
            raise ValueError(f"needs exactly one of {ways}")
        return self


class ChecksFile(DeclaredPart):
    """A whole checks.yaml."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Checks"]
    checks: tuple[DeclaredCheck, ...]


def read_checks(path: Path) -> ChecksFile:
    """Read a checks.yaml.

    Raises:
        AiplatError: it is not what ChecksFile describes, every reason named.
    """
    where = "/".join(path.parts[-3:])
    try:
        return ChecksFile.model_validate(YAML(typ="safe", pure=True).load(path))
    except YAMLError as error:
        raise AiplatError(Finding(where, f"this is not YAML: {error}")) from error
    except ValidationError as error:
        raise AiplatError(findings_of(error, where, ChecksFile)) from error
