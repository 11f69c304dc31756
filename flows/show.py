"""How a person sees each command's answer."""

import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from rich.table import Table
from rich.text import Text

from flows.terminal import Terminal
from tasks.system_names import is_layer
from tasks.visible_text import visible

Answer = dict[str, Any]

MAX_NUMBERS = 4  # of a vector; --json has them all
MAX_CROSSING = 8.0  # times the text; --json has those beyond, and below the least share
MAX_SOURCES = 10  # named of a lineage; --json has them all
HEADLINES = {  # what a reader wants of each stage, at most three numbers
    "ingest": ("num_kept", "num_duplicate", "num_quarantined"),
    "vocab": ("vocab_size", "bytes_per_token"),
    "tokenize": ("num_tokens", "fill_frac"),
    "pretrain": ("validation_loss", "unigram_loss", "validation_bits_per_byte"),
    "tune": ("initial_recall_at_1", "validation_recall_at_1"),
    "probe": ("masked_loss_last_layer", "unigram_masked_loss", "num_heads_that_help"),
    "evaluate": ("half_document_recall_at_1",),
    "export": ("num_documents", "dim", "documents_per_second"),
    "drift": ("num_new_documents", "num_documents", "num_reference_documents"),
    "trial": ("both_recall_at_1_difference", "new_recall_at_1_difference"),
}
FIRST_MEASURES = frozenset({"recall_at_1", "accuracy", "spearman", "ndcg_at_10"})


def run(answer: Answer) -> None:
    """Artifacts, scores beside their baselines, where to look, and example searches."""
    console = Terminal()
    console.print(_artifact_table(answer))
    if "scores" in answer:
        console.print(_score_table(answer["scores"]))
    for search_answer in answer.get("searches", []):
        search(search_answer)
    console.print(_where(answer))
    if refused := answer.get("refused"):
        against = refused["against"]
        console.print(f"not published: release {against} stays current", style="bold yellow")
        for reason in refused["reasons"]:
            console.print(visible(f"  {reason}"), markup=False, highlight=False, soft_wrap=True)


def search(answer: Answer) -> None:
    """Each hit with its score, its id and the passage that fits best, on one line."""
    console = Terminal()
    like = answer.get("like")
    asked = f"like {like}" if like is not None else f'"{answer["query"]}"'
    where = "".join(f" where {condition}" for condition in answer.get("where", []))
    console.say(f"search {asked}{where}", style="bold")
    for hit in answer["hits"]:
        passage = " ".join((hit["text"] or "").split())
        line = f"  {hit['score']:.3f}  {hit['title'] or hit['doc_id']}  "
        console.print(Text(visible(line + passage)), no_wrap=True, overflow="ellipsis", crop=True)
    if not answer["hits"]:
        console.print("  no document is such")


def explain(answer: Answer) -> None:
    """The cosine as a sum over pairs of words, then the words of each document."""
    console = Terminal()
    pairs = answer["pairs"][: answer["k"]]
    rest = answer["other_pairs"] + sum(pair["term"] for pair in answer["pairs"][answer["k"] :])
    table = Table(title="cosine of two documents", title_justify="left", box=None)
    for name in (answer["left"], answer["right"]):
        table.add_column(Text(visible(name)), overflow="fold")
    table.add_column("term", justify="right")
    for pair in pairs:
        table.add_row(
            Text(visible(pair["left"])), Text(visible(pair["right"])), f"{pair['term']:.5f}"
        )
    table.add_row(Text("[CLS] and [SEP]"), "with all", f"{answer['special_tokens']:.5f}")
    table.add_row("all other pairs", "", f"{rest:.5f}")
    table.add_row("cosine", "", f"{answer['cosine']:.5f}", style="bold")
    console.print(table)
    for side in ("left", "right"):
        console.print(_word_table(answer[side], answer[f"{side}_words"], answer["k"]))


def plan(answer: Answer) -> None:
    """Stage by stage: reuse or run, what it is expected to cost, and why; or the forecast."""
    console = Terminal()
    if "forecast" in answer:
        _forecast(answer, console)
        return
    table = Table(title="plan", title_justify="left", box=None)
    for column in ("stage", "would", "input id", "expects", "by"):
        table.add_column(column)
    for stage in answer["stages"]:
        expects, rests_on = Text(stage["expects"]), Text(stage["rests_on"])
        table.add_row(stage["stage"], stage["action"], stage["input_id"][:12], expects, rests_on)
    console.print(table)
    console.print(_totals(answer["totals"]), highlight=False)
    for reason in (reason for stage in answer["stages"] for reason in stage.get("why", [])):
        console.say(reason, style="yellow")


