"""A corpus's documents in the tokens of an encoder that the chain did not train: no more than the
probe needs, encoded once, in memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tasks.corpus import Corpus, read_batches
from tasks.token_batches import encode_batches, token_schema
from tasks.tokens import DOC_ID, TokenDocuments

BYTES_PER_TOKEN = 8  # more than tokens have in any language, so that enough text is read


@dataclass(frozen=True)
class DrawnTokens:
    """Documents of a split in corpus order.

    Attributes:
        documents: token ids without special tokens, as `tasks.tokens.TokenizedCorpus` gives them.
        document_ids: what the user calls each.
    """

    documents: TokenDocuments
    document_ids: list[str]


def draw_tokens(
    corpus: Corpus,
    split: str,
    tokenizer: Tokenizer,
    *,
    num_documents: int,
    num_tokens: int,
    seed: int,
) -> DrawnTokens:
    """Encode documents drawn with the seed: all of a small split, of a large one only a part.

    Args:
        corpus: is read in one pass.
        split: train, validation or test.
        tokenizer: as `tasks.embedder.load_tokenizer` gives it.
        num_documents: that are drawn at least, as far as there are so many.
        num_tokens: that they hold at least; more where `BYTES_PER_TOKEN` is more than they have.
        seed: of the draw.

    Cost: some 4 MB of text a second on two cores; 2 or 4 bytes of memory a token.
    """
    is_drawn_S = _draw(corpus, split, num_documents, num_tokens, seed)
    schema = token_schema(tokenizer.get_vocab_size())
    columns, ids = [], []
    for table in _drawn(corpus, split, is_drawn_S):
        for batch in encode_batches(tokenizer, table, schema):
            columns.append(batch.column("token_ids"))
            ids += batch.column(DOC_ID).to_pylist()
    return DrawnTokens(TokenDocuments(columns), ids)


def _draw(
    corpus: Corpus, split: str, num_documents: int, num_tokens: int, seed: int
) -> NDArray[np.bool_]:
    total = corpus.about.num_documents[split]
    bytes_each = corpus.about.num_text_bytes[split] / max(1, total)
    enough = math.ceil(num_tokens * BYTES_PER_TOKEN / max(1.0, bytes_each))
    num_drawn = min(total, max(num_documents, enough))
    is_drawn_S = np.zeros(total, np.bool_)
    is_drawn_S[np.random.default_rng(seed).choice(total, num_drawn, replace=False)] = True
    return is_drawn_S


def _drawn(corpus: Corpus, split: str, is_drawn_S: NDArray[np.bool_]) -> Iterator[pa.Table]:
    start = 0
    for shard in corpus.shards:
        for batch in read_batches(shard, [DOC_ID, "text"], split):
            end = start + batch.num_rows
            kept = batch.filter(pa.array(is_drawn_S[start:end]))
            if kept.num_rows:
                yield pa.Table.from_batches([kept])
            start = end
