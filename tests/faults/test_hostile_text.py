"""Ids, labels, words and names of files that mean harm, wherever people come to see them."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt
from rich.table import Table as RichTable

from flows import show
from flows.cli import exit_status, main
from flows.config import PipelineConfig
from flows.graph import StageName, load_stage, stages_for
from flows.markdown import code
from flows.pages import shown_row
from flows.terminal import Terminal
from model.errors import CorpusError
from tasks.execute import execute
from tasks.report.page import Figure, Section, Table, render_report
from tasks.report.plots import Estimate, estimate_plot
from tasks.stage import map_in_order
from tasks.store.artifact import ArtifactRef
from tasks.visible_text import visible
from tests.corpora import topic_documents, write_jsonl
from tests.faults.hostile import HOSTILE_TEXTS
from tests.faults.stages import SETTINGS, store_of
from tests.faults.table import Table as Faults
from tests.tasks.chain import Listener

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
# What a terminal acts on, and what turns the direction of what is shown; line ends apart.
ACTIVE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.policies: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("http-equiv", "").lower() == "content-security-policy":
            assert self.tags[-4:] == ["head", "meta", "meta", "meta"]  # before all that it is for
            self.policies.append(named["content"])
        self.tags.append(tag)
        self.attributes += attrs

    def assert_inert(self) -> None:
        """Nothing in it runs, loads or leads anywhere, and the browser is told so."""
        assert self.policies == [POLICY]
        active = {"script", "iframe", "object", "embed", "img", "image", "link", "base", "form"}
        assert not active & {*self.tags}
        for name, value in self.attributes:
            assert not name.startswith("on"), (name, value)
            assert name not in ("src", "srcdoc", "action", "formaction"), (name, value)
            assert not name.endswith("href") or (value or "").startswith("#"), (name, value)


def test_a_hit_is_one_line_without_escapes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for text in HOSTILE_TEXTS:
        hit = {"doc_id": text, "title": None, "text": f"passage {text}", "score": 0.5}
        titled = hit | {"title": text}
        show.search({"query": text, "like": None, "where": [text], "hits": [hit, titled]})
        printed = capsys.readouterr().out
        assert not ACTIVE.search(printed)
        assert len(printed.splitlines()) == 3


def test_other_answers_show_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    for text in HOSTILE_TEXTS:
        row = {"doc_id": text, "n_tokens": 1, "n_windows": 1, "embedding": [0.5]}
        link = {"path": text, "inputs": [text], "present": True, "sources": [(text, "0" * 64)]}
        words = [{"word": text, "num_occurrences": 1, "term": 0.1}]
        pairs = [{"left": text, "right": text, "term": 0.1}]
        sums = {"k": 1, "other_pairs": 0.0, "special_tokens": 0.0, "cosine": 0.1}
        sides = {"left": text, "right": text, "left_words": words, "right_words": words}
        show.embed({"path": text, "num_documents": 1})
        show.lineage({"chain": [link]})
        show.explain(sides | {"pairs": pairs} | sums)
        Terminal().print(show._vector_table([row]))
        printed = capsys.readouterr().out
        assert visible(text)[:4].strip() in printed
        assert not ACTIVE.search(printed)


def test_colours_and_cursors_of_our_own_stay() -> None:
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=True, color_system="standard", width=40)
    table = RichTable("id")
    table.add_row("\x1b[2J", style="bold")
    console.print(table)
    console.say("\x1b[31m\nforged", style="yellow")
    console.clear()
    assert "\x1b[33m␛[31m⏎forged\x1b[0m\n" in file.getvalue()
    assert file.getvalue().endswith("\x1b[2J\x1b[H")
    assert "\x1b[1m␛[2" in file.getvalue()


def test_an_error_is_one_line_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise CorpusError("an id \x1b[2J\ncorpusmith: all is well\r\u202e" + "x" * 10**6)

    assert exit_status(fail) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("corpusmith: an id ␛[2J⏎corpusmith: all is well")
    assert not ACTIVE.search(line)
    assert len(line) < 5000


def test_bytes_that_are_no_text_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(tmp_path)]
    for arguments in (["search", "a\udcff"], ["search", "a", "--where", "b = \udcff"]):
        assert main([*arguments, *place]) == 2
        assert "is no UTF-8 text" in capsys.readouterr().err


def test_json_has_no_bare_controls(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = {"hits": [*HOSTILE_TEXTS, "\x7f\x9b2J", "caf\u00e9"], "name": "a\udcff"}
    monkeypatch.setattr("flows.commands.COMMANDS", {"search": _Answering(answer)})
    assert main(["search", "--json", "words"]) == 0
    line = capfd.readouterr().out.removesuffix("\n")
    assert not re.search("[\x00-\x1f\x7f-\x9f]", line)
    assert "caf\u00e9" in line
    assert json.loads(line) == answer


class _Answering:
    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = lambda options: answer


def test_a_page_is_inert() -> None:
    dots = [Estimate(label=text, value=0.5, low=0.4, high=0.6) for text in HOSTILE_TEXTS]
    svg = estimate_plot("dots", dots, x_label=HOSTILE_TEXTS[8], limits=(0, 1))
    sections = [
        Section(
            title=text,
            paragraphs=[text],
            blocks=[
                Table(says=text, columns=[text], rows=[[text]], wraps=True),
                Figure(svg=svg, says=text, title=text, note=text),
            ],
        )
        for text in HOSTILE_TEXTS
    ]
    facts = dict(zip(HOSTILE_TEXTS, HOSTILE_TEXTS, strict=True))
    page = render_report("|".join(HOSTILE_TEXTS), sections, lead=HOSTILE_TEXTS[7], facts=facts)
    Page(page).assert_inert()


@pytest.mark.parametrize("text", [*HOSTILE_TEXTS, "``", "` `` ```", "![x](http://127.0.0.1/x)"])
def test_markdown_shows_it_as_code(text: str) -> None:
    """In a cell of a table, as Prefect's page renders those of text, and in a line."""
    row = shown_row({"file": text, "read": 3})
    assert row["read"] == 3
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    for source in (str(row["file"]), f"- in `a`: {code(text)}", f"|a|b|\n|-|-|\n|{code(text)}|1|"):
        html = markdown.render(source)
        tags = set(re.findall(r"<([a-z]+)", html))
        assert tags <= {"p", "ul", "li", "code", *("table", "thead", "tbody", "tr", "th", "td")}
        assert html.count("<td>") == 2 * ("<table>" in html)
        assert not ACTIVE.search(html)


