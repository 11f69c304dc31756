"""Addresses are masked where they are addresses, once and for all, in linear time."""

import time
import tracemalloc
from ipaddress import IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.ingest.cleaning.masking import EMAIL, IP_ADDRESS, mask


def masked(text: str) -> str:
    return mask(text, emails=True, ip_addresses=True)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to anna.b+news@mail.example.org.", f"Write to {EMAIL}."),
        ("<o'brien_99@x-y.ie>, 'b@c.dd'", f"<{EMAIL}>, '{EMAIL}'"),
        ("mailto:a@b.co.uk?subject=x", f"mailto:{EMAIL}?subject=x"),
        ("jürgen@müller.de ελλη@δοκιμή.ελ पता@उदाहरण.भारत", f"{EMAIL} {EMAIL} {EMAIL}"),
        ("a@xn--e1afmkfd.xn--p1ai", EMAIL),
        ("(a@b.cc,d@e.ff)\ng@h.ii", f"({EMAIL},{EMAIL})\n{EMAIL}"),
        ("...a@b.cc-and more", f"...{EMAIL}-and more"),
        ("a@b.cc-d@e.ff", EMAIL),
        ("@property a @ b.cc a@b a@b.c a@1.2 x@", None),
        ("pkg@1.2.3", None),
    ],
)
def test_emails(text: str, expected: str | None) -> None:
    assert mask(text, emails=True, ip_addresses=False)[0] == (
        text if expected is None else expected
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from 192.168.0.1.", f"from {IP_ADDRESS}."),
        (
            "http://10.0.0.255:8080/a ssh x@1.2.3.4",
            f"http://{IP_ADDRESS}:8080/a ssh x@{IP_ADDRESS}",
        ),
        ("10.0.0.0/8, 192.168.001.010", f"{IP_ADDRESS}/8, {IP_ADDRESS}"),
        ("1.2.3.4.5 1.2.3 256.1.1.1 1.1.1.1234 v1.2.3.4 12345.1.1.1 1.2.3.4a ७.1.1.1", None),
        ("2001:db8::1, [fe80::1%eth0]:80", f"{IP_ADDRESS}, [{IP_ADDRESS}%eth0]:80"),
        ("2001:0DB8:0:0:0:0:0:1 fd00::/8", f"{IP_ADDRESS} {IP_ADDRESS}/8"),
        ("::ffff:10.0.0.1 64:ff9b::1.2.3.4", f"{IP_ADDRESS} {IP_ADDRESS}"),
        ("IPv6:2001:db8::1 host:fe80::1: down.", f"IPv6:{IP_ADDRESS} host:{IP_ADDRESS}: down."),
        ("x[::2] a::b std::add ::1 :: f :: Int", None),
        ("12:30:45 01:23:45:67:89:ab:cd:ef 2001:db8::1::2 2001:db8:::1 2001::12345", None),
    ],
)
def test_ip_addresses(text: str, expected: str | None) -> None:
    assert mask(text, emails=False, ip_addresses=True)[0] == (
        text if expected is None else expected
    )


def test_masks_are_counted_and_only_what_was_asked_for_is_masked() -> None:
    text = "a@b.cc b@c.dd 1.2.3.4 2001:db8::1 5.6.7.8"
    assert mask(text, emails=True, ip_addresses=True)[1:] == (2, 3)
    assert mask(text, emails=False, ip_addresses=False) == (text, 0, 0)
    assert mask(text, emails=True, ip_addresses=False) == (f"{EMAIL} {EMAIL}{text[13:]}", 2, 0)
    assert mask(text, emails=False, ip_addresses=True)[0] == f"a@b.cc b@c.dd{f' {IP_ADDRESS}' * 3}"


def test_a_text_without_addresses_is_given_back_as_it_is() -> None:
    text = "At 10:30 it cost 3.50 @ the shop."
    assert mask(text, emails=True, ip_addresses=True)[0] is text


@given(text=st.one_of(st.text("a1@.-:b \n<", max_size=60), st.text(max_size=60)))
@example("foo@bar.com-we@x.com")
@example("foo@bar.com1.2.3.4")
@example("2001:1:1:1:1:1:1:1:1.2.3.4")
@example("2001:1:1:1:1:1:1::1.2.3.4")
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask(text, emails=True, ip_addresses=True)[0]
    assert mask(once, emails=True, ip_addresses=True) == (once, 0, 0)


blocks = st.sampled_from(
    ["2001:", "::", "1:", ":", "1.2.3.4", "a@b.cc", "fe80::1", ".", "-", "x", " ", "@", "%", "ip"]
)


@given(text=st.lists(blocks, max_size=14).map("".join), both=st.booleans())
def test_masking_twice_is_masking_once_near_addresses(text: str, both: bool) -> None:
    once = mask(text, emails=both, ip_addresses=True)[0]
    assert mask(once, emails=both, ip_addresses=True) == (once, 0, 0)


@given(
    before=st.text("(<[ \n/=\"'", max_size=3),
    octets=st.lists(st.integers(0, 255), min_size=4, max_size=4),
    after=st.text(")>] \n/,;", max_size=3),
)
def test_every_ipv4_address_is_found(before: str, octets: list[int], after: str) -> None:
    text = ".".join(map(str, octets))
    assert masked(before + text + after) == before + IP_ADDRESS + after


@given(address=st.ip_addresses(v=6, network="2000::/3"), exploded=st.booleans())
def test_every_ipv6_address_is_found(address: IPv6Address, exploded: bool) -> None:
    text = address.exploded if exploded else str(address)
    assert masked(f"see {text}, or [{text}]:80") == f"see {IP_ADDRESS}, or [{IP_ADDRESS}]:80"


UNITS = [
    "a@", "a@b.cc ", "a.", "a@a.", "a@b.cc-", "+", "a@b.c9.", "@", "1.1.1.", "1.1.1.1 ", ":",
    "ab:cd:", "1::1", "2001::1 ", "a", "-.",
]  # fmt: skip


@pytest.mark.parametrize("start", ["", "a@"])
@pytest.mark.parametrize("unit", UNITS)
def test_hostile_texts_take_linear_time_and_bounded_memory(unit: str, start: str) -> None:
    text = start + unit * (2**20 // len(unit))
    begin = time.process_time()
    masked(text)
    assert time.process_time() - begin < 2
    tracemalloc.start()
    masked(text[: 2**16])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
