"""Settings of the ingest stage."""

from typing import Self

from pydantic import Field, model_validator

from tasks.settings import StageConfig, incidental


class IngestConfig(StageConfig):
    """Where documents come from, which columns mean what, and what is refused.

    Where the files lie (`paths`) is no part of the stage's identity; their names below the given
    path and their bytes are.
    """

    paths: list[str] = incidental(
        [],
        description="files, folders or globs; none: the documentation of Python's standard library",
    )
    text_column: str = Field(
        "text", min_length=1, description="the column that holds a document's text"
    )
    id_column: str | None = Field(
        None,
        min_length=1,
        description="the column that holds a document's id (default: doc_id or id where there is "
        "one, else relative/path#number)",
    )
    label_column: str | None = Field(
        None, min_length=1, description="the metadata column that evaluate classifies by"
    )
    title_column: str | None = Field(
        None, min_length=1, description="the metadata column that search shows as a title"
    )
    split_column: str | None = Field(
        None,
        min_length=1,
        description="the column that says train, validation or test (default: drawn by content)",
    )
    validation_frac: float = Field(
        0.05, gt=0, lt=1, description="fraction of documents drawn for validation"
    )
    test_frac: float = Field(0.1, gt=0, lt=1, description="fraction of documents drawn for test")
    seed: int = Field(0, ge=0, lt=2**64, description="seed of the split")
    documents_per_shard: int = Field(
        10_000, ge=1, le=10_000_000, description="most documents in one output file"
    )
    max_document_bytes: int = Field(
        16 * 2**20,
        ge=1,
        le=2**30,
        description="longest document, and longest line or record that holds one, in bytes",
    )
    min_characters: int = Field(
        1, ge=1, description="shorter texts (outer blanks not counted) are dropped"
    )
    max_quarantined_frac: float = Field(
        0.2, ge=0, le=1, description="the run fails when more than this fraction cannot be read"
    )

    @model_validator(mode="after")
    def _leaves_text_to_train_on(self) -> Self:
        if self.validation_frac + self.test_frac >= 1:
            raise ValueError("validation_frac and test_frac must leave a part for training")
        return self