LABEL, NAME = "=<b>label|</b>", "a`b|<img src=x onerror=alert(1)>.jsonl"


def hostile_corpus(folder: Path) -> Path:
    """Documents whose ids, labels, titles, words and file mean harm."""
    folder.mkdir()
    made: list[dict[str, str | int]] = []
    for number, document in enumerate(topic_documents(66)):
        text = HOSTILE_TEXTS[number % len(HOSTILE_TEXTS)]
        label = HOSTILE_TEXTS[6 + number % 3]
        words = f"{document['text']} {text} <script>alert(1)</script> =1+1"
        doc_id = text if number < len(HOSTILE_TEXTS) else f"{number}{text}"
        made.append({"id": doc_id, "text": words, LABEL: label, "title": text})
    return write_jsonl(folder / NAME, made)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_the_whole_chain_takes_them_for_text(tmp_path: Path, table: Faults) -> None:
    source = hostile_corpus(tmp_path / "from outside")
    settings: dict[str, Any] = {name: dict(values) for name, values in SETTINGS.items()}
    settings["ingest"] |= {"paths": [str(source)], "label_column": LABEL, "title_column": "title"}
    config = PipelineConfig.model_validate(settings)
    before = {path for path in tmp_path.rglob("*")}
    ends: tuple[StageName, ...] = ("evaluate", "export")  # the pages of probe have their own tests
    done: dict[StageName, ArtifactRef] = {}
    workspace = tmp_path / "workspace"
    for name in dict.fromkeys(each for end in ends for each in stages_for(end, config)):
        stage = load_stage(name)
        inputs = {upstream: done[upstream] for upstream in stage.reads(getattr(config, name))}
        done[name] = execute(
            stage,
            getattr(config, name),
            inputs,
            store=store_of(workspace),
            report=Listener(),
            map_shards=map_in_order,
        ).ref
    pages = [path for ref in done.values() for path in (workspace / ref.path).rglob("*.html")]
    assert len(pages) >= 3
    for page in pages:
        Page(page.read_text("utf-8")).assert_inert()
    outside = {path for path in tmp_path.rglob("*") if not path.is_relative_to(workspace)}
    assert outside == before, "nothing is written but in the workspace"
    parts = (workspace / done["export"].path).glob("part-*.parquet")
    ids = {doc_id for part in parts for doc_id in pq.read_table(part)["doc_id"].to_pylist()}
    assert {"../../escaped", "/etc/passwd", "=cmd|' /C calc'!A0"} <= ids
    assert len(ids) == 66
    table.add("ids, labels, words and names of files that mean harm", "every stage", "text")
