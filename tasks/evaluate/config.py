"""Settings of the evaluate stage."""

from pydantic import Field

from tasks.settings import StageConfig, incidental


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
    max_labelled_documents: int = Field(
        2000, ge=2, description="most labelled training documents each classifier is fitted on"
    )
    num_resamples: int = Field(
        1000, ge=100, description="bootstrap resamples behind each 95 % interval"
    )
    word2vec_dim: int = Field(100, ge=2, description="width of the Word2Vec baseline's vectors")
    word2vec_epochs: int = Field(
        10, ge=1, description="passes of the Word2Vec baseline over the training documents"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of samples, baselines and resamples")
    device: str = incidental("auto", description="where the encoders run: auto, cpu or cuda")
