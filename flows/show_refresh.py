"""How a person sees what a refresh tells."""

from typing import Any

from rich.table import Table
from rich.text import Text

from flows import show
from flows.terminal import Terminal

Answer = dict[str, Any]


def refresh(answer: Answer) -> None:
    """What was made, the release, the measures of drift, and what is proposed."""
    show.run(answer)
    console = Terminal(soft_wrap=True)
    release, drift, proposal = answer["release"], answer["drift"], answer["proposal"]
    done = "is published" if answer["published"] else "stays"
    console.say(f"release     {release['id']} {done}")
    if drift["measures"]:
        console.print(_measures(drift["measures"]))
    console.say(f"drift       {drift['says']}")
    if proposal:
        ending = proposal["refused"] or f"started, run {proposal.get('run_id', 'unknown')}"
        line = f"proposal    train on all documents ({ending})"
        console.say(line, style="yellow")


def _measures(rows: list[Answer]) -> Table:
    table = Table(title="new documents beside the reference", title_justify="left", box=None)
    for column in ("measure", "before", "new", "difference", "threshold", ""):
        table.add_column(column, justify="left" if column in ("measure", "") else "right")
    for row in rows:
        means = ("" if row[side] is None else f"{row[side]:.4g}" for side in ("reference", "new"))
        sizes = (f"{row['value']:+.4g}", f"{row['threshold']:.4g}")
        mark = "above" if row["alarm"] else ""
        style = "yellow" if row["alarm"] else ""
        table.add_row(Text(row["measure"]), *means, *sizes, mark, style=style)
    return table
