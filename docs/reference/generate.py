"""Writes the reference pages beside it from the program's own models; run it when those change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from ruamel.yaml import YAML

from aiplat.actions.catalog import source_of
from aiplat.catalog.catalog import Catalog, load_catalog
from aiplat.catalog.components import CatalogModel, Component, Plane
from aiplat.cli.main import command_line
from aiplat.fit.cases import is_throughput, judge_memory, read_cases
from aiplat.fit.knowledge import knowledge
from aiplat.fit.known_models import known_names
from aiplat.fit.layouts import EXAMPLE, compare_layouts, planned_site
from aiplat.fit.speeds import judge_throughput, recorded_speed
from aiplat.gpu.decision import decide
from aiplat.gpu.host import GpuHost
from aiplat.gpu.knowledge import Answer, answers
from aiplat.gpu.rules.order import RULES as GPU_RULES
from aiplat.hosts.check import HostCheck
from aiplat.hosts.judge import CHECKS
from aiplat.plan.gpus import usual_offer
from aiplat.plan.model_offers import CONTEXT, model_needs
from aiplat.site.rules import RULES
from aiplat.site.schema import site_schema

HERE = Path(__file__).parent
_NOTE = "<!-- Written by docs/reference/generate.py; change the models, not this page. -->\n"


def pages() -> dict[str, str]:
    """Return the text of every page by file name."""
    return {
        "site.md": _site(site_schema()),
        "fit.md": _fit(),
        "fit-real-gpu.md": _real_gpu(),
        "catalog.md": _catalog(load_catalog()),
        "models.md": _models_page(load_catalog()),
        "gpu-verdicts.md": _gpu_verdicts(),
        "gpu-decisions.md": _gpu_decisions(),
        "host-checks.md": _host_checks(),
        "../../aiplat/services/portal/runbook.json": _runbook((HERE.parent / "how-to/alerts.md").read_text()),
        "cli.md": _command_line(typer.main.get_command(command_line())),
    }


def _site(schema: dict[str, Any]) -> str:
    keys = "\n".join(f"| `{key[0]}` | {' | '.join(key[1:])} |" for key in _of(schema, schema, ""))
    rules = "\n".join(f"| `{name}` | {(rule.__doc__ or '').strip()} |" for name, rule in RULES.items())
    head = (
        "One `site.yaml` says all that a site is to be. It is YAML 1.2, so `on` and `off` are words. "
        "`aiplat site check` says everything that is wrong with one; `aiplat site schema` prints the "
        "JSON Schema for editors."
    )
    key_table = f"| key | is | default | meaning |\n|---|---|---|---|\n{keys}"
    rule_table = f"| rule | what must be so |\n|---|---|\n{rules}"
    return f"# Site file\n{_NOTE}\n{head}\n\n## Keys\n\n{key_table}\n\n## Rules\n\n{rule_table}\n"


def _real_gpu() -> str:
    cases, shapes = read_cases(HERE.parents[1] / "tests/fit/h200.yaml")
    said = {str(case["id"]): case.get("recorded", {}) for case in cases}
    memory = judge_memory([case for case in cases if not is_throughput(case)], shapes)["cases"]
    speed = judge_throughput([case for case in cases if is_throughput(case)], shapes)["cases"]
    table = "".join(_run_row(row, said[row["id"]]) for row in memory)
    recorded = {str(case["id"]): recorded_speed(case) for case in cases if is_throughput(case)}
    speeds = "".join(
        f"| {row['id'].removeprefix('h200-speed-')} | {recorded[row['id']]:.0f} | "
        f"{row['predicted']['low']:.0f} to {row['predicted']['high']:.0f} |\n"
        for row in speed
    )
    text = (HERE / "real-gpu-text.md").read_text()
    head = "| run | ended | verdict | counted MiB | predicted MiB | pool tokens | predicted |"
    rule = "|---" * 7 + "|"
    return (
        f"# Measured on a real GPU\n{_NOTE}\n{text}\n## Memory\n{head}\n{rule}\n{table}\n"
        f"## Tokens a second\n| run | measured | range told |\n|---|---|---|\n{speeds}"
    )


def _run_row(row: dict[str, Any], said: dict[str, Any]) -> str:
    pool = said.get("kv_tokens", "")
    vllm = row["engine"] == "vllm"
    need = "" if vllm else row["predicted"]["devices"][0]["need"] >> 20
    cells = [row["outcome"], row["verdict"], said.get("device_mib", ""), need]
    cells += [pool, row["predicted"]["pool_tokens"] if pool else ""]
    return f"| {row['id'].removeprefix('h200-')} | {' | '.join(str(cell) for cell in cells)} |\n"


def _fit() -> str:
    text, measured = ((HERE / name).read_text() for name in ("fit-text.md", "fit-measured.md"))
    rows = [
        f"| `{group}.{name}` | {entry['value']} | {entry['how']} |"
        for group, constants in knowledge("engines").items()
        for name, entry in constants.items()
    ]
    constants = "## Constants\n| constant | value | how it came |\n|---|---|---|\n" + "\n".join(rows)
    models = ", ".join(known_names())
    parts = (text, measured, _example_layouts(), f"{constants}\n", _prices(), f"## Known models\n{models}\n")
    return f"# Fit\n{_NOTE}\n" + "\n".join(parts)


def _example_layouts() -> str:
    comparison = compare_layouts(planned_site(EXAMPLE), "ollama")
    shares = [f"{share:.0%}" for share in knowledge("costs")["shares"]]
    rows = [f"| model | layout | runs on | {' | '.join(shares)} |", "|---" * (3 + len(shares)) + "|"]
    for layout in comparison["layouts"]:
        for model in layout["models"]:
            places = [answer["on"] for answer in model["on"] if answer["tok_s"]]
            told = ", ".join(f"{places.count(place)} {place}" for place in dict.fromkeys(places))
            steps = [f"{step['eur_per_mtok']:.2f} ({step['kwh_per_mtok']:.2f})" for step in model["use"]]
            rows.append(f"| {model['model']} | {layout['name']} | {told} | {' | '.join(steps)} |")
    bought = "; ".join(f"{x['name']}: {x['capex_eur']:,.0f} EUR" for x in comparison["layouts"])
    head = f"## The example: EUR (kWh) for a million tokens by share of use\nTo buy: {bought}.\n\n"
    return head + "\n".join(rows) + "\n"


def _prices() -> str:
    rows = [
        f"| `{name}` | {entry['value']} {entry['unit']} | {entry['source']} | {entry['date']} |"
        for name, entry in knowledge("costs").items()
        if isinstance(entry, dict)
    ]
    rows += [
        f"| {device['name']} | {price['usd']} USD | {price['source']} ({price['kind']}) | {price['date']} |"
        for section in ("gpus", "systems", "cpus")
        for device in knowledge("hardware")[section]
        if (price := device.get("price"))
    ]
    head = "## Default prices\n| what | value | source | date |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _of(schema: dict[str, Any], node: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield path, type, default and meaning of every key, in the order of the models."""
    required = node.get("required", ())
    for name, value in node.get("properties", {}).items():
        path = f"{prefix}{name}"
        default = "required" if name in required else _default(value)
        yield path, _kind(schema, value), default, value.get("description", "")
        inner, step = _inside(schema, value)
        if inner:
            yield from _of(schema, inner, f"{path}{step}.")


