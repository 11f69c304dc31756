"""A tokenizer of words whose ids tests know, and what a browser sees of a page."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from itertools import accumulate

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from model.bpe.tokenizer import SPECIAL_TOKENS
from tasks.token_text import TokenText

HOSTILE = "<script>alert('x')</script>&\"</td>"
FIRST_WORD = len(SPECIAL_TOKENS)
VOID = {"input", "br", "meta"}


def text_of(words: Sequence[str]) -> TokenText:
    """Spells id 5 as the first word, 6 as the second, … each with a blank before it."""
    names = {name: place for place, name in enumerate([*SPECIAL_TOKENS, *words])}
    return TokenText(Tokenizer(WordLevel(names, unk_token="[UNK]")))


def numbered_text(num: int) -> TokenText:
    """Spells 'w0', 'w1', …"""
    return text_of([f"w{number}" for number in range(num)])


class Elements(HTMLParser):
    """Collects elements, and fails where they are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(str(html))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all_of(self, attribute: str) -> list[str]:
        return [value or "" for name, value in self.attributes if name == attribute]

    def assert_harmless(self) -> None:
        """No script, no handler, nothing from outside."""
        outward = {"script", "link", "img", "image", "iframe", "object", "style"}
        assert not outward & set(self.tags)
        assert not [name for name, _ in self.attributes if name.startswith("on")]
        assert not self.all_of("src")
        assert not self.all_of("href")


def rules_of(style: str) -> list[str]:
    """The selectors of CSS text; fails where braces do not match."""
    depths = list(accumulate({"{": 1, "}": -1}.get(each, 0) for each in style))
    assert min(depths) == depths[-1] == 0
    assert max(depths) <= 2
    return re.findall(r"([^{}]+)\{", style)
