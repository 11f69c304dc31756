"""Lets a Prefect server mind runs whose worker died, as `deployments/automations.yaml` says."""

from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Prefect reads its settings when it is imported
    from prefect.client.orchestration import SyncPrefectClient

FILE = "automations.yaml"


def described() -> list[dict[str, Any]]:
    """The automations as the file has them, plain values."""
    import yaml

    text = (resources.files("deployments") / FILE).read_text("utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)["automations"]
    return found


def make_automations(client: "SyncPrefectClient") -> list[str]:
    """Make those that are missing and renew the others in their place; returns their names.

    One that somebody has switched off stays off. Those of other names are not touched.
    """
    from prefect.events.schemas.automations import AutomationCore

    names = []
    for values in described():
        wanted = AutomationCore.model_validate(values)
        there = client.read_automations_by_name(wanted.name)
        if there:
            wanted.enabled = there[0].enabled
            client.update_automation(there[0].id, wanted)
        else:
            client.create_automation(wanted)
        names.append(wanted.name)
    return names
