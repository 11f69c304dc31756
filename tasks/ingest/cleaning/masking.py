"""Replaces e-mail and IP addresses with placeholders.

The placeholders are `<EMAIL>` and `<IP>`: a word between signs that every tokenizer cuts plainly,
and that no address can contain, so that masking twice is masking once.

An e-mail address is what people write, not all that RFC 5322 allows: letters of any script,
digits and ``. _ + - % & '`` before the at sign, a host of labels after it that ends in two
letters or more (or in a punycode label). Quoted names and bare addresses of hosts are left.

An IPv4 address is four numbers up to 255 that no letter, digit or dot touches, since those make
it a version or a name; a bare `1.2.3.4` counts even where a version was meant. An IPv6 address
must be one that hosts can have (global, unique local, link local, multicast, or one that wraps an
IPv4 address), because `::`, `::1` and `a::b` stand for other things in programs.
"""

import re
from collections.abc import Iterable, Iterator
from io import StringIO
from ipaddress import AddressValueError, IPv6Address, IPv6Network

import regex

EMAIL = "<EMAIL>"
IP_ADDRESS = "<IP>"

Span = tuple[int, int]

_NAME = r"[\w.+%'&-]"
# So many labels bound the time; no host has more.
_HOST = r"(?:[\w-]++\.){1,127}(?:xn--[\w-]++|\p{L}[\p{L}\p{M}]++)"
_EMAIL = regex.compile(rf"(?<!{_NAME})([.+%'&-]*+){_NAME}++@{_HOST}")  # punctuation, then a name
_CHAINED = regex.compile(rf"{_NAME}*+@{_HOST}")
_MAY_HOLD_IPV4 = re.compile(r"\.[0-9]{1,3}\.")  # found ten times as fast
_IPV4 = re.compile(r"[0-9](?<![\w.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.[0-9])")
# Whether it is an address is checked later. It may follow a tag (`ip:`, `IPv6:`), and must not
# have become one by the masking of an IPv4 address behind it.
_IPV6 = regex.compile(
    r"(?:(?<![\w:.])|(?<=[g-zG-Z]6?:))"
    r"(?:[0-9A-Fa-f]{0,4}+:){2,8}(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{1,4})?"
    rf"(?![\w:]|\.[0-9]|(?<=:){IP_ADDRESS})"
)
_IPV6_OF_HOSTS = [
    IPv6Network(network)
    for network in (
        "2000::/3",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
        "::ffff:0:0/96",
        "64:ff9b::/96",
    )
]


def mask(text: str, *, emails: bool, ip_addresses: bool) -> tuple[str, int, int]:
    """The text with the addresses masked that were asked for.

    Time is linear in the text.

    Returns:
        The text, and the numbers of e-mail and of IP addresses masked.
    """
    num_emails = num_ipv6 = num_ipv4 = 0
    if emails:
        text, num_emails = _replace(text, _find_emails(text), EMAIL)
    if ip_addresses:  # version 6 first: it may end in one of version 4
        text, num_ipv6 = _replace(text, _find_ipv6(text), IP_ADDRESS)
        text, num_ipv4 = _replace(text, _find_ipv4(text), IP_ADDRESS)
    return text, num_emails, num_ipv6 + num_ipv4


def _replace(text: str, spans: Iterable[Span], placeholder: str) -> tuple[str, int]:
    number = position = 0
    masked = StringIO()  # takes less memory than a list of many short parts
    for start, end in spans:
        number += 1
        masked.write(text[position:start])
        masked.write(placeholder)
        position = end
    if not number:
        return text, 0
    masked.write(text[position:])
    return masked.getvalue(), number


def _find_emails(text: str) -> Iterator[Span]:
    for start, end in _lines_with("@", text):
        while match := _EMAIL.search(text, start, end):
            start = match.end()
            # A chain of addresses is one, or its rest would become an address by the masking.
            while more := _CHAINED.match(text, start, end):
                start = more.end()
            yield match.end(1), start


def _lines_with(sign: str, text: str) -> Iterator[Span]:
    end = 0
    while (place := text.find(sign, end)) >= 0:
        start = text.rfind("\n", end, place) + 1 or end
        end = text.find("\n", place)
        if end < 0:
            end = len(text)
        yield start, end


def _find_ipv6(text: str) -> Iterator[Span]:
    for match in _IPV6.finditer(text):
        address = match[0]
        if address[-1] == ":" and address[-2] != ":":  # punctuation of the sentence
            address = address[:-1]
        if _is_ipv6_of_host(address):
            yield match.start(), match.start() + len(address)


def _is_ipv6_of_host(text: str) -> bool:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return False
    return any(address in network for network in _IPV6_OF_HOSTS)


def _find_ipv4(text: str) -> Iterator[Span]:
    if not _MAY_HOLD_IPV4.search(text):
        return
    for match in _IPV4.finditer(text):
        if all(int(number) <= 255 for number in match[0].split(".")):
            yield match.span()
