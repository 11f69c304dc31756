"""What evaluations call the systems and tasks that others read about, in tables and for people."""

EMBEDDER = "corpusmith"
HALF_DOCUMENT = "half_document"
OTHER_PREFIX = "other_"  # of the embedders of other runs
_LAYER_PREFIX = "layer_"  # of the embedder cut after another layer

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


def layer_system(layer: int) -> str:
    """The name of the embedder cut after a layer that is not its own; 0 is no layer at all."""
    return f"{_LAYER_PREFIX}{layer}"


def is_layer(system: str) -> bool:
    """Whether it is the embedder cut after another layer, and so no system of its own."""
    return system.startswith(_LAYER_PREFIX)


def system_label(system: str) -> str:
    """A system's name for people: ``corpusmith_dim_64`` is "embedder, 64 dim", ``st_mini`` the
    user's model of that name, ``other_1a2b3c4d`` the embedder of another run, ``layer_2`` the
    embedder cut after that layer."""
    if is_layer(system):
        return f"layer {system.removeprefix(_LAYER_PREFIX)}"
    if system.startswith(OTHER_PREFIX):
        return f"other embedder {system.removeprefix(OTHER_PREFIX)}"
    if system.startswith("st_"):
        return system.removeprefix("st_")
    name, _, dim = system.partition("_dim_")
    return f"{_LABELS[name]}, {dim} dim" if dim else _LABELS[name]
