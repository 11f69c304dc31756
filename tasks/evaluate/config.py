"""Settings of the evaluate stage."""

from typing import Annotated

from pydantic import Field, field_validator

from tasks.settings import StageConfig, incidental, one_or_several


class EvaluateConfig(StageConfig):
    """How an embedder is scored, and what the baselines beside it may learn from."""

    min_words: int = Field(
        10, ge=1, description="words that each half of a test document must have to be a query"
    )
    recurring_line_frac: float = Field(
        0.05,
        gt=0,
        le=1,
        description="lines found in more than this fraction of the test documents are taken out "
        "of both halves, so that a shared header is no clue (1 keeps all lines)",
    )
    max_queries: int = Field(
        2000, ge=1, description="most test documents scored; of more, a seeded sample is taken"
    )
    max_train_documents: int = Field(
        20_000, ge=1, description="most training documents that the baselines learn from"
    )
    max_train_mb: int = Field(
        100, ge=1, description="most megabytes of training text that the baselines learn from"
    )
    hard_document_frac: float = Field(
        0.01,
        ge=0,
        le=1,
        description="in the harder variant, words that both halves have and at most this fraction "
        "of the training documents are masked in one of them",
    )
    max_labelled_documents: int = Field(
        2000, ge=2, description="most labelled training documents each classifier is fitted on"
    )
    labels_per_class: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (4, 16, 64, 256),
        description="how many labels a class a classifier is given, beside all of them",
    )
    num_neighbours: int = Field(
        10, ge=1, description="nearest training documents that vote on a test document's label"
    )
    similarity_pairs: str | None = incidental(
        None,
        description="file of text pairs that people judged (columns text_a, text_b, similarity)",
    )
    relevance: str | None = incidental(
        None,
        description="file of queries with the documents that answer them (columns query, doc_id "
        "and, where there is more than yes, relevance)",
    )
    sentence_transformers: tuple[str, ...] = incidental(
        (), description="folders of sentence-transformers models to score beside ours"
    )
    compare_with: tuple[str, ...] = incidental(
        (),
        description="embedders of other runs to compare ours with on the documents that are test "
        "for both: folders artifacts/tune/<id>, of this workspace or another",
    )
    num_resamples: int = Field(
        1000, ge=100, description="bootstrap resamples behind each 95 % interval"
    )
    word2vec_dim: int = Field(100, ge=2, description="width of the Word2Vec baseline's vectors")
    word2vec_epochs: int = Field(
        10, ge=1, description="passes of the Word2Vec baseline over the training documents"
    )
    lsa_dim: int = Field(256, ge=2, description="width of the LSA baseline's vectors")
    doc2vec_dim: int = Field(100, ge=2, description="width of the Doc2Vec baseline's vectors")
    doc2vec_epochs: int = Field(
        40, ge=1, description="passes of the Doc2Vec baseline over the training documents"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of samples, baselines and resamples")
    device: str = incidental("auto", description="where the encoders run: auto, cpu or cuda")

    _several = field_validator("sentence_transformers", "compare_with", mode="before")(
        one_or_several
    )
