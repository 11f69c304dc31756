"""Settings of the ingest stage."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.ingest.filter_config import FilterConfig
from tasks.settings import incidental


class IngestConfig(FilterConfig):
    """Where documents come from, which columns mean what, and what is refused.

    Where the files lie (`paths`) is no part of the stage's identity; their names below the given
    path and their bytes are.
    """

    paths: list[str] = incidental(
        [],
        description="files, folders, globs, archives or URIs such as s3://bucket/prefix; none: the "
        "documentation of Python's standard library",
    )
    text_column: str | None = Field(
        None,
        min_length=1,
        description="the column that holds a document's text (default: the first of text, content, "
        "body, article, document that there is)",
    )
    id_column: str | None = Field(
        None,
        min_length=1,
        description="the column that holds a document's id (default: doc_id or id where there is "
        "one, else relative/path#number)",
    )
    label_column: str | None = Field(
        None,
        min_length=1,
        description="the metadata column that evaluate classifies by (default: label, category, "
        "class or topic where there is one)",
    )
    title_column: str | None = Field(
        None,
        min_length=1,
        description="the metadata column that search shows as a title (default: title, headline "
        "or subject where there is one)",
    )
    split_column: str | None = Field(
        None,
        min_length=1,
        description="the column that says train, validation or test (default: drawn by content)",
    )
    document_unit: Literal["file", "separator", "heading"] = Field(
        "file",
        description="what a document is in files of text: the file, a part between lines that "
        "equal document_separator, or a part under a heading (Markdown, reStructuredText)",
    )
    document_separator: str = Field(
        "", description="the line between documents of a text file; empty: a blank line"
    )
    heading_level: int = Field(
        2, ge=1, le=6, description="headings down to this level begin a document"
    )
    min_encoding_confidence: float = Field(
        0.95,
        ge=0,
        le=1,
        description="text that is not UTF-8 and says no charset is quarantined when its encoding "
        "is less sure than this",
    )
    mend_mojibake: bool = Field(
        False, description="repair text that was decoded with the wrong charset somewhere before"
    )
    mask_emails: bool = Field(False, description="replace e-mail addresses")
    mask_ip_addresses: bool = Field(False, description="replace IP addresses")
    min_boilerplate_documents: int | None = Field(
        None,
        ge=2,
        description="lines that stand in at least so many documents are removed from all of them",
    )
    near_duplicate_threshold: float | None = Field(
        0.8,
        ge=0.5,
        le=0.99,
        description="documents whose five-word sequences overlap at least so much (Jaccard "
        "similarity, estimated) are near duplicates, one of which is kept; none: exact ones only",
    )
    validation_frac: float = Field(
        0.05, gt=0, lt=1, description="fraction of documents drawn for validation"
    )
    test_frac: float = Field(0.1, gt=0, lt=1, description="fraction of documents drawn for test")
    train_frac: float = Field(
        1.0,
        gt=0,
        le=1,
        description="fraction of the training documents that is kept; what a smaller one keeps, a "
        "larger one keeps too",
    )
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
    num_workers: int | None = incidental(
        None,
        ge=1,
        le=1024,
        description="processes that read and write (default: one for each processor and 64 MB)",
    )

    @model_validator(mode="after")
    def _leaves_text_to_train_on(self) -> Self:
        if self.validation_frac + self.test_frac >= 1:
            raise ValueError("validation_frac and test_frac must leave a part for training")
        return self
