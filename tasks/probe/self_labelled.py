"""The self-labelled tasks by name."""

from collections.abc import Callable, Sequence

from tasks.probe.examples import Draw, draw_bigram_shift, draw_same_document
from tasks.probe.sample import Tokens
from tasks.probe.sentence_examples import plan_sentence_length, plan_sentence_order
from tasks.probe.vocabulary import Vocabulary
from tasks.probe.word_content import plan_word_content

Plan = Callable[[Sequence[Tokens], Vocabulary], Draw]
"""From train's documents, what all splits have in common: bounds of classes, or words."""

TASKS: dict[str, Plan] = {
    "bigram_shift": lambda train, vocabulary: draw_bigram_shift,
    "same_document": lambda train, vocabulary: draw_same_document,
    "sentence_length": plan_sentence_length,
    "word_content": plan_word_content,
    "sentence_order": plan_sentence_order,
}
