"""What cannot be seen, or would mislead who reads it, is shown as a sign."""

from tasks.visible_text import visible


def test_nothing_invisible_is_left() -> None:
    assert visible("a\nb\tc\rd\x00\x7f") == "a⏎b⇥c␍d␀␡"
    assert visible("\u202eabc\u2069 \u00ad\u2028\ufeff") == (
        "\\u202eabc\\u2069 \\u00ad\\u2028\\ufeff"
    )
    assert visible("x\u00a0y\u3000z") == "x y z"
    assert visible("\U000e0001") == "\\U000e0001"
    assert visible("سفينة שלום 名前 é") == "سفينة שלום 名前 é"
    assert visible("👩‍👩") == "👩‍👩"
    assert visible("\u200d") == "\\u200d"
