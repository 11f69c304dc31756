"""Small corpora the tests make: text with topics, so that there is something to learn."""

import json
import random
from pathlib import Path

TOPICS = {
    "sea": "ship sail harbour wave captain anchor storm deck island rope tide crew voyage".split(),
    "kitchen": "bread oven butter salt flour knife pepper soup onion table bake taste".split(),
    "court": "judge law trial witness verdict appeal jury guilty lawyer claim evidence".split(),
    "garden": "seed flower soil water spade bloom leaf root apple branch summer grow bee".split(),
}
FILLERS = "the a of and to in was with for on that by it from at this which were".split()


def sentences(rng: random.Random, words: list[str], count: int) -> list[str]:
    """Sentences of six to twelve words, about half of them from the topic."""
    made = []
    for _ in range(count):
        drawn = [
            rng.choice(words if rng.random() < 0.5 else FILLERS) for _ in range(rng.randint(6, 12))
        ]
        made.append(" ".join(drawn).capitalize() + ".")
    return made


def topic_documents(num_documents: int, *, seed: int = 0) -> list[dict[str, str | int]]:
    """Documents with an id, a topic as label, a year, and three to nine sentences."""
    rng = random.Random(seed)
    documents: list[dict[str, str | int]] = []
    for index in range(num_documents):
        topic = rng.choice(sorted(TOPICS))
        own = rng.sample(TOPICS[topic], 6)  # each document keeps to a part of its topic
        text = " ".join(sentences(rng, own, rng.randint(3, 9)))
        documents.append(
            {"id": f"{topic}-{index}", "text": text, "topic": topic, "year": 1990 + index % 30}
        )
    return documents


def write_jsonl(path: Path, documents: list[dict[str, str | int]]) -> Path:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
    return path
