"""Cisco handsets: a flat profile; a parameter that is not in it stays as it was."""

from __future__ import annotations

import re
from collections.abc import Mapping

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, KeySetup, Srtp
from tests.handsets.boot import Account, Asking, Boot, BootFailed, Fetch
from tests.handsets.told import Files, Limits, Told, ToldKey, ToldLine
from tests.handsets.xml import country, numbered, pages, parsed, provisioning

_TRANSPORTS = {"UDP": Transport.UDP, "TCP": Transport.TCP, "TLS": Transport.TLS}
_DTMF = {"AVT": Dtmf.RFC4733, "InBand": Dtmf.INBAND, "INFO": Dtmf.INFO}
_CODECS = {"G722": Codec.G722, "G711a": Codec.PCMA, "G711u": Codec.PCMU, "OPUS": Codec.OPUS}
_RULE = re.compile(r"\[--uid (\S+) --pwd (\S+)\](https?://.+)")
_FUNCTIONS = {"dnd": KeyKind.DND, "cfwd": KeyKind.FORWARD}


def profile(content: bytes) -> dict[str, str]:
    """Name to value, whatever the nesting.

    Raises:
        BootFailed: no flat profile, or a parameter is there twice.
    """
    root = parsed(content)
    if root.tag != "flat-profile":
        raise BootFailed(f"a {root.tag}")
    values: dict[str, str] = {}
    for element in root.iter():
        if len(element) == 0 and element is not root:
            if str(element.tag) in values:
                raise BootFailed(f"{element.tag} is there twice")
            values[str(element.tag)] = element.text or ""
    return values


def _rule(values: Mapping[str, str]) -> tuple[str, str, str]:
    found = _RULE.fullmatch(values["Profile_Rule"])
    if found is None:
        raise BootFailed(f"no rule: {values['Profile_Rule']}")
    return found[3], found[1], found[2]


def _codecs(values: Mapping[str, str], index: int) -> tuple[Codec, ...]:
    names = ("Preferred_Codec", "Second_Preferred_Codec", "Third_Preferred_Codec")
    first = [values[f"{name}_{index}_"] for name in names]
    order = [_CODECS[name] for name in first if name != "Unspecified"]
    enabled = [codec for name, codec in _CODECS.items() if values.get(f"{name}_Enable_{index}_") == "Yes"]
    assert set(order) <= set(enabled)
    return (*order, *(codec for codec in enabled if codec not in order))


def _srtp(values: Mapping[str, str], index: int) -> Srtp | None:
    """None where the handset makes no difference between two of ours."""
    if values["Secure_Call_Serv"] == "No" or values.get(f"Secure_Call_Setting_{index}_") == "No":
        return Srtp.OFF
    return Srtp.REQUIRED if values.get(f"Secure_Call_Option_{index}_") == "Required" else None


def _line(values: Mapping[str, str], index: int) -> ToldLine:
    def of(name: str) -> str:
        return values[f"{name}_{index}_"]

    host, _, port = of("Proxy").rpartition(":")
    assert (of("Auth_ID"), of("Use_Auth_ID"), of("Register")) == (of("User_ID"), "Yes", "Yes")
    return ToldLine(
        user=of("User_ID"),
        password=of("Password"),
        display_name=of("Display_Name"),
        host=host,
        port=int(port),
        transport=_TRANSPORTS[of("SIP_Transport")],
        srtp=_srtp(values, index),
        outbound_proxy=of("Outbound_Proxy") if of("Use_Outbound_Proxy") == "Yes" else "",
        expires_s=int(of("Register_Expires")),
        codecs=_codecs(values, index),
        dtmf=_DTMF[of("DTMF_Tx_Method")],
        mwi=bool(of("Mailbox_ID")),
    )


def _keys(values: Mapping[str, str]) -> dict[int, ToldKey]:
    keys = {}
    for index, extension in numbered(values, "Extension_", "_").items():
        label = values[f"Short_Name_{index}_"]
        function = values[f"Extended_Function_{index}_"]
        if extension != "Disabled":
            keys[index] = ToldKey(KeyKind.LINE, "", label, int(extension))
        elif function:
            parts = dict(part.split("=", 1) for part in function.split(";"))
            assert set(parts) <= {"fnc", "sub", "ext", "nme"}
            number = parts.get("ext", "").removesuffix("@$PROXY")
            kind = KeyKind.BLF if "blf" in parts["fnc"] else _FUNCTIONS.get(parts["fnc"], KeyKind.SPEED_DIAL)
            assert kind is not KeyKind.BLF or parts["sub"] == parts["ext"]
            keys[index] = ToldKey(kind, number, label)
    return keys


def _change(text: str) -> tuple[int, ...]:
    month, day, weekday, time = text.split("/")
    week = 5 if day == "-1" else (int(day) + 6) // 7
    return int(month), week, int(weekday) % 7, int(time.partition(":")[0])


def _clock(
    values: Mapping[str, str],
) -> tuple[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]] | None]:
    zone = re.fullmatch(r"GMT([+-])(\d\d):(\d\d)", values["Time_Zone"])
    assert zone is not None
    sign, hours, minutes = zone.groups()
    offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1)
    if values["Daylight_Saving_Time_Enable"] == "No":
        return (offset, 0), None
    rule = dict(part.split("=") for part in values["Daylight_Saving_Time_Rule"].split(";"))
    hours, _, minutes = rule["save"].partition(":")
    saving = int(hours) * 3600 + int(minutes or 0) * 60
    return (offset, saving), (_change(rule["start"]), _change(rule["end"]))


