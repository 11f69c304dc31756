"""Turns the markup of MediaWiki into the text that a reader sees."""

import html
import re
from typing import NamedTuple

from tasks.ingest.reading.records import Reason

# Stands where something was taken out, until all around it is tidied. XML has no such character.
_GONE = "\0"
_MAX_OPEN = 500

# Links into these namespaces show a picture, or file a page away, instead of being read.
HIDDEN_NAMESPACES = frozenset(
    name.replace("_", " ")
    for name in """
    file image media category datei bild kategorie fichier catégorie archivo imagen categoría
    immagine categoria ficheiro arquivo imagem bestand afbeelding categorie plik grafika kategoria
    fil kategori tiedosto kuva luokka soubor kategorie súbor kategória fájl kép fișier imagine
    slika datoteka kategorija dosya файл изображение категория зображення категорія картинка
    датотека слика категорија αρχείο εικόνα κατηγορία קובץ תמונה קטגוריה ملف صورة تصنيف پرونده رده
    चित्र श्रेणी ไฟล์ ภาพ หมวดหมู่ tập_tin hình thể_loại berkas gambar 파일 그림 분류 ファイル 画像
    カテゴリ 文件 檔案 图像 圖像 分类 分類
    """.split()
)
_LANGUAGE = re.compile(r"(?!(?:doi|rfc|mw|voy|wmf):)(?:simple|[a-z]{2,3}(?:-[a-z]{2,12}){0,2}):\S")

# What belongs to these tags is no text of the article.
_DROPPED_TAGS = frozenset(
    """categorytree ce charinsert chem gallery graph hiero imagemap includeonly indicator inputbox
    mapframe maplink math ref references rss score section templatedata templatestyles
    timeline""".split()
)
_CODE_TAGS = frozenset(("source", "syntaxhighlight"))  # these resolve no entities
_OPAQUE_TAGS = _DROPPED_TAGS | _CODE_TAGS | {"nowiki", "pre"}
_BLOCK_TAGS = frozenset(
    """blockquote br caption center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p poem table td th tr
    ul""".split()
)
_INLINE_TAGS = frozenset(
    """abbr b bdi bdo big cite code data del dfn em font i ins kbd languages mark noinclude
    onlyinclude q rb rp rt rtc ruby s samp small span strike strong sub sup time translate tt tvar
    u var wbr""".split()
)

