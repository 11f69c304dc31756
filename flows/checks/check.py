"""One finding of the doctor's."""

from typing import Any, Literal

Check = dict[str, Any]
State = Literal["ok", "warning", "failed"]


def check(name: str, state: State | bool, finding: str) -> Check:
    """A finding as JSON: ``name``, ``state``, ``ok`` (False only where it failed), ``finding``.

    Args:
        name: what was looked at.
        state: how it is; True and False stand for ok and failed.
        finding: what was found, and where something is wrong, what to do.
    """
    if isinstance(state, bool):
        state = "ok" if state else "failed"
    return {"name": name, "state": state, "ok": state != "failed", "finding": finding}
