"""CoNLL-U: words, places in the text, trees; and every way a sentence can be wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.probe.treebank.conllu import (
    SENTENCES_PER_BLOCK,
    Fault,
    Problem,
    Sentence,
    feature_pairs,
    is_conllu,
    read_sentences,
)
from tests.tasks.probe.treebank.treebanks import chain, documents, row


def read(text: str | bytes) -> list[Sentence | Problem]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_sentences("a.conllu", data.split(b"\n")))


def sentence(text: str | bytes) -> Sentence:
    [found] = read(text)
    assert isinstance(found, Sentence), found
    return found


def problem(*rows: str | bytes) -> Problem:
    lines = [each if isinstance(each, bytes) else each.encode() for each in rows]
    [found] = read(b"\n".join(lines))
    assert isinstance(found, Problem), found
    return found


def words_in_text(found: Sentence) -> list[str]:
    return [found.text[start:end] for start, end in found.spans]


def test_columns_become_words() -> None:
    found = sentence(
        "\n".join(
            [
                "# sent_id = 1",
                "# text = Dogs bark.",
                row(1, "Dogs", upos="NOUN", feats="Case=Nom|Number=Plur", head=2, deprel="nsubj"),
                row(2, "bark", upos="VERB", deprel="root", misc="Gloss=x|SpaceAfter=No"),
                row(3, ".", upos="PUNCT", head=2, deprel="punct"),
            ]
        )
    )
    assert found.text == "Dogs bark."
    assert found.forms == ("Dogs", "bark", ".")
    assert found.upos == ("NOUN", "VERB", "PUNCT")
    assert found.heads == (2, 0, 2)
    assert found.deprel == ("nsubj", "root", "punct")
    assert words_in_text(found) == ["Dogs", "bark", "."]
    assert [feature_pairs(each) for each in found.feats] == [
        (("Case", "Nom"), ("Number", "Plur")),
        (),
        (),
    ]
    assert not found.text_differs


def test_a_multiword_token_gives_its_words_a_place_and_empty_nodes_are_passed_over() -> None:
    found = sentence(
        "\n".join(
            [
                "# text = I don't know",
                row("0.1", "empty"),
                row(1, "I", head=4),
                row("2-3", "don't"),
                row(2, "do", head=4, misc="SpaceAfter=No"),
                row(3, "n't", head=4),
                row("3.1", "empty", head="_"),
                row(4, "know"),
            ]
        )
    )
    assert found.forms == ("I", "do", "n't", "know")
    assert words_in_text(found) == ["I", "do", "n't", "know"]
    assert not found.text_differs


def test_words_that_do_not_spell_their_token_share_its_place() -> None:
    rows = [row("1-2", "Du", misc="SpaceAfter=No"), row(1, "de", head=3), row(2, "le", head=3)]
    found = sentence("\n".join([*rows, row(3, "vin")]))
    assert found.text == "Duvin"
    assert words_in_text(found) == ["Du", "Du", "vin"]


def test_a_token_in_capitals_is_still_spelled_by_its_words() -> None:
    rows = [row("1-2", "CANNOT"), row(1, "can", head=0), row(2, "not", head=1)]
    assert words_in_text(sentence("\n".join(rows))) == ["CAN", "NOT"]


def test_forms_with_blanks_and_an_underscore_for_a_word() -> None:
    found = sentence("\n".join([row(1, "1 000"), row(2, "_", head=1)]))
    assert found.text == "1 000 _"
    assert words_in_text(found) == ["1 000", "_"]


def test_a_sentence_without_a_tree_has_no_heads() -> None:
    found = sentence("\n".join([row(1, "a", head="_", deprel="_"), row(2, "b", head="_")]))
    assert found.heads == ()
    assert len(found.forms) == 2


@pytest.mark.parametrize(
    ("text", "differs"),
    [("a b", False), ("  a   b ", False), ("a\u00a0b", False), ("ab", True), ("a c", True)],
)
def test_the_files_own_text_is_compared_blanks_apart(text: str, differs: bool) -> None:
    found = sentence(f"# text = {text}\n# text_en = nothing\n" + chain("a", "b"))
    assert found.text == "a b"
    assert found.text_differs is differs


FAULTY = {
    Fault.COLUMNS: [row(1, "a"), "2\tb\t_", row(3, "c", head=1)],
    Fault.NUMBER: [row(1, "a"), row(3, "c", head=1)],
    Fault.RANGE: [row(1, "a"), row("2-3", "bc"), row(2, "b", head=1)],
    Fault.FORM: [row(1, "a"), row(2, " ", head=1)],
    Fault.FEATURES: [row(1, "a"), row(2, "b", head=1, feats="Number")],
    Fault.HEAD: [row(1, "a"), row(2, "b", head=3)],
    Fault.NO_ROOT: [row(1, "a", head=2), row(2, "b", head=1)],
    Fault.TWO_ROOTS: [row(1, "a"), row(2, "b")],
    Fault.CYCLE: [row(1, "a"), row(2, "b", head=3), row(3, "c", head=2)],
}


@pytest.mark.parametrize("fault", FAULTY)
def test_each_fault_is_named_with_its_line(fault: Fault) -> None:
    found = problem("# a comment", *FAULTY[fault])
    assert found.fault is fault
    assert found.line == {Fault.NO_ROOT: 2, Fault.RANGE: 3}.get(fault, 3)
    assert found.message.startswith(f"a.conllu, line {found.line}: {fault} (")
    assert found.message.endswith(": mend the line")


@pytest.mark.parametrize("head", ["2", "-1", "x", "_", "1.5", "٣", "9" * 5000])
def test_a_head_that_is_no_word_is_a_fault(head: str) -> None:
    assert problem(row(1, "a"), row(2, "b", head=head)).fault is Fault.HEAD


def test_bytes_that_are_no_utf8_are_a_fault_of_their_sentence_alone() -> None:
    bad = row(1, "a").encode().replace(b"a", b"\xff")
    found = read(b"\n".join([chain("x").encode(), bad, b"", chain("y").encode()]))
    assert [type(one) for one in found] == [Sentence, Problem, Sentence]
    assert isinstance(found[1], Problem)
    assert found[1].fault is Fault.ENCODING


def test_ranges_that_overlap_are_a_fault() -> None:
    rows = [row("1-2", "ab"), row(1, "a"), row("2-3", "bc"), row(2, "b", head=1)]
    assert problem(*rows, row(3, "c", head=1)).fault is Fault.RANGE


def test_sentences_belong_to_the_document_named_last() -> None:
    text = "# newdoc id = one\n# newpar\n" + chain("a") + chain("b") + "# newdoc\n" + chain("c")
    found = [one for one in read(text) if isinstance(one, Sentence)]
    assert [one.document for one in found] == ["one", "one", "#2"]
    assert not any(one.is_block for one in found)


def test_a_malformed_sentence_still_begins_its_document() -> None:
    text = "# newdoc id = one\nbad\n\n" + chain("a")
    assert [one.document for one in read(text) if isinstance(one, Sentence)] == ["one"]


def test_without_documents_so_many_sentences_are_one() -> None:
    found = read("".join(chain(f"w{at}") for at in range(2 * SENTENCES_PER_BLOCK + 1)))
    names = [one.document for one in found if isinstance(one, Sentence)]
    assert [names.count(f"block {block}") for block in (1, 2, 3)] == [20, 20, 1]


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("notes", "# a comment\n\n" + chain("a"), True),
        ("a.conllu", "", True),
        ("folder/A.CoNLLU.gz", "nothing of the kind", True),
        ("a.txt", "1\tb\tc\n", False),
        ("a.csv", "\t".join("abcdefghij"), False),
        ("README.md", "# newdoc\ntext", False),
    ],
)
def test_found_by_content_then_by_name(name: str, head: str, expected: bool) -> None:
    assert is_conllu(name, head.encode()) is expected


cells = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12)
lines = st.one_of(cells, st.lists(cells, min_size=10, max_size=10).map("\t".join))


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.one_of(lines, st.sampled_from(chain("a", "b").split("\n"))), max_size=12))
def test_no_text_stops_the_reader(lines: list[str]) -> None:
    for found in read("\n".join(lines)):
        assert isinstance(found, Problem) or len(found.spans) == len(found.forms) > 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "P", "S"]), min_size=1), min_size=1))
def test_words_stand_where_their_spans_say(forms: list[str]) -> None:
    found = sentence(chain(*forms))
    assert words_in_text(found) == forms
    assert found.text == " ".join(forms)


def test_many_documents_are_told_apart() -> None:
    found = read(documents(["a", "b"], 3))
    assert [one.document for one in found if isinstance(one, Sentence)] == list("aaabbb")
