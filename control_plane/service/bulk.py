"""Extensions with their devices, all or none, in a transaction under way: the demo, numbers that get one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from control_plane.domain.extension import Device, Extension
from control_plane.domain.model import ExtensionId, Model, by_priority
from control_plane.errors import Conflict, DomainError, InvalidField
from control_plane.ports import Transaction
from control_plane.service.devices import new_device
from control_plane.service.extensions import check_extension, new_extension
from control_plane.service.forwarding import settled


@dataclass(frozen=True, slots=True)
class NewExtension:
    """One row of an import: the fields of an extension, and of each of its devices."""

    values: Mapping[str, object]
    devices: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made, secrets included: for who asked for it, never for a log."""

    extensions: tuple[Extension, ...]
    devices: tuple[Device, ...]


def put_extensions(tx: Transaction, rows: Iterable[NewExtension]) -> Imported:
    """Create every extension of `rows` or none; they may forward to each other in any order.

    Raises: UnknownEntity, InvalidField or Conflict, each naming the row (counted from 1).
    """
    base = tx.model
    extensions: dict[ExtensionId, Extension] = {}
    devices: dict[ExtensionId, tuple[Device, ...]] = {}
    for position, row in enumerate(rows, start=1):
        try:
            extension = settled(None, new_extension(base, row.values), row.values)
            ident = (extension.org, extension.key)
            if ident in base.extensions or ident in extensions:
                raise Conflict(f"extension {extension.key} of {extension.org} exists already.")
            extensions[ident] = extension
            devices[ident] = _devices(ident, row)
        except DomainError as error:
            raise _at(position, error) from None
    _check(base, extensions, devices)
    # Extensions before devices: the store keeps references valid at every put.
    for extension in extensions.values():
        tx.put(extension)
    _bind_numbers(tx, base, extensions)
    made = tuple(device for group in devices.values() for device in group)
    for device in made:
        tx.put(device)
    return Imported(tuple(extensions.values()), made)


def _devices(ident: ExtensionId, row: NewExtension) -> tuple[Device, ...]:
    devices = by_priority(new_device(ident, values) for values in row.devices)
    if len({device.kind for device in devices}) < len(devices):
        raise Conflict(f"extension {ident[1]} would have two devices of one kind; it can have one of each.")
    return devices


def _at(position: int, error: DomainError) -> DomainError:
    if isinstance(error, InvalidField):
        return InvalidField(f"row {position}: {error.field}", error.rule)
    return Conflict(f"row {position}: {error}")


def _check(
    base: Model,
    extensions: Mapping[ExtensionId, Extension],
    devices: Mapping[ExtensionId, tuple[Device, ...]],
) -> None:
    model = replace(base, extensions={**base.extensions, **extensions}, devices={**base.devices, **devices})
    numbers: dict[str, ExtensionId] = {}
    for position, (ident, extension) in enumerate(extensions.items(), start=1):
        try:
            check_extension(model, None, extension)
            if extension.number is not None and numbers.setdefault(extension.number, ident) != ident:
                raise InvalidField("number", f"{extension.number} is given to two extensions")
        except DomainError as error:
            raise _at(position, error) from None


def _bind_numbers(tx: Transaction, base: Model, extensions: Mapping[ExtensionId, Extension]) -> None:
    for extension in extensions.values():
        if extension.number is not None:
            number = base.numbers[extension.number]
            tx.put(number.model_copy(update={"extension": extension.key}))