def _tone(script: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sounds, _, sections = script.partition(";")
    frequencies = tuple(int(part.partition("@")[0]) for part in sounds.split(","))
    _, _, cadence = sections.rstrip(")").partition("(")
    if cadence.startswith("*"):
        return frequencies, ()
    steps = [part.split("/") for part in cadence.split(",")]
    return frequencies, tuple(round(1000 * float(each)) for step in steps for each in step[:2])


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the handset of `setup` believes."""
    values = profile(files[f"{setup.mac}.xml"])
    address, user, password = _rule(values)
    where = provisioning(address, user, password)
    busy, cadence = _tone(values["Busy_Tone"])
    zone, changes = _clock(values)
    lines = [index for index, on in numbered(values, "Line_Enable_", "_").items() if on == "Yes"]
    for index in numbered(values, "Line_Enable_", "_"):
        assert index in lines or not values[f"Password_{index}_"] + values[f"User_ID_{index}_"]
    phone = "Extension_1_" in values
    directory = values["XML_Directory_Service_URL"] if phone else ""
    entries = pages(
        files,
        directory,
        "DirectoryEntry/Name",
        "Telephone",
        "SoftKeyItem[Name='Next']/URL/text()",
    )
    assert values["Admin_Passwd"] == values["Admin_Password"]
    assert values.get("Web_Login_Admin_Password", values["Admin_Passwd"]) == values["Admin_Passwd"]
    assert values.get("Web_Login_Guest_Password", values["User_Password"]) == values["User_Password"]
    return Told(
        lines={index: _line(values, index) for index in lines},
        keys=_keys(values) if phone and setup.keys else None,  # without any, one for each line
        url=where.url,
        user=where.user,
        password=where.password,
        interval_s=int(values["Resync_Periodic"]),
        zone=zone,
        clock_changes=changes,
        tones=country(_tone(values["Dial_Tone"])[0], busy, cadence),
        ntp=tuple(filter(None, (values["Primary_NTP_Server"], values["Secondary_NTP_Server"]))),
        admin_password=values["Admin_Password"],
        user_password=values["User_Password"],
        emergency=tuple(values[f"Emergency_Number_{lines[0]}_"].split(","))
        if lines and values[f"Emergency_Number_{lines[0]}_"]
        else None,
        digit_map=values[f"Dial_Plan_{lines[0]}_"] if lines else None,
        stun=values["STUN_Server"] if values["STUN_Enable"] == "Yes" else "",
        contacts=tuple(entries) if phone else None,
        call_waiting=values["CW_Setting"] == "Yes",
        ca="Custom_CA_Rule" in values,
    )


def _expected_key(key: KeySetup) -> ToldKey:
    """A key that dials is a key that dials."""
    kind = KeyKind.SPEED_DIAL if key.kind is KeyKind.VOICEMAIL else key.kind
    return ToldKey(kind, key.value, key.label, key.line)


def _usable(*known: Codec) -> Limits:
    return Limits(
        codecs=lambda wanted: tuple(one for one in wanted if one in known) or (Codec.PCMU,),
        keys=_expected_key,
    )


SPA_LIMITS = _usable(Codec.G722, Codec.PCMA, Codec.PCMU)
ATA_LIMITS = _usable(Codec.PCMA, Codec.PCMU)
MPP_LIMITS = _usable(*Codec)


class CiscoHandset:
    """The file of its model first; that names the profile by MAC, at the same server."""

    login = "digest"

    def __init__(self, family: str) -> None:
        self.family = family
        self._rule = ""

    def user_agent(self, mac: str, model: str) -> str:
        """Two makes of it."""
        if self.family == "cisco_mpp":
            return f"Cisco-{model}-3PCC/11.3.7 ({mac})"
        return f"Cisco/{model}-7.6.2 ({mac.upper()})(CBT0123456)"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """As above; a factory-new handset without the file of its model has been told the address by DHCP.

        Once it has a rule of its own, it goes by that.
        """
        asking = Asking(fetch, self.user_agent(mac, model))
        rule = self._rule or self._first_rule(asking, model)
        values = profile(asking.need(rule.replace("$MA", mac)))
        self._rule = _rule(values)[0]
        asking.boot.provisioning = provisioning(*_rule(values))
        asking.boot.accounts = tuple(
            Account(
                user=values[f"User_ID_{index}_"],
                auth_user=values[f"Auth_ID_{index}_"],
                password=values[f"Password_{index}_"],
                host=values[f"Proxy_{index}_"].rpartition(":")[0],
                port=int(values[f"Proxy_{index}_"].rpartition(":")[2]),
                transport=_TRANSPORTS[values[f"SIP_Transport_{index}_"]],
                index=index,
                display_name=values[f"Display_Name_{index}_"],
            )
            for index, on in numbered(values, "Line_Enable_", "_").items()
            if on == "Yes"
        )
        return asking.boot

    def _first_rule(self, asking: Asking, model: str) -> str:
        name = f"{model}-3PCC.xml" if self.family == "cisco_mpp" else f"{model[:3].lower()}{model[3:]}.cfg"
        generic = asking.get(name)
        return profile(generic)["Profile_Rule_B"] if generic is not None else "$MA.xml"
