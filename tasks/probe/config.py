"""Settings of the probe stage."""

from pathlib import Path

from pydantic import Field, field_validator

from tasks.settings import StageConfig, incidental, one_or_several


class ProbeConfig(StageConfig):
    """What to look at, how much of it, and how many seeds to trust."""

    num_documents: int = Field(
        200,
        ge=2,
        description="Held-out documents (validation and test) that the layer and head measures "
        "are taken on, drawn with the seed.",
    )
    max_tokens_per_document: int = Field(
        128,
        ge=8,
        le=8192,
        description="Leading tokens of each of these documents, and of each labelled one, that "
        "are looked at. Memory: 12 bytes x width x layers for each token of the former.",
    )
    num_examples: int = Field(
        1000,
        ge=60,
        description="Examples a probe is fitted on, per task and seed; half as many each for "
        "choosing and for scoring. Fewer where the corpus holds fewer.",
    )
    window_tokens: int = Field(
        16, ge=4, le=1024, description="Tokens of the windows that probes read."
    )
    num_seeds: int = Field(
        3,
        ge=3,
        description="Repetitions of every probe, each with its own examples, its own random "
        "weights and its own control labels.",
    )
    seed: int = Field(0, ge=0, description="The first seed; the others follow it.")
    word2vec_tokens: int = Field(
        1_000_000,
        ge=1000,
        description="Tokens of the train split that Word2Vec learns from, to stand beside.",
    )
    ablation_tokens: int = Field(
        4000,
        ge=100,
        description="Tokens of the sample on which each head is taken out in turn. Cost: heads x "
        "(layers + 1) / 2 passes over them.",
    )
    num_checkpoints: int = Field(
        4,
        ge=0,
        description="Checkpoints of pretraining to measure too, evenly chosen, and the encoder "
        "before it; 0 = none.",
    )
    num_words: int = Field(
        5000,
        ge=500,
        description="Words of the treebank that probes are fitted on, per seed; half as many each "
        "for choosing and for scoring.",
    )
    conllu: tuple[str, ...] = incidental(
        (),
        description="A treebank in CoNLL-U: files, folders, globs or archives, compressed or not. "
        "Names that say train, dev and test are kept to; what they leave out is drawn by document.",
    )
    num_labelled_documents: int = Field(
        500,
        ge=60,
        description="Labelled documents that probes are fitted on where the corpus has a label "
        "column, per seed; half as many each for choosing and for scoring. Cost: two passes over "
        "them per seed.",
    )
    compare_with: tuple[str, ...] = incidental(
        (),
        description="Probes of other encoders to set beside this one: folders "
        "artifacts/probe/<id>, of this workspace or another.",
    )
    encoder: Path | None = incidental(
        None,
        description="Folder of a ModernBERT or BERT encoder (config.json, safetensors, "
        "tokenizer.json) to look into instead of the pretrained one; then only ingest is needed.",
    )
    device: str = incidental("auto", description="Where to compute: auto, cpu, cuda or cuda:N.")

    def does_without(self) -> frozenset[str]:
        """A named encoder has its own tokenizer, so all it needs is the corpus."""
        return frozenset({"vocab", "tokenize", "pretrain"} if self.encoder is not None else ())

    _several = field_validator("conllu", "compare_with", mode="before")(one_or_several)
