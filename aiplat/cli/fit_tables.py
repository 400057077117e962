"""Prints the planner's answers and error tables for people; decides nothing."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from aiplat.cli.terminal import Console

_STYLES = {"fits": "green", "tight": "yellow", "does not fit": "red"}
_GIB = 1 << 30


_WHOLE_FROM = 1000


def print_answer(console: Console, answer: dict[str, Any]) -> None:
    """Print one answer: verdict, devices, reasons, what else would fit, speed."""
    model, memory = answer["model"], answer["memory"]
    verdict = answer["verdict"]
    told = f"{model['name']} {model['quantisation']} on {answer['engine']}, {memory['context']} tokens"
    console.print(f"{told}: {verdict}", style=_STYLES.get(verdict, ""), markup=False)
    table = Table("device", "needs", "of", box=None, pad_edge=False)
    for load in memory["devices"]:
        capacity = f"{load['capacity'] / _GIB:.1f} GiB" if load["capacity"] else "not said"
        table.add_row(load["device"], f"{load['need'] / _GIB:.1f} GiB", capacity)
    console.print(table)
    for word, lines in (
        ("why", answer["why"]),
        ("would fit", answer["remedies"]),
        ("assumed", answer["assumed"]),
    ):
        for line in lines:
            console.print(f"{word}: {line}", markup=False)
    for kind, speed in answer["tok_s"].items():
        if speed:
            low, likely, high = (_rate(speed[key]) for key in ("low", "likely", "high"))
            span = f"{low} to {high} tokens/s, likely {likely}"
            console.print(f"speed, {kind.replace('_', ' ')}: {span}")


def _rate(speed: float) -> str:
    """Return tokens a second as people write them: 0.43, 84.2, 1,260."""
    return f"{speed:,.0f}" if speed >= _WHOLE_FROM else f"{speed:.3g}"


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print the error table of a file of cases and the ids that were called wrongly."""
    table = Table("engine", "n", "median", "p90", "worst", box=None, pad_edge=False)
    for engine, row in report["engines"].items():
        table.add_row(engine, str(row["n"]), *(f"{row[key]:.1%}" for key in ("median", "p90", "worst")))
    console.print(table)
    for key in ("false_fits", "false_refusals", "tight", "incomplete"):
        ids = report.get(key, [])
        console.print(f"{key.replace('_', ' ')}: {len(ids)} {' '.join(map(str, ids))}", markup=False)


def layout_tables(comparison: dict[str, Any]) -> list[RenderableType]:
    """Return the comparison of layouts as tables: what is bought, what fits where, what tokens cost."""
    return [
        _bought(comparison["layouts"]),
        _fits(comparison["layouts"]),
        _costs(comparison["layouts"]),
        Text(
            f"{comparison['engine']}, {comparison['context']} tokens of context; costs are at the likely "
            "speed; the sources of all prices are in --json",
            style="dim",
        ),
    ]


def _name(layout: dict[str, Any]) -> str:
    # Whole lines are worth more than whole words, in terminals of eighty columns.
    return str(layout["name"]).replace("nodes with ", "").replace(" nodes", "")


def _bought(layouts: list[dict[str, Any]]) -> Table:
    table = Table(
        "layout",
        "machines",
        "GPUs",
        "to buy",
        "at rest",
        "at work",
        title="What is bought",
        title_justify="left",
    )
    for layout in layouts:
        gpus = sum(len(machine["gpus"]) for machine in layout["machines"])
        watts = (f"{layout['idle_w']:.0f} W", f"{layout['load_w']:.0f} W")
        table.add_row(
            _name(layout), str(len(layout["machines"])), str(gpus), f"{layout['capex_eur']:,.0f} EUR", *watts
        )
    return table


def _fits(layouts: list[dict[str, Any]]) -> Table:
    hosts = [machine["host"] for machine in layouts[0]["machines"]]
    table = Table(
        "model",
        "layout",
        *hosts,
        title="What fits, and tokens a second of each machine",
        title_justify="left",
    )
    for index, model in enumerate(layouts[0]["models"]):
        for layout in layouts:
            cells = [_cell(answer) for answer in layout["models"][index]["on"]]
            table.add_row(model["model"] if layout is layouts[0] else "", _name(layout), *cells)
    return table


def _cell(answer: dict[str, Any]) -> Text:
    if answer["tok_s"]:
        low, _, high = answer["tok_s"]
        return Text(f"{_short(low)}-{_short(high)} {answer['on']}", style=_STYLES["fits"])
    return Text(
        "fits" if answer["verdict"] == "fits" else answer["verdict"], style=_STYLES.get(answer["verdict"], "")
    )


def _short(speed: float) -> str:
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"


def _costs(layouts: list[dict[str, Any]]) -> Table:
    shares = [use["share"] for layout in layouts for model in layout["models"] for use in model["use"]]
    columns = [f"{share:.0%}" for share in dict.fromkeys(shares)]
    title = "EUR (kWh) for a million tokens, by the share of the year that the machines generate"
    table = Table("model", "layout", *columns, title=title, title_justify="left")
    for index, model in enumerate(layouts[0]["models"]):
        for layout in layouts:
            uses = layout["models"][index]["use"]
            cells = [f"{use['eur_per_mtok']:.2f} ({use['kwh_per_mtok']:.2f})" for use in uses] or [
                "fits nowhere"
            ]
            table.add_row(model["model"] if layout is layouts[0] else "", _name(layout), *cells)
    return table
