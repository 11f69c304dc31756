"""How a person sees what ``corpusmith status`` tells."""

from typing import Any

from rich.table import Table
from rich.text import Text

from flows.terminal import Terminal

Answer = dict[str, Any]


def status(answer: Answer) -> None:
    """The stages, the recent runs, what is published and how old it is, drift, and the disk."""
    console = Terminal(soft_wrap=True)
    console.print(_stage_table(answer))
    console.print(_run_table(answer))
    if learned := [each["path"] for each in answer["artifacts"] if "learned_from_erased" in each]:
        line = f"learned from documents erased since: {', '.join(learned)}"
        console.say(line, style="yellow")
    lines = (_published_line(answer), _refresh_line(answer["refresh"]), _disk_line(answer["disk"]))
    for line in filter(None, lines):
        for each in line.split("\n"):
            console.say(each)


def _stage_table(answer: Answer) -> Table:
    table = Table(title=answer["workspace"], title_justify="left", box=None)
    for column in ("stage", "artifacts", "MB", "seconds", "made at", "newest"):
        is_number = column in ("artifacts", "MB", "seconds")
        table.add_column(column, justify="right" if is_number else "left")
    for each in answer["stages"]:
        seconds = "" if each["seconds"] is None else f"{each['seconds']:.1f}"
        table.add_row(
            each["stage"],
            str(each["num_artifacts"] or ""),
            f"{each['bytes'] / 1e6:.1f}",
            seconds,
            _moment(each["created_at"]),
            "at work" if each["is_working"] else Text((each["newest"] or "").split("/")[-1][:12]),
        )
    return table


def _run_table(answer: Answer) -> Table:
    shown = answer["runs"]
    more = f", the newest {len(shown)} of {answer['num_runs']}" if shown else ": none yet"
    table = Table(title=f"runs{more}", title_justify="left", box=None)
    for column in ("run", "flow", "state", "seconds", "stages", "reused", "began"):
        is_number = column in ("seconds", "stages", "reused")
        table.add_column(column, justify="right" if is_number else "left")
    for run in shown:
        counts = (f"{run['seconds']:,.1f}", str(run["num_stages"]), str(run["num_reused"]))
        style = "" if run["state"] in ("completed", "running") else "yellow"
        began = _moment(run["started_at"])
        table.add_row(run["run_id"], run["flow"], run["state"], *counts, began, style=style)
    return table


def _published_line(answer: Answer) -> str:
    if not answer["release"]:
        return "release     none yet: `corpusmith run` publishes"
    embeddings = answer["embeddings"]
    name = f"release     {answer['release']['id']}, published {_moment(embeddings['published_at'])}"
    if "problem" in embeddings:
        return f"{name}; {embeddings['problem']}"
    age_s = embeddings["age_s"]
    age = "of unknown age" if age_s is None else f"{_duration(age_s)} old"
    return f"{name}\nembeddings  {embeddings['num_documents']:,} documents, {age}"


def _refresh_line(refresh: Answer | None) -> str:
    if refresh is None:
        return ""
    published = ", published" if refresh["published"] else ""
    line = f"refresh     {_moment(refresh['started_at'])}, {refresh['state']}{published}"
    return f"{line}; {refresh['drift']}" if refresh["drift"] else line


def _disk_line(disk: Answer) -> str:
    parts = ", ".join(f"{name} {size / 1e6:,.0f}" for name, size in disk["parts"].items())
    used, free = disk["used_bytes"] / 1e6, disk["free_bytes"] / 1e9
    return f"disk        {used:,.0f} MB used ({parts}), {free:,.1f} GB free"


def _moment(text: str | None) -> str:
    """A moment in UTC as it is listed, to the minute."""
    return f"{text[:10]} {text[11:16]} UTC" if text else ""


def _duration(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
