"""Takes the main text out of a web page."""

import html
import itertools
import logging
import re
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from lxml import etree
from lxml import html as lxml_html

from tasks.ingest.reading.records import Reason

_LOOKS = re.compile(
    r"\ufeff?(?:\s|<\?xml[^>]*+>|<!--(?>.*?-->))*+<(?:!doctype\s+html|html|head|body|title|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_CONTROLS = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# libxml2 stumbles over declarations within a document type, and over an <html> that closes itself.
_DOCUMENT_TYPE = re.compile(
    r"\s*+(?:<\?xml[^>]*+>\s*+)?<!doctype[^>\[]*+(?:\[[^\]]*+\][^>]*+)?>", re.IGNORECASE
)
_CLOSED_HTML = re.compile(r"(<html[^>]*?)/>", re.IGNORECASE)
_TAG = re.compile(
    r"""<(?:
        !--(?:(?>.*?-->)|.*)
        | (?P<raw>script|style)\b(?:(?>.*?</(?P=raw))|.*)
        | (?P<element>[a-z](?:[^>"']++|"[^"]*+"|'[^']*+')*+)
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_QUOTED = re.compile(r"\"[^\"]*+\"|'[^']*+'")
_LIKE_AN_ENTITY = re.compile(r"&(?=[#a-zA-Z])")
_WORD = re.compile(r"[^\s/]+")

# Attributes that tell the library what is text of the page, and which formula is meant.
_ATTRIBUTES_READ = frozenset(
    """alttext aria-hidden class data-component data-lp-replacement-content data-testid display
    encoding hidden href id itemprop itemtype rel role style type""".split()
)

# The time and the memory that a page takes grow with these, in some places with their squares.
_HEAD_CHARACTERS = 2_000
_MAX_CHARACTERS = 8_000_000
_MAX_TAGS = 80_000
_MAX_ATTRIBUTES = 250_000
_MAX_TAG_ATTRIBUTES = 1_000
_MAX_VALUE_CHARACTERS = 2_000
# Of larger pages, the answer of one algorithm is not held against those of others.
_MAX_TAGS_COMPARED = 5_000
_MAX_CHARACTERS_COMPARED = 2_000_000
_MAX_DEPTH = 256
_MAX_TOTAL_DEPTH = 2_000_000


class Page(NamedTuple):
    """What a reader gets of a page: its paragraphs are lines."""

    title: str | None
    text: str


def looks_like_html(head: str) -> bool:
    """Whether this is the beginning of a web page, rather than of text with some tags in it."""
    return _LOOKS.match(head) is not None


def extract_page(markup: str) -> Page | Reason:
    """The title and the main text of a page, without menus, comments and scripts.

    Each page stands for itself: the answer depends on nothing that was read before. Where the
    precise way finds nothing, a more generous one has its turn, and then all visible text.

    Returns:
        EMPTY: no text is to be seen.
        TOO_LONG: over 8,000,000 characters, 80,000 tags, 250,000 attributes, or 1,000
            attributes of one tag.
        TOO_DEEP: elements over 256 deep, or 20 deep on average of 100,000.
        BAD_HTML: the library that does it fails over this page.

    Raises:
        MemoryError: there is too little of it.
    """
    num_tags = _count_tags(markup)
    if num_tags is None or len(markup) > _MAX_CHARACTERS:
        return Reason.TOO_LONG
    is_large = num_tags > _MAX_TAGS_COMPARED or len(markup) > _MAX_CHARACTERS_COMPARED
    tree = _parse(_CONTROLS.sub(" ", markup))
    if tree is None:
        return Reason.EMPTY
    if _is_too_deep(tree):
        return Reason.TOO_DEEP
    title = _title(tree)
    _prepare(tree)
    trafilatura = _trafilatura()
    try:
        text = _main_text(trafilatura, tree, is_large=is_large)
    except RecursionError:
        return Reason.TOO_DEEP
    except MemoryError:  # of the machine, not of the page: not to be taken for a bad page
        raise
    except Exception:  # the library fails in many ways over odd pages; one page costs itself alone
        return Reason.BAD_HTML
    finally:
        _forget()
    return Page(title, text) if text.strip() else Reason.EMPTY


def _count_tags(markup: str) -> int | None:
    """The number of tags; None where there are too many of them or of their attributes."""
    num_tags = num_attributes = 0
    for num_tags, found in enumerate(_TAG.finditer(markup), start=1):
        if tag := found["element"]:
            num_words = len(_WORD.findall(_QUOTED.sub(" ", tag))) - 1
            num_attributes += num_words
            if num_words > _MAX_TAG_ATTRIBUTES or num_attributes > _MAX_ATTRIBUTES:
                return None
        if num_tags > _MAX_TAGS:
            return None
    return num_tags


def _parse(markup: str) -> Any | None:
    """The tree of a page without its scripts; None where there is not a single element."""
    parser = lxml_html.HTMLParser(
        collect_ids=False,
        default_doctype=False,
        encoding="utf-8",
        huge_tree=True,  # else libxml2 stops at a text of 10 MB, and says nothing
        remove_comments=True,
        remove_pis=True,
    )
    markup = markup.lstrip("\ufeff")
    if document_type := _DOCUMENT_TYPE.match(markup):
        markup = markup[document_type.end() :]
    head, rest = markup[:_HEAD_CHARACTERS], markup[_HEAD_CHARACTERS:]
    markup = _CLOSED_HTML.sub(r"\1>", head, count=1) + rest
    try:
        tree = lxml_html.document_fromstring(markup.encode("utf-8"), parser=parser)
    except etree.LxmlError:
        return None
    etree.strip_elements(tree, "script", "style", with_tail=False)
    return tree


def _is_too_deep(tree: Any) -> bool:
    depth = total_depth = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        total_depth += depth
        if depth > _MAX_DEPTH or total_depth > 2 * _MAX_TOTAL_DEPTH:
            return True
    return False


def _prepare(tree: Any) -> None:
    """Make up for what the library does.

    It copies the tree over and over, with all the attributes it never looks at; searches others
    with regular expressions, which takes long where they are long; and resolves entities once more
    than there are.
    """
    for element in tree.iter():
        if (text := element.text) and (plain := _plain(text)) != text:
            element.text = plain
        if (tail := element.tail) and (plain := _plain(tail)) != tail:
            element.tail = plain
        attributes = element.items()
        read = (one for one in attributes if _is_read(*one))
        kept = [(name, _CONTROLS.sub(" ", value)) for name, value in read]
        if kept != attributes:
            element.attrib.clear()  # names that are none in XML cannot be deleted one by one
            element.attrib.update(kept)


def _plain(text: str) -> str:
    """The text without the control characters that references stand for, its ``&`` escaped."""
    return _CONTROLS.sub(" ", _LIKE_AN_ENTITY.sub("&amp;", text))


def _is_read(name: str, value: str) -> bool:
    return name in _ATTRIBUTES_READ and len(value) <= _MAX_VALUE_CHARACTERS


def _main_text(trafilatura: ModuleType, tree: Any, *, is_large: bool) -> str:
    for favor_recall in (False, True):
        text: str | None = trafilatura.extract(
            tree,
            fast=is_large,
            favor_recall=favor_recall,
            include_comments=False,
            include_tables=True,
            deduplicate=False,
        )
        if text and text.strip():
            return text
    return html.unescape(trafilatura.html2txt(tree))


def _title(tree: Any) -> str | None:
    """What the page calls itself for others, or in its head, or above its text."""
    shared = tree.xpath('.//head/meta[@property="og:title"]/@content')
    elements = itertools.chain(tree.iterfind(".//head/title"), tree.iter("h1"))
    candidates = itertools.chain(shared, (one.text_content() for one in elements))
    titles = (" ".join(_CONTROLS.sub(" ", one).split()) for one in candidates)
    return next(filter(None, titles), None)


@cache
def _trafilatura() -> ModuleType:
    """The library, which takes long to import and logs what is wrong with pages as errors."""
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return trafilatura


def _forget() -> None:
    """Empty the library's caches, which would hold on to the texts of a thousand pages."""
    from trafilatura.utils import line_processing, trim

    line_processing.cache_clear()
    trim.cache_clear()
