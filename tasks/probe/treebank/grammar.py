"""What an encoder knows of a treebank's grammar: all probes on its words, systems and seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from tasks.probe.config import ProbeConfig
from tasks.probe.linear_probes import Counts, ask
from tasks.probe.observe import Observable
from tasks.probe.table import Row
from tasks.probe.treebank.head_relations import HeadRelation, head_relations
from tasks.probe.treebank.reading import Treebank
from tasks.probe.treebank.tree_probes import baselines, probe_trees
from tasks.probe.treebank.word_questions import questions
from tasks.probe.treebank.word_samples import WordSample, draw_words
from tasks.probe.treebank.word_states import word_states


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """What was measured.

    Attributes:
        layers: rows of the probes.
        heads: rows of every head and relation.
        tasks: the tasks on words, by name; those that the words of every seed allow.
        relations: the best head of each relation.
        num_words: of each split, by one seed.
        num_too_long: sentences of that seed that no window holds.
    """

    layers: list[Row]
    heads: list[Row]
    tasks: list[str]
    relations: list[HeadRelation]
    num_words: dict[str, int]
    num_too_long: int


def probe_grammar(
    encoder: Observable,
    static: Observable,
    random: Callable[[int], Observable],
    treebank: Treebank,
    tokenizer: Tokenizer,
    config: ProbeConfig,
    seeds: Sequence[int],
    *,
    on_system: Callable[[], None],
) -> Grammar:
    """Probe the encoder, static vectors and random weights on the same words, seed by seed.

    Args:
        encoder: in evaluation mode.
        static: vectors that no context reaches.
        random: the encoder with fresh weights of a seed.
        treebank: the sentences.
        tokenizer: of all three.
        config: how many words.
        seeds: of the words, of random weights and of control labels.
        on_system: is called after each system of each seed.
    """
    counts = Counts()
    drawn = {seed: _draw(encoder, treebank, tokenizer, config, seed) for seed in seeds}
    asked = {seed: questions(samples, seed) for seed, samples in drawn.items()}
    shared = set.intersection(*({one.task for one in own} for own in asked.values()))
    for seed, samples in drawn.items():
        baselines(samples, counts, seed=seed)
        systems = {"": encoder, "random_": random(seed), "word2vec_": static}
        for prefix, system in systems.items():
            states = {split: word_states(system, one.aligned) for split, one in samples.items()}
            ask(
                states,
                {split: one.document_W for split, one in samples.items()},
                [one for one in asked[seed] if one.task in shared],
                counts,
                prefix=prefix,
                seed=seed,
                with_control=not prefix,
            )
            probe_trees(states, samples, counts, prefix=prefix, seed=seed)
            on_system()
    first = drawn[seeds[0]]
    heads, relations = head_relations(encoder, first)
    return Grammar(
        layers=counts.rows(),
        heads=heads,
        tasks=[one.task for one in asked[seeds[0]] if one.task in shared],
        relations=relations,
        num_words={split: one.aligned.num_words for split, one in first.items()},
        num_too_long=sum(one.aligned.num_too_long for one in first.values()),
    )


def _draw(
    encoder: Observable, treebank: Treebank, tokenizer: Tokenizer, config: ProbeConfig, seed: int
) -> Mapping[str, WordSample]:
    return draw_words(
        treebank,
        tokenizer,
        num_words=config.num_words,
        max_tokens=encoder.config.max_position_embeddings,
        seed=seed,
    )
