"""The overhead's figures, from what processes told."""

from typing import Any

from tests.benchmarks.overhead import configured, summary


def told(cpu_s: float, **more: Any) -> dict[str, Any]:
    return {"start_s": 5.0, "pipeline_s": 9.0, "wall_s": 15.0, "cpu_s": cpu_s, "load": 1.0, **more}


def test_the_share_is_of_what_is_spent_beside_the_stages() -> None:
    """20 s at once and 3 s a minute, in a run of 20 minutes."""
    stages = {"stage_s": {"ingest": 1.0, "vocab": 40.0}, "reused": ["ingest"]}
    tracked = [told(30.0, **stages), told(32.0, **stages), told(90.0, **stages)]
    untracked = [told(10.0), told(12.0), told(20.0)]
    found = summary(tracked, untracked, {"cpu_s_per_minute": 3.0}, run_seconds=1200.0)
    assert found["difference, processor s"] == "20.00 (20.00 to 70.00)"
    assert found["share of a run of 1200 s"] == "6.67 %"
    assert found["a reused stage, wall s"] == "1.00 (1.00 to 1.00)"


def test_settings_are_changed_as_on_the_command_line() -> None:
    config = configured("smoke", ["tune.max_steps=8", 'ingest.text_column="body"'])
    assert (config.tune.max_steps, config.ingest.text_column) == (8, "body")
    assert config.vocab.vocab_size == 4096