_MARK = re.compile(
    rf"<!--|<({'|'.join(sorted(_OPAQUE_TAGS))})(?=[\s/>])|\{{\{{+|\}}\}}+|\[\[|\]\]|\{{\||\|\}}",
    re.IGNORECASE,
)
_CLOSING_TAGS = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _OPAQUE_TAGS}
_TAG_REST = re.compile(r"[^<>]*>")
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)(?=[\s/>])[^<>]*>")
_EXTERNAL_LINK = re.compile(
    r"\[(?:(?:(?:https?|ftps?|ircs?|gopher|telnet|nntp|svn|git):)?//|mailto:|news:)[^\s\[\]]*+"
    r"(?:[ \t]++([^\[\]\n]*+))?\]"
)
_QUOTED_LINE = re.compile(r"^.*''.*$", re.MULTILINE)
_QUOTES = re.compile(r"'{2,}")
# Where a line's marks are odd, three are an apostrophe (l'''amour'') at the likeliest of places.
_ELISIONS = tuple(
    re.compile(before + r"(?<!')'''(?!')") for before in (r"(?<=\s\w)", r"(?<=\w)", "")
)
_MAGIC_WORD = re.compile(r"__([^\W\d_]\w{1,30}?)__")
_TABLE_LINE = re.compile(r"^[ \t:*#\0]*+(?:\{\||\|).*$", re.MULTILINE)
_HEADING = re.compile(r"^[ \t\0]*+=(.*)=[ \t\0]*$", re.MULTILINE)
_LINE_START = re.compile(r"^(?:-{4,}|[*#:;]+)", re.MULTILINE)
_BLANKS = re.compile(r"(?:[\t\xa0]| [ \t\xa0])[ \t\xa0]*")
_LINE_EDGES = re.compile(r"^ | $", re.MULTILINE)
_PARENTHESES = re.compile(r"\(([ \0,;:–—-]*+)\)")
_OPENING = re.compile(r"\(([ \0,;:]++)")
_GAP = re.compile(r"\0[ \0]*+")
_GAP_BEFORE_STOP = re.compile(r"\0 ?(?=[,.;:)!?])")
_BLANK_LINE = re.compile(r"^[ \0]*+(?:\n|\Z)", re.MULTILINE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_BLANK_LINES = re.compile(r"\n{3,}")
_PROTECTED = str.maketrans({mark: f"&#{ord(mark)};" for mark in "&'<>[]{}|=*#:;-_ \t()"})


def strip_markup(markup: str, hidden: frozenset[str] = HIDDEN_NAMESPACES) -> str | Reason:
    """The text of an article in time linear in its length; TOO_DEEP for over 500 open brackets.

    Headings, list items, labels of links and code stay, each on its line. Templates, tables,
    references, comments, formulas, galleries, pictures, categories and links to other languages go.

    Args:
        hidden: names of namespaces, in lower case, whose links are not read.
    """
    try:
        text = _Stripper(markup.replace(_GONE, ""), hidden).strip()
    except _TooDeepError:
        return Reason.TOO_DEEP
    text = _EXTERNAL_LINK.sub(_link_label, _TAG.sub(_without_tag, text))
    text = _MAGIC_WORD.sub(_without_magic_word, _QUOTED_LINE.sub(_without_quotes, text))
    text = _HEADING.sub(_heading_title, _TABLE_LINE.sub(_GONE, text))
    text = _tidy(_LINE_START.sub("", text))
    text = _ENTITY.sub(_character, text)
    return _BLANK_LINES.sub("\n\n", text).strip("\n")


def _tidy(text: str) -> str:
    """Close the gaps that things taken out have left."""
    text = _LINE_EDGES.sub("", _BLANKS.sub(" ", text))
    text = _GAP.sub(lambda found: f"{_GONE} " if " " in found[0] else _GONE, text)
    text = _PARENTHESES.sub(lambda found: _GONE if _GONE in found[1] else found[0], text)
    text = _OPENING.sub(lambda found: "(" if _GONE in found[1] else found[0], text)
    text = _GAP_BEFORE_STOP.sub(2 * _GONE, text).replace(f" {2 * _GONE}", _GONE)
    text = _BLANK_LINE.sub(lambda found: "" if _GONE in found[0] else found[0], text)
    return _LINE_EDGES.sub("", _BLANKS.sub(" ", text.replace(_GONE, "")))


class _TooDeepError(ValueError):
    pass


class _Open(NamedTuple):
    """An opening mark; `place` is where it stands in the output, as it is until it is closed."""

    mark: str
    place: int


class _Stripper:
    """Goes once through the markup and takes out what brackets and opaque tags enclose.

    A table's end also ends what is open inside it, a template's end the links inside it.
    """

    def __init__(self, markup: str, hidden: frozenset[str]) -> None:
        self._markup = markup
        self._hidden = hidden
        self._out: list[str] = []
        self._open: list[_Open] = []
        self._solid: list[int] = []  # which of those open are no links
        self._num_tables = 0
        self._unclosed: set[str] = set()

    def strip(self) -> str:
        markup, place = self._markup, 0
        while mark := _MARK.search(markup, place):
            if mark.start() > place:
                self._out.append(markup[place : mark.start()])
            place = self._take(mark)
        self._out.append(markup[place:])
        return "".join(self._out)

    def _take(self, mark: re.Match[str]) -> int:
        """Handle a mark and say where to go on."""
        match mark[0][:2]:
            case "<!":
                end = self._markup.find("-->", mark.end())
                self._out.append(_GONE)
                return end + 3 if end >= 0 else len(self._markup)
            case "{{" | "[[":
                self._push(mark[0])
            case "]]":
                self._close_link()
            case "}}":
                self._close_template(len(mark[0]))
            case "{|":
                return self._open_table(mark)
            case "|}":
                return self._close_table(mark)
            case _:
                return self._take_tag(mark)
        return mark.end()

    def _push(self, mark: str) -> None:
        if len(self._open) == _MAX_OPEN:
            raise _TooDeepError
        if not mark.startswith("["):
            self._solid.append(len(self._open))
        self._open.append(_Open(mark, len(self._out)))
        self._out.append(mark)

    def _pop_solid(self) -> _Open:
        """Close the innermost template or table and take out what it encloses."""
        index = self._solid.pop()
        closed = self._open[index]
        del self._open[index:]
        del self._out[closed.place :]
        self._out.append(_GONE)
        self._num_tables -= closed.mark == "{|"
        return closed

    def _innermost(self) -> str:
        return self._open[self._solid[-1]].mark if self._solid else ""

    def _close_link(self) -> None:
        if not self._open or not self._open[-1].mark.startswith("["):
            self._out.append("]]")
            return
        place = self._open.pop().place
        content = "".join(self._out[place + 1 :])
        self._out[place:] = [_link_text(content, self._hidden)]

    def _close_template(self, num_braces: int) -> None:
        while num_braces > 1 and self._innermost().startswith("{{"):
            opened = len(self._pop_solid().mark)
            used = min(num_braces, opened)
            num_braces -= used
            if opened - used > 1:
                self._out.pop()
                self._push("{" * (opened - used))
                self._out.append(_GONE)
            elif opened > used:
                self._out[-1] = "{" + _GONE
        self._out.append("}" * num_braces)

    def _open_table(self, mark: re.Match[str]) -> int:
        if not self._is_at_line_start(mark.start()):
            self._out.append("{")
            return mark.start() + 1
        self._push("{|")
        self._num_tables += 1
        return mark.end()

    def _close_table(self, mark: re.Match[str]) -> int:
        ends_template = self._markup.startswith("}", mark.end()) and self._innermost() != "{|"
        is_end = self._num_tables and self._is_at_line_start(mark.start())
        if not is_end or ends_template:
            self._out.append("|")
            return mark.start() + 1
        while self._pop_solid().mark != "{|":
            pass
        return mark.end()

    def _is_at_line_start(self, place: int) -> bool:
        """Whether only a few blanks or colons stand before it on its line."""
        before = self._markup[max(0, place - 16) : place]
        return ("\n" in before or place < 16) and not before.rpartition("\n")[2].strip(" \t:")

    def _take_tag(self, mark: re.Match[str]) -> int:
        name = mark[1].lower()
        rest = _TAG_REST.match(self._markup, mark.end())
        if not rest:
            self._out.append(mark[0])
            return mark.end()
        closing = None
        if not rest[0].endswith("/>") and name not in self._unclosed:
            closing = _CLOSING_TAGS[name].search(self._markup, rest.end())
            if not closing:
                self._unclosed.add(name)
        if not closing:
            self._out.append("" if name == "nowiki" else _GONE)
            return rest.end()
        self._out.append(_opaque_text(name, self._markup[rest.end() : closing.start()]))
        return closing.end()


def _opaque_text(name: str, content: str) -> str:
    """What a reader sees of an opaque tag, its marks written as entities."""
    if name in _DROPPED_TAGS:
        return _GONE
    if name not in _CODE_TAGS:
        content = _ENTITY.sub(_character, content)
    content = content.translate(_PROTECTED)
    return content if name == "nowiki" or "\n" not in content else f"\n{content}\n"


def _link_text(content: str, hidden: frozenset[str]) -> str:
    target, bar, label = content.partition("|")
    target = target.strip()
    if "\n" in target:
        return f"[[{content}]]"
    namespace, colon, _ = target.partition(":")
    if colon and namespace.strip().lower().replace("_", " ") in hidden:
        return _GONE
    if not bar and _LANGUAGE.match(target):
        return _GONE
    return label if label.strip(" \t\n" + _GONE) else target.removeprefix(":")


def _link_label(found: re.Match[str]) -> str:
    return found[1] or _GONE


def _without_tag(found: re.Match[str]) -> str:
    name = found[1].lower()
    if name in _BLOCK_TAGS:
        return "\n"
    return "" if name in _INLINE_TAGS or name in _OPAQUE_TAGS else found[0]


def _without_magic_word(found: re.Match[str]) -> str:
    return _GONE if found[1].isupper() else found[0]


def _without_quotes(found: re.Match[str]) -> str:
    line = found[0]
    lengths = [len(quotes) for quotes in _QUOTES.findall(line)]
    num_italic = sum(length == 2 or length > 4 for length in lengths)
    num_bold = sum(length > 2 for length in lengths)
    if num_italic % 2 and num_bold % 2:
        places = (elision.search(line) for elision in _ELISIONS)
        if place := next(filter(None, places), None):
            line = f"{line[: place.start()]}'{line[place.end() :]}"
    return _QUOTES.sub(_apostrophes, line)


def _apostrophes(found: re.Match[str]) -> str:
    """Two mean italic, three bold, five both; of four, and of more than five, some are text."""
    length = len(found[0])
    return "'" * (length - 5 if length > 5 else length == 4)


def _heading_title(found: re.Match[str]) -> str:
    return found[1].strip("= \t\0") or _GONE


def _character(found: re.Match[str]) -> str:
    character = html.unescape(found[0])
    return " " if character == "\xa0" else character
