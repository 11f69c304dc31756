"""Treebanks made for the probe's tests, as the text of CoNLL-U files."""

from collections.abc import Sequence


def row(
    number: int | str,
    form: str,
    *,
    upos: str = "X",
    feats: str = "_",
    head: int | str = 0,
    deprel: str = "dep",
    misc: str = "_",
) -> str:
    return "\t".join([str(number), form, "_", upos, "_", feats, str(head), deprel, "_", misc])


def chain(*forms: str) -> str:
    """A sentence whose every word hangs on the one before."""
    return "".join(row(at, form, head=at - 1) + "\n" for at, form in enumerate(forms, 1)) + "\n"


def documents(names: Sequence[str], num_sentences: int = 2) -> str:
    """Documents whose sentences are all different."""
    return "".join(
        f"# newdoc id = {name}\n" + "".join(chain(name, f"w{at}") for at in range(num_sentences))
        for name in names
    )