def _inside(schema: dict[str, Any], value: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return the object behind a value, through lists and named entries, and how a path goes there."""
    step = ""
    value = next((one for one in value.get("oneOf", ()) if "$ref" in one), value)
    while "$ref" not in value:
        if "items" in value:
            value, step = value["items"], step + "[]"
        elif isinstance(value.get("additionalProperties"), dict):
            value, step = value["additionalProperties"], step + (".PLANE" if not step else ".COMPONENT")
        else:
            return None, ""
    return schema["$defs"][value["$ref"].rpartition("/")[2]], step


def _kind(schema: dict[str, Any], value: dict[str, Any]) -> str:
    choices = value.get("enum") or ([value["const"]] if "const" in value else [])
    if choices:
        return " or ".join(f"`{choice}`" for choice in choices)
    if "oneOf" in value:
        return " or ".join(_kind(schema, one) for one in value["oneOf"])
    if "anyOf" in value:
        return _kind(schema, value["anyOf"][0])
    words = {"string": "text", "integer": "whole number", "array": "list", "object": "map"}
    return words.get(value.get("type", "object"), "")


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    return f"`{default}`" if isinstance(default, str | int) else ""


def _catalog(catalog: Catalog) -> str:
    head = (
        f"# Catalogue\n{_NOTE}\n`on`: every site gets it. `request`: one line in the site file brings it. "
        "`later`: known, but not in this version.\n"
    )
    models = "\nThe models of the engines are on [a page of their own](models.md).\n"
    return head + "".join(_plane(catalog, plane) for plane in catalog.planes) + models


def _plane(catalog: Catalog, plane: Plane) -> str:
    rows: list[tuple[str, ...]]
    rows = [(c.name, c.default, c.licence.spdx, c.purpose) for c in catalog.components_of(plane.name)]
    rows += [(p.name, "later", "", p.purpose) for p in catalog.planned(plane.name)]
    head = f"\n## {plane.title}\n\n`{plane.name}`: {plane.purpose}\n\n"
    table = "".join(f"| `{row[0]}` | {' | '.join(row[1:])} |\n" for row in rows)
    return f"{head}| component | state | licence | purpose |\n|---|---|---|---|\n{table}"


def _models_page(catalog: Catalog) -> str:
    head = (
        f"# Models\n{_NOTE}\nWhat `models:` of a site file may name, by the engine that serves it. GiB are "
        f"computed: the weights, and everything on one card with {CONTEXT} tokens of one request (or as many "
        "as the model was made for). `aiplat catalog models --device 'RTX 4090'` says what fits where, and "
        "how fast it is there.\n"
    )
    engines = "".join(_models_of(component) for component in catalog.engines if component.models)
    licences = {m.licence.name: m.licence for _, m in catalog.models if m.licence.conditions}
    asked = "".join(
        f"\n### {name}\n\n{licence.url}\n\n" + "".join(f"- {one}\n" for one in licence.conditions)
        for name, licence in sorted(licences.items())
    )
    later = "".join(
        f"| {', '.join(f'`{n}`' for n in (m.name, *m.aliases))} | {m.purpose} | {m.needs} |\n"
        for m in catalog.models_later
    )
    return (
        f"{head}{engines}\n## What licences ask\n{asked}\n## Not in this version\n\n"
        f"| model | purpose | needs |\n|---|---|---|\n{later}"
    )


def _models_of(component: Component) -> str:
    rows = "".join(_model(component, model) for model in component.models)
    head = "| model | for | size | GiB | context | features | licence | source |"
    return f"\n## {component.name}\n\n{head}\n{'|---' * 8}|\n{rows}"


def _model(component: Component, model: CatalogModel) -> str:
    needs = model_needs(component, model)
    gib = f"{needs.weights / 2**30:.1f}, {needs.total / 2**30:.1f}" if needs else ""
    suits = "labs alone" if model.lab_only else "" if model.suits == "anything" else model.suits
    cells = (
        ", ".join(f"`{name}`" for name in (model.name, *model.aliases)),
        suits,
        f"{model.parameters} {model.quantisation}",
        gib,
        str(model.context_length),
        ", ".join(model.features),
        f"[{model.licence.name or model.licence.spdx}]({model.licence.url})",
        ", ".join(source_of(model).values()).replace("https://", ""),
    )
    return f"| {' | '.join(cells)} |\n"


def _command_line(whole: Any) -> str:
    context = typer.Context(whole, info_name="aiplat")
    verbs = list(_verbs(whole, context, "aiplat"))
    head = (
        f"# Command line\n{_NOTE}\nWhat each verb says of itself with `--help`. Without SITE a verb means "
        "./site.yaml, or the built-in lab where there is none.\n\n| command | does |\n|---|---|\n"
    )
    rows = (f"| [`{name}`](#{name.replace(' ', '-')}) | {_first(verb)} |\n" for name, verb in verbs)
    return head + "".join(rows) + "".join(_verb(context, name, verb) for name, verb in verbs)


def _verbs(group: Any, context: typer.Context, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield every command's whole name and the command, groups before what is in them."""
    for name in group.list_commands(context):
        verb, whole = group.get_command(context, name), f"{prefix} {name}"
        yield whole, verb
        if hasattr(verb, "list_commands"):
            yield from _verbs(verb, context, whole)


def _verb(context: typer.Context, name: str, verb: Any) -> str:
    parts = (verb.help or "").rstrip().split("\n\n")
    # An indented paragraph is an example, which Markdown wants to be indented further.
    paragraphs = "\n\n".join(f"  {part}" if part.startswith("  ") else part for part in parts)
    records = [param.get_help_record(context) for param in verb.get_params(context)]
    rows = "".join(
        f"| `{what}` | {meaning.replace('|', chr(92) + '|')} |\n"
        for what, meaning in filter(None, records)
        if what != "--help"
    )
    table = f"\n| argument or option | meaning |\n|---|---|\n{rows}" if rows else ""
    return f"\n## {name}\n\n{paragraphs}\n{table}"


def _first(verb: Any) -> str:
    """Return the first paragraph of a command's help: what it does, in one sentence."""
    return " ".join((verb.help or "").split("\n\n")[0].split())


def _gpu_verdicts() -> str:
    head = (
        "What `aiplat doctor gpu` can say of a host. The order is that of root causes: of two that are seen, "
        "the earlier is the verdict; the others are reported with it. `healthy` needs positive proof (the "
        "driver lists its cards, the card is bound to it, …) and no word of trouble; where the facts do "
        "not suffice, the verdict is `unknown` and names the commands to run next."
    )
    rules = {rule.verdict: rule for rule in GPU_RULES}
    rows = "".join(f"| `{name}` | {rule.cause}. | {rule.fix} |\n" for name, rule in rules.items())
    measured = (HERE / "gpu-verdicts-measured.md").read_text()
    return f"# GPU verdicts\n{_NOTE}\n{head}\n\n| verdict | cause | fix |\n|---|---|---|\n{rows}\n{measured}"


def _gpu_decisions() -> str:
    head = (
        "What `aiplat bootstrap` does on a host about a verdict of `aiplat doctor gpu`, which shows it too. "
        "The verdict says what is wrong; cards, driver, kernel and system say how it is put right, and the "
        "bundle with what. All reasons for a refusal are told at once, by `aiplat plan` already, before "
        "anything is changed. From a card to a model on it: "
        "[how-to](../how-to/from-a-card-to-a-model.md)."
    )
    cases = YAML(typ="safe", pure=True).load(HERE.parents[1] / "tests/gpu/recorded_hosts.yaml")
    answered = "".join(f"| `{name}` | {_answer(answer)} |\n" for name, answer in answers().items())
    rows = "".join(_decided(case) for case in cases)
    recorded = (
        f"{len(cases)} hosts of real machines from public threads and captures, as far as each was seen "
        f"(`tests/gpu/recorded_hosts.yaml`), with a bundle of driver branch {usual_offer().branch}. Nothing "
        "was installed on them: these are decisions."
    )
    by_verdict = f"| verdict | what is done |\n|---|---|\n{answered}"
    by_host = f"| host | system | cards | driver | verdict | decision |\n|---|---|---|---|---|---|\n{rows}"
    return (
        f"# GPU decisions\n{_NOTE}\n{head}\n\n## By verdict\n\n{by_verdict}\n"
        f"## Recorded hosts\n\n{recorded}\n\n{by_host}"
    )


def _answer(answer: Answer) -> str:
    if answer.person:
        return "refused: a person must put it right"
    if answer.elsewhere:
        return f"nothing on the host: {answer.elsewhere}"
    newer = ", if the bundle's is newer" if answer.newer else ""
    return ", ".join(f"`{action}`" for action in answer.do) + newer or "nothing"


def _decided(case: dict[str, Any]) -> str:
    host = GpuHost.model_validate(case["seen"])
    found = decide(case["verdict"], host, usual_offer())
    cards = [f"{card.name or '10de:' + card.device}" for card in host.cards]
    told = found.text if found.outcome != "refused" else "; ".join(p.what for p in found.problems)
    driver = f"{host.driver} {host.modules or ''}".strip()
    cells = (
        case["host"],
        host.system,
        ", ".join(cards),
        driver,
        f"`{case['verdict']}`",
        f"**{found.outcome}**: {told}",
    )
    return f"| {' | '.join(cells)} |\n"


def _host_checks() -> str:
    head = (
        f"The {len(CHECKS)} preconditions that `aiplat doctor hosts` asks of every host; `aiplat plan` and "
        "`aiplat bootstrap` ask too. A **blocker** keeps a site from being installed; a **warning** will "
        "trouble somebody later; a **note** is good to know. *new* ones are asked only of hosts that have "
        "nothing of aiplat's yet, *real* ones only of hosts outside the lab. A trouble that you know and "
        "accept passes with `accept: [CHECK]` under its host in site.yaml; it is then a note. Each check has "
        "a prepared defect in tests/hosts/defects.yaml that shows that it finds what it is for."
    )
    rows = "".join(_host_check(check) for check in CHECKS)
    table = f"| check | is a | asked of | what must be so |\n|---|---|---|---|\n{rows}"
    return f"# Checks of hosts\n{_NOTE}\n{head}\n\n{table}"


def _host_check(check: HostCheck) -> str:
    asked = ", ".join(word for word, only in (("new", check.fresh), ("real", check.real)) if only) or "all"
    return f"| `{check.name}` | {check.severity} | {asked} | {check.wants} |\n"


def _runbook(page: str) -> str:
    """Return cause and commands of each alert for the portal, from the page that people read."""
    entries = {}
    for section in page.split("\n### ")[1:]:
        name, _, text = section.partition("\n")
        cause = re.search(r"^Cause: (.*?)\n\n", text, re.MULTILINE | re.DOTALL)
        commands = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
        if cause:
            entries[name] = {"cause": " ".join(cause[1].split()), "commands": commands}
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, page in pages().items():
        (HERE / name).write_text(page)
