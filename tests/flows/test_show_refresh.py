"""What a person sees of a refresh."""

from typing import Any

import pytest

from flows.show_refresh import refresh

ROW = {"measure": "masked_loss", "value": 1.5, "threshold": 0.5, "new": 4.5, "reference": 3.0}
DISTANCE = ROW | {"measure": "embedding_distance", "new": None, "reference": None, "alarm": False}


def shown(capsys: pytest.CaptureFixture[str], proposal: dict[str, Any] | None) -> str:
    refresh(
        {
            "run_id": "x",
            "workspace": "/ws",
            "artifacts": {},
            "metrics": {},
            "mlflow": {"tracking_uri": "sqlite:///x"},
            "prefect": {"flow_run_id": "y"},
            "release": {"id": 3},
            "published": "workspace/published/embeddings",
            "drift": {"says": "drift: here", "measures": [ROW | {"alarm": True}, DISTANCE]},
            "proposal": proposal,
        }
    )
    return " ".join(capsys.readouterr().out.split())


def test_measures_stand_beside_their_thresholds(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, None)
    assert "release 3 is published" in text
    assert "embeddings workspace/published/embeddings" in text
    assert "masked_loss 3 4.5 +1.5 0.5 above embedding_distance +1.5 0.5 drift drift: here" in text
    assert "proposal" not in text


def test_a_proposal_says_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    refused = {"reasons": [], "started": False, "refused": "no budget"}
    assert "proposal train on all documents (no budget)" in shown(capsys, refused)
    started = {"reasons": [], "started": True, "refused": None, "run_id": "z"}
    assert "proposal train on all documents (started, run z)" in shown(capsys, started)
