"""Pages that quoted documents, and what stands in their places after an erasure."""

import json

from tasks.report.page import Section, render_report

SAYS = (
    "This page quoted documents of a corpus from which documents have been erased since. It was "
    "removed as a whole; the next run of the stage writes another."
)


def page_of(name: str) -> str:
    """What stands in the place of a page of that name."""
    if name.endswith(".json"):
        return json.dumps({"erased": SAYS}) + "\n"
    return render_report("Erased", [Section(title="Why", paragraphs=[SAYS])])