def embed(answer: Answer) -> None:
    """How many documents went where; without a file a table, or JSON lines past a terminal."""
    console = Terminal()
    if "path" in answer:
        console.print(f"{answer['num_documents']} documents embedded into {answer['path']}")
    elif console.is_terminal:
        console.print(_vector_table(answer["documents"]))
    else:
        for row in answer["documents"]:
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def lineage(answer: Answer) -> None:
    """The chain, nearest first, down to the source files."""
    console = Terminal(soft_wrap=True)
    for link in answer["chain"]:
        gone = "" if link["present"] else "  (no longer here)"
        inputs = ", ".join(link["inputs"])
        reads = f"  <- {inputs}" if inputs else ""
        console.say(f"{link['path']}{reads}{gone}")
        if erased := link.get("erased"):
            learned = ", which it learned from" if erased["learned"] else ""
            line = f"    {erased['num_documents']} documents erased since{learned}"
            console.say(line, style="yellow")
        for name, sha256 in link.get("sources", [])[:MAX_SOURCES]:
            console.say(f"    {name}  {sha256[:12]}")
        if len(link.get("sources", [])) > MAX_SOURCES:
            more = len(link["sources"]) - MAX_SOURCES
            console.say(f"    and {more} more source files")


def verify(answer: Answer) -> None:
    """That all is well, and what was erased; problems are an error of the command."""
    console = Terminal(soft_wrap=True)
    console.print(f"{answer['artifacts']} artifacts, every file as its manifest says")
    for each in answer["erased"]:
        done = "is not finished: `corpusmith erase --yes` ends it" if each["is_pending"] else ""
        what = f"{each['num_files']} files rewritten" if each["num_files"] else "marked"
        line = f"{each['path']}: {each['num_documents']} documents erased, {what}"
        console.say(f"{line}; {done}" if done else line)


def gc(answer: Answer) -> None:
    """What goes, or would go."""
    console = Terminal()
    for each in answer["paths"]:
        console.say(f"{each['bytes'] / 1e6:9.1f} MB  {each['path']}")
    total = sum(each["bytes"] for each in answer["paths"]) / 1e6
    done = "deleted" if answer["deleted"] else "would be deleted with --yes"
    console.print(f"{len(answer['paths'])} folders, {total:.1f} MB {done}")


def doctor(answer: Answer, *, to_stderr: bool = False) -> None:
    """Each check with its finding."""
    console = Terminal(stderr=to_stderr, soft_wrap=True)
    marks = {"ok": "ok  ", "warning": "WARN", "failed": "FAIL"}
    styles = {"ok": None, "warning": "yellow", "failed": "red"}
    for check in answer["checks"]:
        line = f"{marks[check['state']]} {check['name']}: {check['finding']}"
        console.say(line, style=styles[check["state"]])


def deploy(answer: Answer) -> None:
    """What the server has now, and how to start workers; or only where the file lies."""
    console = Terminal(soft_wrap=True)
    if "deployments" not in answer:
        sys.stdout.write(f"{answer['prefect_file']}\n")
        return
    for each in answer["deployments"]:
        schedules = [
            f"{plan['slug']} {plan.get('cron', '')} {plan.get('timezone', '')}, "
            f"{'on' if plan['active'] else 'off'}"
            for plan in each["schedules"]
        ]
        line = f"{each['name']:<20} pool {each['pool']:<5} {'; '.join(schedules)}"
        console.say(line.rstrip())
    console.print("on each worker, one of:")
    for command in answer["workers"]:
        console.say(f"  {command}")


def nothing(answer: Answer) -> None:
    """For commands that have said everything while they ran."""


def _forecast(answer: Answer, console: Terminal) -> None:
    """Scores on parts of the text and what is foretold of all of it, then what that says."""
    names = [str(Fraction(share)) for share in answer["shares"]]
    table = Table(title="recall@1 by share of the text", title_justify="left", box=None)
    for column in ("", *names, "all, foretold", "lines cross at"):
        table.add_column(column, justify="right" if column else "left")
    for row in answer["forecast"]:
        own = [point for point in answer["curve"] if point["system"] == row["system"]]
        interval = f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        crossing = answer["crossings"].get(row["system"])
        is_near = crossing and answer["shares"][0] <= crossing <= MAX_CROSSING
        at = f"{crossing:.2g}\u00d7" if is_near else ""
        style = "bold" if row["system"] == answer["systems"][0] else ""
        values = (f"{point['value']:.2f}" for point in own)
        table.add_row(Text(row["label"]), *values, interval, at, style=style)
    console.print(table)
    for sentence in answer["verdicts"]:
        console.print(visible(sentence), markup=False, highlight=False, soft_wrap=True)
    console.print(f"report  {answer['report']}", markup=False, highlight=False, soft_wrap=True)


