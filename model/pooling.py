"""One vector a sequence: the weighted sum over its positions.

Shape letters: B rows, L positions in a row, D hidden width, S sequences, V tokens of the
vocabulary, R runs (the maximal stretches of one sequence or of padding in the flattened rows).
"""

import torch
from torch import Tensor

from model.batch import Batch


def sum_pool(hidden_BLD: Tensor, batch: Batch, weights_V: Tensor | None = None) -> Tensor:
    """Sum over all positions of each sequence, [CLS] and [SEP] included.

    Brought to unit length it is the mean brought to unit length, and sums of several windows of a
    document add up to the document's. Sums are taken in float32 run by run, so a sequence's vector
    does not depend on what shares its batch, and the result is the same in every run on every
    device. Differentiable.

    Args:
        hidden_BLD: hidden states of the batch, any floating type.
        batch: says which position belongs to which sequence; padding belongs to none.
        weights_V: how much each token of the vocabulary counts; all alike where None.

    Returns:
        sums_SD: float32, in the order of the sequence ids.

    Source: Reimers and Gurevych 2019 (Sentence-BERT), section 3; positions as in
    sentence-transformers' mean pooling. Weights: Arora et al. 2017 (A Simple but Tough-to-Beat
    Baseline for Sentence Embeddings), section 3.
    """
    ids_N = batch.sequence_ids_BL.flatten()
    run_ids_R, lengths_R = torch.unique_consecutive(ids_N, return_counts=True)
    hidden_ND = hidden_BLD.float().flatten(0, 1)
    if weights_V is not None:
        hidden_ND = hidden_ND * weights_V[batch.token_ids_BL.flatten()][:, None]
    sums_RD = torch.segment_reduce(hidden_ND, "sum", lengths=lengths_R, axis=0)
    is_sequence_R = run_ids_R > 0
    order_S = torch.argsort(run_ids_R[is_sequence_R])
    return sums_RD[is_sequence_R][order_S]
