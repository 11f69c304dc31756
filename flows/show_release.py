"""How a person sees what ``corpusmith release`` answers."""

from typing import Any

from rich.table import Table
from rich.text import Text

from flows.terminal import Terminal
from tasks.visible_text import visible

Answer = dict[str, Any]

_ALIGNED = {  # what a consumer asks first; --json has the rest
    "cosine": "cosine with the old vector of the same document",
    "cosine_before": "  without alignment",
    "overlap": "of ten neighbours among old vectors, found again",
    "overlap_before": "  without alignment",
    "accuracy_old_on_aligned": "accuracy of a classifier trained on old vectors, on aligned ones",
    "accuracy_old_on_new": "  without alignment",
    "accuracy_new": "  trained on new vectors",
    "accuracy_old": "  old vectors all through",
}


def release(answer: Answer) -> None:
    """The answer to any of its actions."""
    shown = {"list": _list, "compare": _compare, "rollback": _rollback, "align": _align}
    shown[answer["action"]](answer, Terminal(soft_wrap=True))


def _list(answer: Answer, console: Terminal) -> None:
    """Every release, newest first, the current one marked; then every switch."""
    if not answer["releases"]:
        console.print("nothing is published yet: `corpusmith run` publishes")
    for each in answer["releases"]:
        mark = "*" if each["id"] == answer["current"] else " "
        gone = "" if each["present"] else "  (no longer here)"
        _say(console, f"{mark} {each['id']}  {each['export']['path']}{gone}")
    if answer["history"]:
        _say(console, "switches")
    for each in answer["history"]:
        before = f"{each['before']} -> " if each["before"] else ""
        kind = each["kind"].replace("_", " ")
        _say(console, f"  {each['at']}  {kind}  {before}{each['release']}")


def _compare(answer: Answer, console: Terminal) -> None:
    first, second = answer["first"]["id"], answer["second"]["id"]
    if answer["trial"]:
        console.print(_trial_table(answer["trial"], first, second))
    elif answer["same_embedder"]:
        _say(console, f"releases {first} and {second} are of one embedder")
    else:
        _say(console, "an embedder or a corpus is gone: the two cannot be tried again")
    found = answer["neighbours"]
    if overlap := found["overlap"]:
        some = (
            "" if found["num_asked"] == found["num_common"] else f" ({found['num_asked']:,} asked)"
        )
        _say(
            console,
            f"neighbour overlap at 10 over {found['num_common']:,} common documents{some}: "
            f"{_interval(overlap)}",
        )
    else:
        _say(console, f"{found['num_common']} common documents: too few to compare neighbours")
    for title, name in (
        ("moved most, by their neighbours", "moved"),
        ("moved most, by their vectors", "moved_by_vector"),
    ):
        if found[name]:
            console.print(_moved_table(title, found[name]))
    for line in answer["differences"] or ["nothing was set otherwise"]:
        _say(console, line)


def _trial_table(trial: Answer, first: int, second: int) -> Table:
    table = Table(title="on held-out documents", title_justify="left", box=None)
    for column in ("", "documents", f"release {first}", f"release {second}", "difference"):
        table.add_column(column, justify="right" if column else "left")
    kinds = {"both": "held out by both", "new": f"new to release {first}"}
    for each in trial["measured"]:
        difference = each["difference"]
        table.add_row(
            f"{kinds[each['documents']]}, {each['measure'].replace('_at_', '@')}",
            str(difference["n"]),
            f"{each['released']['value']:.3f}",
            f"{each['challenger']['value']:.3f}",
            Text(_interval(difference, signed=True)),
        )
    return table


def _moved_table(title: str, moved: list[Answer]) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    for column in ("document", "overlap", "cosine"):
        table.add_column(column, justify="left" if column == "document" else "right")
    for each in moved:
        cosine = "" if each["cosine"] is None else f"{each['cosine']:.3f}"
        table.add_row(Text(visible(each["doc_id"])), f"{each['overlap']:.2f}", cosine)
    return table


def _rollback(answer: Answer, console: Terminal) -> None:
    release, before = answer["release"]["id"], answer["before"]
    if answer["switched"]:
        _say(console, f"release {release} is current again, {before} was")
    else:
        _say(console, f"release {release} is current already")
    if answer["champion"]:
        _say(console, f"MLflow: version {answer['champion']} is the champion")


def _align(answer: Answer, console: Terminal) -> None:
    metrics = answer["metrics"]
    _say(console, f"release {answer['new']} in the space of release {answer['onto']}")
    _say(console, f"  {answer['path']}")
    for name, label in _ALIGNED.items():
        if (key := f"align/{name}") in metrics:
            low, high = metrics[f"{key}_low"], metrics[f"{key}_high"]
            _say(console, f"  {label}: {metrics[key]:.3f} [{low:.3f}, {high:.3f}]")


def _interval(estimate: Answer, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value, low, high = (f"{estimate[key]:{sign}.3f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _say(console: Terminal, line: str) -> None:
    console.say(line)
