"""Mends text whose UTF-8 was once read in another encoding."""


def mend_mojibake(text: str) -> str:
    """The text with such sequences put right, line by line; nothing else about it changes.

    Control characters 128 to 159 that cannot be meant become what Windows has in their place, and
    sequences of which a byte was lost become U+FFFD. Quotes, entities, ligatures, widths and line
    breaks stay.
    """
    if text.isascii():
        return text
    import ftfy
    from ftfy.badness import is_bad

    if not is_bad(text):
        return text
    return "\n".join(
        line if line.isascii() or not is_bad(line) else ftfy.fix_encoding(line)
        for line in text.split("\n")
    )
