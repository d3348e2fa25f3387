"""The headless phones of a real call: which may be used, and bringing them up as devices of the model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress

from pydantic import SecretStr

from control_plane.adapters.phones import Engine, Phone, PhoneError, SipAccount
from control_plane.bootstrap.callvalues import CallRequest, ident_of
from control_plane.bootstrap.wiring import Wiring
from control_plane.callpath.explain import Behaviour
from control_plane.domain.extension import Device, Transport
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import Conflict, LabError

REGISTER_S = 5.0
OK = 200


def require_free(model: Model, request: CallRequest, wanted: list[Device], registered: set[str]) -> None:
    """That the devices of a call may be used; `registered` are the ids of those that are by now.

    Raises: Conflict, naming them, when one is in use elsewhere (and not `take_over`), or shall be
        unregistered for the call and is not.
    """
    taken = sorted({f"{d.extension} ({d.kind.value})" for d in wanted if d.id in registered})
    if taken and not request.take_over:
        raise Conflict(
            f"Registered from elsewhere: {', '.join(taken)}. Unregister there, or say --take-over: "
            "that phone then has to register again."
        )
    away = {
        device.id
        for name, what in request.behaviour.items()
        if what is Behaviour.UNREGISTERED and "/" in name
        for device in model.devices.get(ident_of(name), ())
    }
    if away & registered:
        raise Conflict("A phone that shall be unregistered for this call is registered: unregister it there.")


class CallPhones:
    """Makes phones; each ends, and unregisters, with `stack`."""

    def __init__(
        self, wiring: Wiring, engine: Engine, stack: ExitStack, report: Callable[[str], None]
    ) -> None:
        self._wiring = wiring
        self._engine = engine
        self._stack = stack
        self._report = report

    def registered(self, device: Device) -> Phone:
        """One that stands for a device. Raises: LabError."""
        name = f"{device.extension} ({device.kind.value})"
        phone = self._made(name, device.id, device.sip_password, device.transport, srtp=device.srtp)
        code = phone.register(REGISTER_S)
        if code != OK:
            raise LabError(
                f"Device {device.id} of extension {device.extension} cannot register (status {code}): see "
                "'wirechief plan' whether Asterisk holds it and 'wirechief security blocked' who is refused."
            )
        self._stack.callback(_unregister, phone)
        self._report(f"registered {name}")
        return phone

    def neutral(self, handset: Handset) -> Phone:
        """A handset nobody is logged in at; as nothing rings it, it need not register."""
        transport = handset.neutral_transport
        srtp = transport is Transport.TLS
        name = f"handset {handset.mac}"
        return self._made(name, handset.neutral_user, handset.neutral_password, transport, srtp=srtp)

    def _made(self, name: str, user: str, password: SecretStr, transport: Transport, *, srtp: bool) -> Phone:
        sip, tls = self._wiring.sip_address, transport is Transport.TLS
        account = SipAccount(
            sip_user=user,
            sip_password=password.get_secret_value(),
            host=sip.host,
            port=sip.tls_port if tls else sip.port,
            transport=transport.value,
            srtp=srtp,
            ca_file=self._wiring.lab().certificate_authority if tls else None,
            # A phone beside the node must not take the address of another interface.
            local_address="127.0.0.1" if sip.host.startswith("127.") else None,
        )
        phone = self._stack.enter_context(Phone(self._engine, account))
        if phone.log_file is not None:
            self._report(f"SIP log of {name}: {phone.log_file}")
        return phone


def _unregister(phone: Phone) -> None:
    # A contact that stays behind would swallow the next call and make the next run refuse.
    with suppress(PhoneError):
        phone.unregister(REGISTER_S)
