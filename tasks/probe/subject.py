"""What a run of the probe looks into: the encoder pretrained here, or one from a named folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from tokenizers import Tokenizer

from model.bert import Bert
from model.encoder import Encoder
from model.errors import ArtifactError
from model.finite import are_finite
from model.huggingface import load_masked_lm
from model.inspection import MaskedPredictor
from tasks.corpus import SPLITS, Corpus
from tasks.embedder import load_tokenizer
from tasks.probe.config import ProbeConfig
from tasks.probe.corpus_tokens import draw_tokens
from tasks.probe.foreign import read_encoder
from tasks.probe.labelled_documents import Names
from tasks.probe.sample import Tokens
from tasks.stage import StageContext
from tasks.tokens import TokenizedCorpus

AnyEncoder: TypeAlias = Encoder | Bert


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An encoder with the corpus in its tokens.

    Attributes:
        encoder: in evaluation mode, on the device.
        model: with its head; None where it has none.
        tokenizer: the encoder's.
        documents: token ids without special tokens, of train, validation and test.
        names: what the user calls the documents at some places of a split.
        notes: what there is to say of an encoder that was not trained here; None: it was.
    """

    encoder: AnyEncoder
    model: MaskedPredictor | None
    tokenizer: Tokenizer
    documents: Mapping[str, Sequence[Tokens]]
    names: Names
    notes: tuple[str, ...] | None = None


def read_subject(context: StageContext, device: torch.device) -> Subject:
    """The encoder in `probe.encoder`'s folder where that is set, else the pretrained one.

    Raises:
        RequestError: the folder holds no encoder that is understood here.
        ArtifactError: an input is damaged, or a weight of it is not finite.
    """
    if context.config.encoder is not None:
        return _foreign(context, device)
    pretrained = context.inputs["pretrain"].path
    model = load_masked_lm(pretrained).to(device).eval()
    if not are_finite(model.parameters()):
        raise ArtifactError(
            f"{pretrained}: the encoder has weights that are not finite: train it again"
        )
    tokens = TokenizedCorpus(context.inputs["tokenize"].path)
    return Subject(
        encoder=model.model,
        model=model,
        tokenizer=load_tokenizer(pretrained / "tokenizer.json"),
        documents={split: tokens.documents(split) for split in SPLITS},
        names=tokens.document_ids,
    )


def _foreign(context: StageContext, device: torch.device) -> Subject:
    config: ProbeConfig = context.config
    found = read_encoder(config)
    for reason in found.left_out:
        context.report.warning(f"the encoder of probe.encoder: {reason}")
    corpus = Corpus(context.inputs["ingest"].path)
    drawn = {
        split: draw_tokens(
            corpus,
            split,
            found.tokenizer,
            num_documents=config.num_documents,
            num_tokens=config.word2vec_tokens,
            seed=config.seed,
        )
        for split in SPLITS
    }
    documents = {split: own.documents for split, own in drawn.items()}
    return Subject(
        encoder=found.encoder.to(device),
        model=found.model.to(device) if found.model else None,
        tokenizer=found.tokenizer,
        documents=documents,
        names=lambda split, places: [drawn[split].document_ids[place] for place in places],
        notes=_notes(found.kind, found.left_out, documents, corpus),
    )


def _notes(
    kind: str,
    left_out: Sequence[str],
    documents: Mapping[str, Sequence[Tokens]],
    corpus: Corpus,
) -> tuple[str, ...]:
    counts = ", ".join(
        f"{len(own):,} of {corpus.about.num_documents[split]:,} of {split}"
        for split, own in documents.items()
    )
    return (
        f"Looked into: a {kind} from a folder of the user's, not an encoder of this workspace. "
        "What it was trained on is not known here, and there are no checkpoints of it. The "
        f"documents are in the tokens of its own tokenizer ({counts}, drawn with the seed); "
        "frequencies are counted on these.",
        *left_out,
    )
