"""Word2Vec of the same corpus and width, as an encoder of one layer that no context reaches.

It is trained on tokens, so that it answers for the very places an encoder does.

Letters: V vocabulary, U known tokens, D width, B rows, L positions, N tokens, S documents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.batch import Batch
from model.config import Sizes
from model.encoder import Observation
from model.errors import CorpusError
from model.heads import HEAD_MEASURES
from tasks.probe.observe import Observed
from tasks.probe.sample import Sample, Tokens
from tasks.skip_gram import pieces_of, train_skip_gram

NUM_TOKENS = 3_000_000  # half a minute of one processor at five passes
NUM_EPOCHS = 5


class StaticEncoder(nn.Module):
    """One vector for each token of the vocabulary, whatever stands around it.

    Has what `tasks.probe.observe` asks of an encoder: `config`, `parameters` and `observe`, which
    gives layer 0 alone and no attention.

    Attributes:
        config: of the encoder it stands beside; its special ids and width count.
        num_tokens: it was trained on.
        is_known_V: bool, tokens that training met often enough to have a vector of their own.
    """

    def __init__(
        self, vectors_VD: Tensor, is_known_V: Tensor, config: Sizes, num_tokens: int
    ) -> None:
        super().__init__()
        self.config = config
        self.num_tokens = num_tokens
        self.vectors_VD = nn.Parameter(vectors_VD, requires_grad=False)
        self.is_known_V: Tensor
        self.register_buffer("is_known_V", is_known_V)

    def forward(self, token_ids_BL: Tensor) -> Tensor:
        """The vectors of tokens, ``hidden_BLD``, float32; any shape of ids."""
        return self.vectors_VD[token_ids_BL]

    def observe(self, batch: Batch, *, attention: bool = False) -> Iterator[Observation]:
        """The vectors as layer 0; there are no heads, so `attention` changes nothing."""
        del attention
        yield Observation(0, self(batch.token_ids_BL), None)


def train_static_encoder(
    documents: Sequence[Tokens],
    config: Sizes,
    *,
    seed: int,
    num_tokens: int = NUM_TOKENS,
    num_epochs: int = NUM_EPOCHS,
) -> StaticEncoder:
    """Train Word2Vec on tokens of the train split at the encoder's width.

    One thread, so the same seed gives the same vectors, bit for bit. A token that occurs less than
    twice in what is trained on, and special tokens, get the mean of all vectors: it says nothing
    but that the token is rare, and has a direction, which zero has not.

    Args:
        documents: raw token ids without special tokens.
        config: of the encoder to stand beside.
        seed: of the vectors, and of which documents are read.
        num_tokens: of documents drawn with the seed; the last is cut.
        num_epochs: passes over them.

    Raises:
        CorpusError: no token occurs twice.

    Source: as `tasks.skip_gram`.
    Cost: some 400,000 tokens a second of one processor in each pass, at a width of 128.
    """
    tokens = _TokenPieces(_drawn(documents, num_tokens, seed), config.unk_id)
    model = train_skip_gram(tokens, dim=config.hidden_size, num_epochs=num_epochs, seed=seed)
    if not len(model.wv):
        raise CorpusError(
            "Word2Vec cannot learn: no token of the train split occurs twice; give ingest more "
            "text or a larger training split"
        )
    known = np.array(model.wv.index_to_key, dtype=np.int64)
    return _filled(known, model.wv.vectors, config, model.corpus_total_words)


def observe_static(encoder: StaticEncoder, sample: Sample) -> Observed:
    """What `observe_sample` gives of an encoder: one layer of states, and no heads."""
    device, config = encoder.vectors_VD.device, encoder.config
    lengths_S = [len(document) for document in sample.documents]
    types_N = np.concatenate(sample.documents).astype(np.int64)
    is_real_N = (types_N == config.unk_id) | ~np.isin(types_N, config.special_ids)
    document_N = np.repeat(np.arange(len(lengths_S)), lengths_S)[is_real_N]
    types = torch.from_numpy(types_N[is_real_N]).to(device)
    return Observed(
        encoder(types)[None],
        types,
        torch.from_numpy(document_N).to(device),
        torch.zeros(0, len(lengths_S), 0, len(HEAD_MEASURES), dtype=torch.float64, device=device),
    )


def _filled(
    known: NDArray[np.int64],
    vectors_UD: NDArray[np.float32],
    config: Sizes,
    num_tokens: int,
) -> StaticEncoder:
    vectors_VD = np.tile(vectors_UD.mean(axis=0), (config.vocab_size, 1)).astype(np.float32)
    vectors_VD[known] = vectors_UD
    is_known_V = np.zeros(config.vocab_size, dtype=np.bool_)
    is_known_V[known] = True
    vectors, is_known = torch.from_numpy(vectors_VD), torch.from_numpy(is_known_V)
    return StaticEncoder(vectors, is_known, config, num_tokens).eval()


def _drawn(documents: Sequence[Tokens], num_tokens: int, seed: int) -> list[Tokens]:
    """Documents in random order until they hold `num_tokens`; views, nothing is copied."""
    drawn: list[Tokens] = []
    for index in np.random.default_rng(seed).permutation(len(documents)):
        if num_tokens <= 0:
            break
        document = documents[int(index)][:num_tokens]
        drawn.append(document)
        num_tokens -= len(document)
    return drawn


@dataclass(frozen=True)
class _TokenPieces:
    """Documents as lists of token numbers, of a length that gensim does not silently cut."""

    documents: Sequence[Tokens]
    unk_id: int

    def __iter__(self) -> Iterator[list[str]]:
        for document in self.documents:
            words = (str(token) for token in document.tolist() if token != self.unk_id)
            yield from pieces_of(words)
