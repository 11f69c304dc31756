"""What evaluations call the systems and tasks that others read about, in tables and for people."""

EMBEDDER = "corpusmith"
HALF_DOCUMENT = "half_document"
OTHER_PREFIX = "other_"  # of the embedders of other runs

_LABELS = {
    EMBEDDER: "embedder",
    "bag": "bag of its tokens",
    "pretrained": "before tuning",
    "untrained": "random weights",
    "tfidf": "TF-IDF",
    "bm25": "BM25",
    "lsa": "LSA",
    "word2vec": "mean Word2Vec",
    "sif": "weighted Word2Vec",
    "doc2vec": "Doc2Vec",
}


def system_label(system: str) -> str:
    """A system's name for people: ``corpusmith_dim_64`` is "embedder, 64 dim", ``st_mini`` the
    user's model of that name, ``other_1a2b3c4d`` the embedder of another run."""
    if system.startswith(OTHER_PREFIX):
        return f"other embedder {system.removeprefix(OTHER_PREFIX)}"
    if system.startswith("st_"):
        return system.removeprefix("st_")
    name, _, dim = system.partition("_dim_")
    return f"{_LABELS[name]}, {dim} dim" if dim else _LABELS[name]
