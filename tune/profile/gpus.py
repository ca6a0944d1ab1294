"""The GPUs of this machine that a profile is measured on again. Pure."""

import dataclasses
from collections.abc import Sequence

from cluster.node import hardware, nvml
from cluster.node.gpus import VisibleGpu
from cluster.pages import units
from search_spaces.config import num_devices
from tune.preflight import device
from tune.profile.file import ProfileError
from tune.profile.schema import Profile


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringGpus:
    """The GPUs to measure on, by their names for CUDA, and those that other programs hold."""

    names: tuple[str, ...]
    held: tuple[str, ...]

    @property
    def variables(self) -> dict[str, str]:
        """The variables that show them to a process, in this order."""
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", nvml.VISIBLE: ",".join(self.names)}


def gpus_for(profile: Profile, visible: Sequence[VisibleGpu]) -> MeasuringGpus:
    """Return as many GPUs as the training takes, idle ones first, of the profile's own kind where
    there are any; else of the kind of the first.

    Raises:
        ProfileError: if there are fewer of one kind.
    """
    kinds = [hardware.gpu_class(one.gpu) for one in visible]
    own = [hardware.gpu_class(gpu) for gpu in profile.machine.gpus[:1]]
    kind = next((kind for kind in own if kind in kinds), kinds[0])
    alike = [one for one, of in zip(visible, kinds, strict=True) if of == kind]
    wanted = num_devices(profile.config)
    if len(alike) < wanted:
        raise ProfileError(
            f"the profile's training takes {units.plural(wanted, 'GPU')} of one kind, and "
            f"{len(alike)} can be seen here: take a machine that has them, or search here."
        )
    chosen = sorted(alike, key=device.is_held)[:wanted]
    return MeasuringGpus(
        names=tuple(one.name for one in chosen),
        held=tuple(one.name for one in chosen if device.is_held(one)),
    )
