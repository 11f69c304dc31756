"""Reads dumps of MediaWiki: each article is one document."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn
from xml.parsers import expat

from tasks.ingest.pages.mediawiki_markup import HIDDEN_NAMESPACES, strip_markup
from tasks.ingest.reading.records import (
    PREVIEW_BYTES,
    FileRefusedError,
    Reason,
    Record,
    Refusal,
    document_name,
)

_LOOKS = re.compile(r"\ufeff?(?>\s|<\?xml[^>]*+>|<!--(?>.*?-->))*+<mediawiki[\s>]", re.DOTALL)
_ARTICLES, _FILES, _CATEGORIES = "0", "6", "14"  # keys of namespaces
_REDIRECT = re.compile(
    r"""\s*\#\s*(?:redirect|redirection|redirección|redirecionamento|rinvia|rinvio|weiterleitung|
    doorverwijzing|omdirigering|omdiriger|viderestilling|tilvísun|ohjaus|uudelleenohjaus|suuna|
    patrz|przekieruj|tam|přesměruj|presmeruj|preusmjeri|preusmeri|átirányítás|yönlend[iİ]rme|
    yönlend[iİ]r|redirecteaza|перенаправление|перенапр|перенаправлення|пренасочване|виж|преусмери|
    ανακατευθυνση|ανακατεύθυνση|הפניה|تحويل|تغییر_?مسیر|पुनर्प्रेषित|เปลี่ยนทาง|đổi|alih|넘겨주기|転送|
    リダイレクト|重定向)\s*:?\s*\[\[""",
    re.IGNORECASE | re.VERBOSE,
)
_MAX_DEPTH = 32
_MAX_NAMESPACES = 1_000
_MAX_FIELD_BYTES = 10_000
_MAX_WAITING_BYTES = 2**22  # of one tag or comment that does not end
_MAX_ID_DIGITS = 18
_PAGE_FIELDS = {
    ("page", "title"): "title",
    ("page", "ns"): "namespace",
    ("page", "id"): "page_id",
    ("revision", "model"): "model",
    ("revision", "text"): "text",
}


def looks_like_mediawiki(head: str) -> bool:
    """Whether this is the beginning of a dump."""
    return _LOOKS.match(head) is not None


def read_mediawiki(
    pieces: Iterable[bytes], *, source: str, max_bytes: int
) -> Iterator[Record | Refusal]:
    """The articles of a dump without their markup, with their `title` and `page_id`.

    The last revision of a page counts. Pages outside the main namespace, or in a content model
    other than wikitext, are dropped, and so are redirects. An article whose markup is over
    `max_bytes` long, or has over 500 brackets open at once, is refused by itself.

    Raises:
        FileRefusedError: broken XML, another kind of XML, declarations of entities, over 32 levels
            of elements, or a tag of over 4 MiB. Pages before it are good.
    """
    dump = _Dump(max_bytes)
    for number, page in enumerate(dump.pages(pieces)):
        yield _read_page(page, number, source, dump.hidden_namespaces)


@dataclass
class _Page:
    """What a dump says of a page; `num_bytes` is how long the page's element is."""

    byte_offset: int
    num_bytes: int = 0
    title: str = ""
    namespace: str = ""
    page_id: str = ""
    model: str = ""
    text: str = ""
    is_redirect: bool = False
    too_long: set[str] = field(default_factory=set)


@dataclass
class _Characters:
    """The characters of an element while they come in; past `max_bytes`, just the beginning."""

    max_bytes: int
    num_bytes: int = 0
    parts: list[str] = field(default_factory=list)

    def add(self, characters: str) -> None:
        self.num_bytes += len(characters.encode("utf-8", "replace"))
        if self.num_bytes <= self.max_bytes:
            self.parts.append(characters)
        elif len(self.parts) > 1:
            self.parts = ["".join(self.parts)[:PREVIEW_BYTES]]
        elif not self.parts:
            self.parts.append(characters[:PREVIEW_BYTES])

    def hand_over(self, page: _Page, name: str) -> None:
        setattr(page, name, "".join(self.parts))
        page.too_long -= {name}
        if self.num_bytes > self.max_bytes:
            page.too_long.add(name)


class _Dump:
    """Parses a dump piece by piece and holds no more than the pages that a piece ends."""

    def __init__(self, max_bytes: int) -> None:
        self.hidden_namespaces = HIDDEN_NAMESPACES
        self._max_bytes = max_bytes
        self._other_namespaces: set[str] = set()
        self._namespace_key = ""
        self._path: list[str] = []
        self._characters: _Characters | None = None
        self._page: _Page | None = None
        self._found: list[_Page] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = 2**16
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add
        # No dump declares or uses entities of its own, and they can grow without measure.
        self._parser.EntityDeclHandler = _refuse_entity
        self._parser.SkippedEntityHandler = _refuse_entity
        self._parser.StartDoctypeDeclHandler = _check_document_type

    def pages(self, pieces: Iterable[bytes]) -> Iterator[_Page]:
        num_bytes = 0
        for piece in pieces:
            num_bytes += len(piece)
            yield from self._parse(piece, is_last=False)
            if num_bytes - self._parser.CurrentByteIndex > _MAX_WAITING_BYTES:
                raise FileRefusedError(Reason.BAD_XML, self._parser.CurrentByteIndex)
        yield from self._parse(b"", is_last=True)

    def _parse(self, piece: bytes, *, is_last: bool) -> Iterator[_Page]:
        refusal = None
        try:
            self._parser.Parse(piece, is_last)
        except FileRefusedError as error:
            refusal = error
        except expat.ExpatError:
            refusal = FileRefusedError(Reason.BAD_XML, max(0, self._parser.ErrorByteIndex))
        except (LookupError, ValueError):  # what the XML says of its encoding
            refusal = FileRefusedError(Reason.UNKNOWN_ENCODING, self._parser.CurrentByteIndex)
        found, self._found = self._found, []
        yield from found
        if refusal:
            raise refusal

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "mediawiki":
            raise FileRefusedError(Reason.BAD_XML, self._parser.CurrentByteIndex)
        if len(self._path) == _MAX_DEPTH:
            raise FileRefusedError(Reason.TOO_DEEP, self._parser.CurrentByteIndex)
        parent = self._path[-1] if self._path else ""
        self._path.append(name)
        if name == "page":
            self._page = _Page(self._parser.CurrentByteIndex)
        elif name == "redirect" and self._page:
            self._page.is_redirect = True
        elif name == "namespace" and not self._page:
            self._namespace_key = attributes.get("key", "")
            self._characters = _Characters(_MAX_FIELD_BYTES)
        elif self._page and (parent, name) in _PAGE_FIELDS:
            setattr(self._page, _PAGE_FIELDS[parent, name], "")  # of an earlier revision
            self._characters = _Characters(self._max_bytes if name == "text" else _MAX_FIELD_BYTES)

    def _add(self, characters: str) -> None:
        if self._characters:
            self._characters.add(characters)

    def _end(self, name: str) -> None:
        self._path.pop()
        parent = self._path[-1] if self._path else ""
        if name == "page" and self._page:
            end = self._parser.CurrentByteIndex + len("</page>")
            self._page.num_bytes = end - self._page.byte_offset
            self._finish(self._page)
            self._page = None
        elif self._characters and name == "namespace":
            self._add_namespace("".join(self._characters.parts))
            self._characters = None
        elif self._characters and self._page and (parent, name) in _PAGE_FIELDS:
            self._characters.hand_over(self._page, _PAGE_FIELDS[parent, name])
            self._characters = None

    def _add_namespace(self, name: str) -> None:
        name = name.strip().lower()
        if len(self._other_namespaces) == _MAX_NAMESPACES:
            raise FileRefusedError(Reason.BAD_XML, self._parser.CurrentByteIndex)
        if name and self._namespace_key != _ARTICLES:
            self._other_namespaces.add(name)
        if name and self._namespace_key in (_FILES, _CATEGORIES):
            self.hidden_namespaces |= {name}

    def _finish(self, page: _Page) -> None:
        """Old dumps give a page's namespace by the beginning of its title only."""
        if not page.namespace.strip():
            prefix, colon, _ = page.title.partition(":")
            is_other = colon and prefix.strip().lower() in self._other_namespaces
            page.namespace = "" if is_other else _ARTICLES
        self._found.append(page)


def _refuse_entity(*arguments: Any) -> NoReturn:
    raise FileRefusedError(Reason.BAD_XML)


def _check_document_type(*arguments: Any) -> None:
    if arguments[-1]:  # it has declarations inside
        raise FileRefusedError(Reason.BAD_XML)


def _read_page(
    page: _Page, number: int, source: str, hidden_namespaces: frozenset[str]
) -> Record | Refusal:
    preview = page.text[:PREVIEW_BYTES].encode("utf-8", "replace")[:PREVIEW_BYTES]
    text = _article_text(page, hidden_namespaces)
    if isinstance(text, Reason):
        return Refusal(number, text, page.byte_offset, preview, page.num_bytes)
    columns: dict[str, Any] = {}
    if title := " ".join(page.title.split()):
        columns["title"] = title
    page_id = page.page_id.strip()
    if page_id.isascii() and page_id.isdigit() and len(page_id) <= _MAX_ID_DIGITS:
        columns["page_id"] = int(page_id)
    doc_id = document_name(source, number)
    return Record(number, page.byte_offset, columns, doc_id, preview, text, page.num_bytes)


def _article_text(page: _Page, hidden_namespaces: frozenset[str]) -> str | Reason:
    if page.namespace.strip() != _ARTICLES or page.model.strip() not in ("", "wikitext"):
        return Reason.UNSUPPORTED
    if page.is_redirect or _REDIRECT.match(page.text):
        return Reason.REDIRECT
    if page.too_long:
        return Reason.TOO_LONG
    return strip_markup(page.text, hidden_namespaces)
