"""All payloads, by kinds."""

from collections.abc import Callable, Iterator

from attacks import in_checkpoints, in_folders, in_settings
from attacks.commands import Payload

KINDS: dict[str, Callable[[], Iterator[Payload]]] = {
    "pickles": in_checkpoints.pickles,
    "archives": in_checkpoints.archives,
    "tensors": in_checkpoints.tensors,
    "checkpoints": in_checkpoints.checkpoints,
    "networks": in_settings.networks,
    "configurations": in_settings.configurations,
    "settings": in_settings.settings,
    "results": in_folders.results,
    "sweeps": in_folders.sweeps,
    "links": in_folders.links,
    "pipes": in_folders.pipes,
    "names": in_folders.names,
    "seals": in_folders.seals,
    "controls": in_folders.controls,
}


def everything() -> list[Payload]:
    """Return all payloads; those of a kind stand together."""
    return [payload for payloads in KINDS.values() for payload in payloads()]
