"""Text of strangers on one line, with nothing in it that could mislead who reads it."""

import unicodedata

_JOINERS = "\u200c\u200d"  # shape letters and pictures; without them such text cannot be read


def visible(text: str) -> str:
    """The text on one line, with signs in place of what cannot be seen or would turn the line.

    Line ends, tabs and control characters become ⏎, ⇥ and pictures; marks of direction, lone
    separators and other characters without a shape become escapes like ``\\u202e``.
    """
    shown = _JOINERS if text.strip(_JOINERS) else ""
    return "".join(each if each in shown else _sign(each) for each in text)


def _sign(character: str) -> str:
    if character.isprintable():
        return character
    if character in "\n\t":
        return "⏎" if character == "\n" else "⇥"
    point = ord(character)
    if point < 0x20 or point == 0x7F:
        return chr(0x2400 + point) if point < 0x20 else "␡"
    if unicodedata.category(character) == "Zs":
        return " "
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
