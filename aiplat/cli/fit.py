"""The `aiplat fit` verb: arguments, tables and `--json`; what fits is aiplat.fit's to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.own_models import own_shapes
from aiplat.cli import fit_tables
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_BAD_INPUT, EXIT_CHECK_FAILED, BadInput, Finding
from aiplat.fit.calibrate import fit_memory, fit_throughput
from aiplat.fit.cases import is_throughput, judge_memory, prediction, read_cases
from aiplat.fit.layouts import compare_layouts, planned_site
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import INCOMPLETE, NO
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import COMPARED, DEFAULT_ENGINE, EngineSettings, batches, counts_one_request
from aiplat.fit.speeds import judge_throughput
from aiplat.fit.throughput import batched, single_stream

ModelArgument = Annotated[
    str | None, typer.Argument(help="A known model, a .gguf file, or the folder of a Hugging Face snapshot.")
]
DeviceOption = Annotated[
    list[str] | None, typer.Option(help="'RTX 4090', '2x L4', 'cpu 64 GB', '24 GB card'; once or more.")
]
EngineOption = Annotated[str, typer.Option(help="ollama, llama.cpp, ik_llama.cpp, vllm or vllm-cpu.")]
UtilisationOption = Annotated[
    float | None, typer.Option(min=0.05, max=1.0, help="vLLM's gpu_memory_utilization; 0.9.")
]
SiteOption = Annotated[
    str | None,
    typer.Option(help="Compare a site with GPUs in all its machines; five-machines is an example."),
]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="fit")(fit)


def fit(  # noqa: PLR0913 - one option each is what a command line is
    model: ModelArgument = None,
    *,
    device: DeviceOption = None,
    engine: EngineOption = DEFAULT_ENGINE,
    quant: Annotated[str | None, typer.Option(help="Q4_K_M, Q8_0, F16, bf16, fp8, awq …")] = None,
    context: Annotated[int | None, typer.Option(min=1, help="Tokens of one request.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Requests at once (slots).")] = 1,
    kv_type: Annotated[str | None, typer.Option(help="Type of the KV cache: f16, q8_0, q4_0, fp8.")] = None,
    flash_attention: Annotated[bool | None, typer.Option(help="Whether attention is fused.")] = None,
    gpu_layers: Annotated[int | None, typer.Option(min=0, help="Layers on the GPU (llama.cpp); all.")] = None,
    utilisation: UtilisationOption = None,
    tensor_parallel: Annotated[int | None, typer.Option(min=1, help="GPUs sharing a layer (vLLM).")] = None,
    site: SiteOption = None,
    cases: Annotated[Path | None, typer.Option(help="Run a file of recorded cases instead.")] = None,
    calibrate: Annotated[bool, typer.Option(help="With --cases: fit the constants on half of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    svg: Annotated[Path | None, typer.Option(hidden=True, help="With --site: write a picture.")] = None,
) -> None:
    """Say whether a model fits on devices, why, what else would, and how fast it runs there.

    MODEL's files are read where they are named: of a .gguf its header, of a snapshot config.json and the
    headers of safetensors. Nothing is loaded and no device is asked: a plan can be made for machines that
    are not there yet.

    The answer is `fits`, `tight` (too close to call, with the reason) or `does not fit` (with what would).
    With --site the hosts of a site file, by their `hardware`, are compared with the same hosts with a GPU in
    each: what fits, what it costs to buy, and kWh and EUR for a million tokens. With --cases a file of
    recorded runs is predicted, and errors are counted as fractions: 0.1 is a tenth too high or too low.

    Exit codes: 0 it fits or is tight, 2 something is not known, 3 it does not fit.
    """
    model = _catalogued(model, engine)
    engine = _rules_of(engine)
    if cases:
        return _run_cases(cases, calibrate=calibrate, as_json=as_json)
    if site:
        return _run_site(site, engine, (model,) if model else (), as_json=as_json, svg=svg)
    if not model:
        raise BadInput(Finding("MODEL", "no model is named", "name one, or give --site or --cases"))
    settings = EngineSettings(
        # vLLM counts one request's tokens, the others those of all slots.
        context=context * (1 if counts_one_request(engine) else parallel) if context else None,
        parallel=parallel,
        type_k=kv_type,
        type_v=kv_type,
        flash_attention=flash_attention,
        gpu_layers=gpu_layers,
        utilisation=utilisation,
        tensor_parallel=tensor_parallel,
    )
    return _tell(FitQuestion(model, tuple(device or ()), engine, quant, settings), as_json=as_json)


def _rules_of(engine: str) -> str:
    """Return the rules of an engine of the catalogue; rules are also asked for by their own name."""
    component = load_catalog().component(engine)
    return component.engine.fit.rules if component and component.engine else engine


def _catalogued(model: str | None, engine: str) -> str | None:
    """Return the model that a name without a tag means with this engine: of `deepseek-r1` there are many."""
    known = load_catalog().model(model, engine, "upstream") if model and ":" not in model else None
    return (known.shape or known.name) if known else model


def _tell(question: FitQuestion, *, as_json: bool) -> None:
    answer = _answer(question)
    if as_json:
        print_json(answer)
    else:
        fit_tables.print_answer(Console(highlight=False, soft_wrap=True), answer)
    if answer["verdict"] in (NO, INCOMPLETE):
        raise typer.Exit(EXIT_CHECK_FAILED if answer["verdict"] == NO else EXIT_BAD_INPUT)


def _answer(question: FitQuestion) -> dict[str, Any]:
    request = as_request(question)
    plan = plan_memory(request)
    speeds = {"single_stream": single_stream(request)} if plan.verdict != NO else {}
    if speeds and (batches(request.engine) or request.settings.parallel > 1):
        speeds["batched"] = batched(request)
    return {
        "kind": "Fit",
        "model": {
            "name": request.arch.name,
            "quantisation": request.weights.quantisation,
            "read_from_files": request.weights.measured,
        },
        "engine": request.engine,
        "verdict": plan.verdict,
        "why": plan.why,
        "remedies": plan.remedies,
        "memory": prediction(plan),
        "tok_s": {
            kind: {"low": speed.low, "likely": speed.likely, "high": speed.high} if speed else None
            for kind, speed in speeds.items()
        },
        "assumed": list(plan.assumed),
    }


def _run_site(site: str, engine: str, models: tuple[str, ...], *, as_json: bool, svg: Path | None) -> None:
    if engine not in COMPARED:
        fix = f"use {' or '.join(COMPARED)}"
        raise BadInput(Finding("--engine", f"{engine!r} is not compared", fix))
    planned = planned_site(site)
    comparison = compare_layouts(planned, engine, models, own_shapes(planned))
    if as_json:
        print_json(comparison)
        return
    tables = fit_tables.layout_tables(comparison)
    Console(highlight=False).print(*tables, sep="\n")
    if svg:
        # Only a picture needs what draws it.
        from aiplat.cli.run_tables import save_svg  # noqa: PLC0415

        save_svg(svg, f"aiplat fit --site {site}", *tables)


def _run_cases(path: Path, *, calibrate: bool, as_json: bool) -> None:
    cases, shapes = read_cases(path)
    if calibrate:
        constants = fit_memory(c for c in cases if not is_throughput(c)) | fit_throughput(cases)
        typer.echo(json.dumps(constants, indent=2))
        return
    speeds = [case for case in cases if is_throughput(case)]
    memory = judge_memory([case for case in cases if not is_throughput(case)], shapes)
    throughput = judge_throughput(speeds, shapes)
    report = {"kind": "FitCases", "file": str(path), **(memory if memory["cases"] else throughput)}
    for key in ("false_fits", "false_refusals", "tight"):
        report.setdefault(key, [])
    if memory["cases"] and speeds:
        report["throughput"] = throughput
    if as_json:
        print_json(report)
    else:
        fit_tables.print_report(Console(highlight=False, soft_wrap=True), report)
