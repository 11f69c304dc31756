"""What each group of positions adds to the cosine of two documents' vectors.

With h_p the hidden state at position p, times its token's weight if there are any, over all windows
of a document and [CLS] and [SEP] of each included, its vector is v = sum_p h_p / |sum_p h_p|.
So the cosine of two documents a and b is exactly

    v_a . v_b = sum_p sum_q (h_p . h_q) / (|sum h| |sum h'|),

and the terms of any groups of positions, such as words, are got from the groups' sums of hidden
states alone. Source: Vasileiou and Eberle 2024 (Explaining Text Similarity in Transformer Models)
and Moeller et al. 2023 take this sum apart further; linear pooling needs no approximation.

Shape letters: L tokens of a document, G groups, B rows, P positions of a row, D hidden width,
A and C groups chosen of the left and the right document.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from model.batch import Batch, batch_from_sequences
from model.embedding import TokenIds, plan_windows
from model.encoder import Encoder
from model.errors import ArtifactError

SPECIAL_GROUP = 0  # [CLS] and [SEP] of every window
_PADDING = -1


@dataclass(frozen=True)
class Attribution:
    """The cosine of two documents as a sum over their groups.

    Attributes:
        left_GD, right_GD: float64, each group's sum of hidden states over the length of the
            document's whole sum, so that all rows of a side add up to its unit vector.
    """

    left_GD: NDArray[np.float64]
    right_GD: NDArray[np.float64]

    @property
    def cosine(self) -> float:
        """Of the two documents' vectors."""
        return float(self.left_GD.sum(axis=0) @ self.right_GD.sum(axis=0))

    @property
    def left_terms_G(self) -> NDArray[np.float64]:
        """What each group of the left document adds with all of the right one; their sum is the
        cosine."""
        terms_G: NDArray[np.float64] = self.left_GD @ self.right_GD.sum(axis=0)
        return terms_G

    @property
    def right_terms_G(self) -> NDArray[np.float64]:
        """What each group of the right document adds with all of the left one."""
        terms_G: NDArray[np.float64] = self.right_GD @ self.left_GD.sum(axis=0)
        return terms_G

    def pair_terms_AC(
        self, left_A: NDArray[np.integer], right_C: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """What each pair of the chosen groups adds."""
        terms_AC: NDArray[np.float64] = self.left_GD[left_A] @ self.right_GD[right_C].T
        return terms_AC


def attribute(left_GD: NDArray[np.float64], right_GD: NDArray[np.float64]) -> Attribution:
    """Take the cosine of two documents apart.

    Args:
        left_GD, right_GD: sums of hidden states as `sum_groups` gives them.

    Raises:
        ArtifactError: a document's sum is zero or not finite, so it has no direction.
    """
    return Attribution(_scaled(left_GD), _scaled(right_GD))


def sum_groups(
    encoder: Encoder,
    token_ids_L: TokenIds,
    groups_L: NDArray[np.integer],
    num_groups: int,
    *,
    max_window_tokens: int,
    tokens_per_batch: int,
    weights_V: torch.Tensor | None = None,
) -> NDArray[np.float64]:
    """Add up the hidden states of each group of a document's positions.

    Args:
        encoder: gives the hidden states that are pooled.
        token_ids_L: the whole document, without special tokens; cut into the windows that
            `model.embedding.embed_documents` cuts.
        groups_L: the group of each token, from 1; group 0 is that of the special tokens.
        num_groups: G, group 0 included.
        max_window_tokens: positions of a window, special tokens included.
        tokens_per_batch: positions encoded at once; bounds memory, with float64 [G, D].
        weights_V: how much each token counts; all alike where None.

    Raises:
        CorpusError: a document of more than 32,767 windows.
    """
    windows = plan_windows([len(token_ids_L)], max_window_tokens)
    pieces = [slice(*edges) for edges in zip(windows.starts_W, windows.stops_W, strict=True)]
    per_batch = max(1, tokens_per_batch // int(windows.num_positions_W.max()))
    sums_GD = torch.zeros(num_groups, encoder.config.hidden_size, dtype=torch.float64)
    was_training = encoder.training
    encoder.eval()
    for first in range(0, len(pieces), per_batch):
        taken = pieces[first : first + per_batch]
        _add_batch(
            sums_GD,
            encoder,
            [token_ids_L[piece] for piece in taken],
            [groups_L[piece] for piece in taken],
            weights_V,
        )
    encoder.train(was_training)
    return sums_GD.numpy()


def _add_batch(
    sums_GD: torch.Tensor,
    encoder: Encoder,
    tokens: list[TokenIds],
    groups: list[TokenIds],
    weights_V: torch.Tensor | None,
) -> None:
    config = encoder.config
    batch = _laid_out(tokens, config.cls_id, config.sep_id, config.pad_id)
    # Lengths alone decide the layout, so groups laid out in the same way lie at their tokens.
    groups_N = _laid_out(groups, SPECIAL_GROUP, SPECIAL_GROUP, _PADDING).token_ids_BL.flatten()
    with torch.inference_mode():
        hidden_BPD = encoder(batch.to(next(encoder.parameters()).device))
        hidden_ND = hidden_BPD.double().cpu().flatten(0, 1)
        if weights_V is not None:
            hidden_ND *= weights_V.double().cpu()[batch.token_ids_BL.flatten()][:, None]
        is_position_N = groups_N != _PADDING
        sums_GD.index_add_(0, groups_N[is_position_N], hidden_ND[is_position_N])


def _laid_out(sequences: list[TokenIds], cls_id: int, sep_id: int, pad_id: int) -> Batch:
    return batch_from_sequences(
        sequences, row_tokens=None, cls_id=cls_id, sep_id=sep_id, pad_id=pad_id
    )


def _scaled(sums_GD: NDArray[np.float64]) -> NDArray[np.float64]:
    norm = float(np.linalg.norm(sums_GD.sum(axis=0)))
    if not (np.isfinite(norm) and norm > 0):
        raise ArtifactError(
            "the embedder gives a vector that is zero or not finite: its weights are unusable, "
            "train it again"
        )
    return sums_GD / norm
