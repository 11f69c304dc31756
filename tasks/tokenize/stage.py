"""The tokenize stage: every document as token ids, and the rows that training will read."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tokenizers import Tokenizer

from model.bpe.tokenizer import SPECIAL_TOKENS
from model.errors import CorpusError
from model.packing import plan_packing
from tasks.corpus import SPLITS, Corpus
from tasks.progress import SharedProgress
from tasks.spread import spread
from tasks.stage import Metrics, StageContext
from tasks.store.atomic import make_folder
from tasks.store.staging import SCRATCH
from tasks.tokenize.config import TokenizeConfig
from tasks.tokenize.definition import TOKENIZE
from tasks.tokenize.encode import EncodeTask, encode_shard
from tasks.tokens import SUMMARY, SplitSummary, TokenizedCorpus, TokensSummary, write_plan

__all__ = ["TOKENIZE", "run"]

OVERHEAD_TOKENS = 2  # [CLS] and [SEP] around each piece
PACKED_SPLITS = ("train", "validation")
BYTES_PER_TEXT_BYTE = 0.6  # token ids and the packing plan; 0.74 with 8192 tokens


def run(context: StageContext) -> Metrics:
    """Encode the corpus and plan the packing of what training reads.

    Writes `tokens/<split>-<shard>.arrow`, `packing/<split>.arrow` and `tokens.json`.

    Raises:
        CorpusError: the tokenizer leaves nothing of the whole corpus.
    """
    corpus = Corpus(context.inputs["ingest"].path)
    context.need_room(BYTES_PER_TEXT_BYTE * sum(corpus.about.num_text_bytes.values()))
    tokenizer = Tokenizer.from_file(str(context.inputs["vocab"].path / "tokenizer.json"))
    tasks = _encode_tasks(context, corpus)
    _remove_all_but(context.output, tasks)
    _encode(context, corpus, tasks)
    summary = TokensSummary(
        row_tokens=context.config.row_tokens,
        overhead_tokens=OVERHEAD_TOKENS,
        vocab_size=tokenizer.get_vocab_size(),
        special_ids={name.strip("[]").lower(): i for i, name in enumerate(SPECIAL_TOKENS)},
        splits={split: _summarize(context, split) for split in SPLITS},
    )
    _refuse_no_tokens(summary)
    text = json.dumps(asdict(summary), indent=2) + "\n"
    (context.output / SUMMARY).write_text(text, encoding="utf-8")
    return _metrics(summary)


def _encode_tasks(context: StageContext, corpus: Corpus) -> list[EncodeTask]:
    vocab, output = context.inputs["vocab"], context.output
    return [
        EncodeTask(
            tokenizer=vocab.path / "tokenizer.json",
            tokenizer_id=vocab.ref.content_id,
            folder=output / "tokens",
            number=number,
            shard=shard,
            note=output / SCRATCH / f"{number:05d}.json",
        )
        for number, shard in enumerate(corpus.shards)
    ]


def _remove_all_but(output: Path, tasks: Sequence[EncodeTask]) -> None:
    """Remove what an earlier attempt left, but for shards that may be done."""
    shutil.rmtree(output / "packing", ignore_errors=True)
    for name in ("tokens", "packing", SCRATCH):
        make_folder(output / name)
    wanted = {path for task in tasks for path in task.files.values()}
    for path in set((output / "tokens").iterdir()) - wanted:
        path.unlink()


def _encode(context: StageContext, corpus: Corpus, tasks: Sequence[EncodeTask]) -> None:
    num_documents = sum(corpus.about.num_documents.values())
    progress = SharedProgress(context.report, num_documents, "documents")
    spread(context, encode_shard, tasks, name="encode", progress=progress, num_done=int)


def _summarize(context: StageContext, split: str) -> SplitSummary:
    """Totals of an encoded split, and its packing plan where training reads it."""
    config: TokenizeConfig = context.config
    tokens = TokenizedCorpus(context.output)
    lengths = tokens.documents(split).lengths
    num_rows, fill_frac = None, None
    if split in PACKED_SPLITS:
        plan = plan_packing(lengths, row_tokens=config.row_tokens, overhead_tokens=OVERHEAD_TOKENS)
        assert plan.num_tokens == lengths.sum(), f"packing {split} lost or repeated tokens"
        write_plan(plan, context.output / "packing" / f"{split}.arrow")
        num_rows, fill_frac = plan.num_rows, plan.fill_frac
    return SplitSummary(
        num_documents=len(lengths),
        num_tokens=int(lengths.sum()),
        num_text_bytes=int(tokens.num_bytes(split).sum()),
        num_rows=num_rows,
        fill_frac=fill_frac,
    )


def _refuse_no_tokens(summary: TokensSummary) -> None:
    """Where a tokenizer's own normalizer deletes all text, nothing can be learned or measured."""
    if not any(split.num_tokens for split in summary.splits.values()):
        raise CorpusError(
            f"the tokenizer makes no token of any of the corpus's "
            f"{sum(split.num_documents for split in summary.splits.values())} documents: give "
            "ingest other text, or vocab.tokenizer a tokenizer that keeps this text"
        )


def _metrics(summary: TokensSummary) -> Metrics:
    """Totals of all splits, and what training will find in the train split."""
    train = summary.splits["train"]
    num_tokens = sum(split.num_tokens for split in summary.splits.values())
    num_text_bytes = sum(split.num_text_bytes for split in summary.splits.values())
    return {
        "num_tokens": float(num_tokens),
        "bytes_per_token": num_text_bytes / num_tokens,
        "num_train_tokens": float(train.num_tokens),
        "num_rows": float(train.num_rows or 0),
        "fill_frac": train.fill_frac or 0.0,
    }
