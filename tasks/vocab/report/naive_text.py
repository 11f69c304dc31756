"""What goes wrong when text is cut or decoded naively, measured on the validation sample."""

import numpy as np

from model.bpe.alphabet import code_points_of
from model.bpe.words import CountedWords
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import count_texts
from tasks.vocab.report.measures import Sample
from tasks.vocab.report.naive import NUM_SHOWN, Pitfall


def find_text_pitfalls(words: CountedWords, sample: Sample, config: VocabConfig) -> list[Pitfall]:
    """What the sample shows; cutting by line matters to byte-level patterns alone."""
    found = [unseen_characters(words, sample), lost_white_space(sample)]
    if config.symbols == "bytes":
        found.append(other_cuts(sample, config))
    return found


def unseen_characters(words: CountedWords, sample: Sample) -> Pitfall:
    """Words with a character of which a vocabulary of training characters would know nothing."""
    known = set(map(chr, np.unique(code_points_of(words)).tolist()))
    unseen = {c for c in set(sample.joined) - known if not c.isspace()}
    spans = zip(sample.words.begins.tolist(), sample.words.ends.tolist(), strict=True)
    num_hit = sum(not unseen.isdisjoint(sample.joined[begin:end]) for begin, end in spans)
    return Pitfall(
        "unseen_characters",
        {
            "num_characters": len(unseen),
            "num_words": num_hit,
            "word_frac": num_hit / len(sample.words),
        },
        [[c, f"U+{ord(c):04X}"] for c in sorted(unseen)[:NUM_SHOWN]],
    )


def lost_white_space(sample: Sample) -> Pitfall:
    """Documents that are not themselves again after cutting at white space and joining."""
    num_changed = sum(" ".join(text.split()) != text for text in sample.texts)
    return Pitfall(
        "lost_white_space",
        {"num_changed": num_changed, "changed_frac": num_changed / len(sample.texts)},
    )


def other_cuts(sample: Sample, config: VocabConfig) -> Pitfall:
    """Pretokens that come out otherwise by line, and distinct words by white space alone."""
    by_document = dict(count_texts(sample.texts, config))
    lines = (line for text in sample.texts for line in text.splitlines(keepends=True))
    by_line = dict(count_texts(lines, config))
    num_lost = sum(max(0, n - by_line.get(word, 0)) for word, n in by_document.items())
    without_blank = {word.decode().strip() for word in by_document} - {""}
    return Pitfall(
        "other_cuts",
        {
            "num_pretokens": sum(by_document.values()),
            "num_lost_by_line": num_lost,
            "lost_by_line_frac": num_lost / sum(by_document.values()),
            "num_distinct": len(without_blank),
            "num_distinct_by_white_space": len(set(sample.joined.split())),
        },
    )