def _word_table(doc_id: str, words: Sequence[Answer], num_shown: int) -> Table:
    """What each word of a document adds with all of the other document; adds up to the cosine."""
    table = Table(title=Text(visible(doc_id)), title_justify="left", box=None)
    for column in ("word", "times", "term"):
        table.add_column(column, justify="left" if column == "word" else "right")
    special = [word for word in words if not word["num_occurrences"]]
    own = [word for word in words if word["num_occurrences"]]
    for word in [*own[:num_shown], *special]:
        times = str(word["num_occurrences"] or "")
        table.add_row(Text(visible(word["word"])), times, f"{word['term']:.5f}")
    if rest := own[num_shown:]:
        table.add_row(f"{len(rest)} others", "", f"{sum(word['term'] for word in rest):.5f}")
    return table


def _vector_table(documents: Sequence[Answer]) -> Table:
    table = Table(box=None)
    for column in ("document", "tokens", "windows", "vector"):
        table.add_column(column, justify="right" if column in ("tokens", "windows") else "left")
    for row in documents:
        vector = row["embedding"]
        shown = " ".join(f"{number:+.3f}" for number in vector[:MAX_NUMBERS])
        more = f" … ({len(vector)} numbers)"
        table.add_row(
            Text(visible(row["doc_id"])), str(row["n_tokens"]), str(row["n_windows"]), shown + more
        )
    return table


def _artifact_table(answer: Answer) -> Table:
    table = Table(title=f"run {answer['run_id']}", title_justify="left", box=None)
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("artifact")
    table.add_column("measured", overflow="fold")
    for stage, made in answer["artifacts"].items():
        name = f"{made['input_id'][:12]}{' reused' if made['reused'] else ''}"
        measured = headline(stage, answer["metrics"])
        table.add_row(stage, f"{made['seconds']:.1f}", name, Text(measured))
    return table


def headline(stage: str, metrics: dict[str, float]) -> str:
    """A stage's few numbers that a reader wants first, from metrics named ``stage/name``."""
    named = [(name, metrics.get(f"{stage}/{name}")) for name in HEADLINES.get(stage, ())]
    return ", ".join(f"{name} {_number(value)}" for name, value in named if value is not None)


def _number(value: float) -> str:
    if value == int(value) and abs(value) >= 10:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _score_table(scores: Sequence[Answer]) -> Table:
    """A row a system, a column a task's first measure; all others stand in the report."""
    columns = [
        (task, measure)
        for task, measure in dict.fromkeys((row["task"], row["measure"]) for row in scores)
        if measure in FIRST_MEASURES
    ]
    table = Table(title="scores on the test split", title_justify="left", box=None)
    table.add_column("")
    for task, measure in columns:
        table.add_column(f"{task.replace('_half_document', '')}\n{measure}", justify="right")
    systems = dict.fromkeys(row["system"] for row in scores if not is_layer(row["system"]))
    for system in systems:
        own = {(r["task"], r["measure"]): r for r in scores if r["system"] == system}
        cells = [f"{own[column]['value']:.3f}" if column in own else "" for column in columns]
        table.add_row(system, *cells, style="bold" if system == "corpusmith" else "")
    return table


def _where(answer: Answer) -> Text:
    lines = [
        f"MLflow      {answer['mlflow']['tracking_uri']}",
        f"Prefect     flow run {answer['prefect']['flow_run_id']}",
        f"both pages  corpusmith ui --workspace {answer['workspace']}",
    ]
    if answer.get("report"):
        lines.insert(0, f"report      {answer['report']}")
    if answer.get("published"):
        lines.insert(0, f"embeddings  {answer['published']}")
    return Text("\n".join(lines))


def _totals(totals: Answer) -> str:
    guessed_s = totals["guessed_seconds"]
    guessed = f" ({guessed_s:,.0f} s of them guessed from sizes alone)" if guessed_s else ""
    return (
        f"about {totals['seconds']:,.0f} s{guessed}, "
        f"{totals['memory_bytes'] / 1e9:.1f} GB of memory, "
        f"{totals['disk_bytes'] / 1e6:,.0f} MB of disk; an encoder of "
        f"{totals['num_parameters'] / 1e6:.1f} M parameters, trained on "
        f"{totals['training_tokens']:,} tokens with {totals['training_flops']:.1e} FLOP"
    )
