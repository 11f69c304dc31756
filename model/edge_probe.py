"""The edge probe: which word of the sentence is a word's head, read off the two words' states.

Letters: N words of all sentences, D features, E = D + 1 features and a one, R rank of the score,
A sentences, S sentences in a batch, W words of its longest one, V = W + 1 candidates: the root,
then the words.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.probe_descent import descend
from model.sentence_batches import sentence_batches

RANK = 32
NUM_STEPS = 300
LEARNING_RATE = 0.02
WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class EdgeProbe:
    """A fitted score of each word as the head of each other: s(i, j) = (P h_i) . (Q h_j) / sqrt(R).

    Both maps have a constant part, so that some words can make better heads than others. The
    root stands as one more candidate whose Q h is a vector of its own, with a bias.

    Attributes:
        dependent_ER: float32, the transpose of P.
        head_ER: float32, the transpose of Q.
        root_R: float32.
        root_bias: float32, a scalar.
    """

    dependent_ER: Tensor
    head_ER: Tensor
    root_R: Tensor
    root_bias: Tensor

    def scores(self, states_SWD: Tensor, is_word_SW: Tensor) -> Tensor:
        """The score of each candidate for each word, float32 [S, W, V].

        -inf for the word itself and for padding. A softmax gives probabilities.
        """
        states_SWE = torch.nn.functional.pad(states_SWD, (0, 1), value=1.0)
        dependent_SWR = states_SWE @ self.dependent_ER / self.root_R.shape[0] ** 0.5
        score_SWW = dependent_SWR @ (states_SWE @ self.head_ER).mT
        is_self_WW = torch.eye(score_SWW.shape[1], dtype=torch.bool, device=score_SWW.device)
        score_SWW = score_SWW.masked_fill(~is_word_SW[:, None, :] | is_self_WW, -torch.inf)
        root_SW = dependent_SWR @ self.root_R + self.root_bias
        return torch.cat([root_SW[:, :, None], score_SWW], dim=2)


def fit_edge_probe(
    states_ND: Tensor,
    head_N: Tensor,
    length_A: Tensor,
    *,
    seed: int,
    rank: int = RANK,
    num_steps: int = NUM_STEPS,
    learning_rate: float = LEARNING_RATE,
    weight_decay: float = WEIGHT_DECAY,
) -> EdgeProbe:
    """Fit the score so that, of all other words and the root, the head is most probable.

    Args:
        states_ND: float32, the words' states, sentence by sentence; whiten them first
            (`model.whitening`).
        head_N: int64, the number of each word's head in its sentence, from 1; 0 for roots.
        length_A: int64, words of each sentence.
        seed: of the first maps and of the order of batches.
        rank: R.
        num_steps: of about 2,000 words each.
        learning_rate: of the first step.
        weight_decay: see `descend`.

    Source: the bilinear score of Dozat and Manning 2017, section 2.2, on states as they are;
    the task as in Tenney et al. 2019, "What do you learn from context?".
    Cost: O(steps * words * (D + W) * R); on one core about 2 s at 128 to 384 features, however many
    sentences there are.
    """
    batches = sentence_batches(length_A, device=states_ND.device)
    probe = _fresh_probe(states_ND, rank, seed)

    def loss(words: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        states_SWD, is_word_SW, head_SW = words
        score_KV = probe.scores(states_SWD, is_word_SW)[is_word_SW]
        return torch.nn.functional.cross_entropy(score_KV, head_SW[is_word_SW])

    descend(
        [probe.dependent_ER, probe.head_ER, probe.root_R, probe.root_bias],
        batches,
        lambda batch: loss((batch.laid_out(states_ND), batch.is_word_SW, batch.laid_out(head_N))),
        num_steps=num_steps,
        learning_rate=learning_rate,
        seed=seed,
        weight_decay=weight_decay,
    )
    return probe


def heads_found(probe: EdgeProbe, states_ND: Tensor, length_A: Tensor) -> Tensor:
    """The most probable head of each word: int64 [N], 0 for the root; the first of equals.

    The share of words whose head it is, is the unlabelled attachment score. Each word has its
    own best head: together they need not make a tree. For intervals sum right answers by
    document (`model.intervals.sum_by_group`). The baseline is `model.fixed_offsets`.

    Args:
        probe: fitted on other sentences.
        states_ND: as at fitting.
        length_A: as at fitting.
    """
    found_N = torch.zeros(len(states_ND), dtype=torch.int64, device=states_ND.device)
    for batch in sentence_batches(length_A, device=states_ND.device):
        score_SWV = probe.scores(batch.laid_out(states_ND), batch.is_word_SW)
        found_N[batch.word_SW[batch.is_word_SW]] = score_SWV.argmax(2)[batch.is_word_SW]
    return found_N


def _fresh_probe(states_ND: Tensor, rank: int, seed: int) -> EdgeProbe:
    generator = torch.Generator().manual_seed(seed)
    width = states_ND.shape[1]
    maps = torch.randn(2, width + 1, rank, generator=generator) / width**0.5
    dependent_ER, head_ER = (one.clone().to(states_ND.device) for one in maps)
    root_R = torch.zeros(rank, device=states_ND.device)
    return EdgeProbe(dependent_ER, head_ER, root_R, torch.zeros((), device=states_ND.device))
