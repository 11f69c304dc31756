"""How a person sees what ``corpusmith erase`` would do, and its receipt."""

from typing import Any

from rich.table import Table
from rich.text import Text

from flows.terminal import Terminal

Answer = dict[str, Any]

MAX_NAMED = 20  # ids; --json has them all


def erase(answer: Answer) -> None:
    """What goes, or went, and from where; then what is out of reach."""
    console = Terminal(soft_wrap=True)

    def say(text: str, style: str | None = None) -> None:
        console.say(text, style=style)

    done = answer["erased"]
    say(f"{'erased' if done else 'would be erased'}: {_named(answer['doc_ids'])}")
    if answer["exact_twins"]:
        say(f"with the same text, so too: {_named(answer['exact_twins'])}")
    if answer["near_duplicates"]:
        stay = "stay" if not done else "stayed"
        say(
            f"nearly the same, {stay} without --with-duplicates: "
            f"{_named(answer['near_duplicates'])}",
            "yellow",
        )
    console.print(_artifacts(answer))
    for each in answer["deleted"]:
        say(f"{'deleted' if done else 'deleted too'}  {each['path']}")
    if done:
        _say_rest(answer, say)
    say("out of reach:")
    for each in answer["unreachable"]:
        say(f"  {each['what']}: {each['do']}")
    say(f"receipt  {answer['receipt']}" if done else "nothing was touched; --yes erases")


def _say_rest(answer: Answer, say: Any) -> None:
    tracker = answer["tracker"]
    say(
        f"MLflow at {tracker['location']}: {tracker['num_pages']} pages replaced, "
        f"{tracker['num_models']} versions of models marked"
    )
    for problem in answer["problems"]:
        say(f"not done: {problem}", "red")


def _artifacts(answer: Answer) -> Table:
    table = Table(box=None)
    for column in ("artifact", "documents", "files", ""):
        table.add_column(column, justify="right" if column == "documents" else "left")
    for each in answer["artifacts"]:
        learned = "learned from them" if each["learned_from_erased"] else ""
        files = each["files"]
        shown = f"{len(files)} rewritten" if answer["erased"] else ", ".join(files)
        stage, _, input_id = each["path"].removeprefix("artifacts/").partition("/")
        table.add_row(Text(f"{stage} {input_id[:12]}"), str(each["num_documents"]), shown, learned)
    return table


def _named(doc_ids: list[str]) -> str:
    more = f" and {len(doc_ids) - MAX_NAMED} more" if len(doc_ids) > MAX_NAMED else ""
    return ", ".join(doc_ids[:MAX_NAMED]) + more
