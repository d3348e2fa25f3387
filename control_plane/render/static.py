"""The files an Asterisk of the lab starts with, as text; pure.

Two sets: the node (the PBX) and the carrier (the outside world). They change only with settings, and a
change of most of them needs a restart of that Asterisk. What changes while it runs is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from jinja2 import Environment, PackageLoader, StrictUndefined

from control_plane.domain.regions import REGIONS
from control_plane.errors import UnsafeValue
from control_plane.render.mailboxes import MAILBOX_FILES

_MAILBOX_FILE = "; Mailboxes: pushed over AMI with UpdateConfig, so no includes in this file.\n"

SEEDED_FILES = frozenset(MAILBOX_FILES)
"""Files of the node that are edited over AMI later on: written when absent, never overwritten."""

_FRAMEWORK = (
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_sorcery_astdb",
    "res_sorcery_memory_cache",
    "res_timing_timerfd",
    "res_crypto",
    "res_pjproject",
)
_SIP = (
    "res_pjsip",
    "res_pjsip_session",
    "res_pjsip_pubsub",
    "res_pjsip_acl",
    "res_pjsip_registrar",
    "res_pjsip_authenticator_digest",
    "res_pjsip_outbound_authenticator_digest",
    "res_pjsip_outbound_registration",
    "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_endpoint_identifier_user",
    "res_pjsip_sdp_rtp",
    "res_pjsip_nat",
    "res_pjsip_path",
    "res_pjsip_caller_id",
    "res_pjsip_diversion",
    "res_pjsip_dlg_options",
    "res_pjsip_dtmf_info",
    "res_pjsip_empty_info",
    "res_pjsip_header_funcs",
    "res_pjsip_notify",
    "res_pjsip_refer",
    "res_pjsip_rfc3326",
    "res_pjsip_outbound_publish",  # res_pjsip_exten_state does not load without it (22.10.1)
    "res_pjsip_exten_state",
    "res_pjsip_mwi",
    "res_pjsip_mwi_body_generator",
    "res_pjsip_pidf_body_generator",
    "res_pjsip_xpidf_body_generator",
    "res_pjsip_dialog_info_body_generator",
    "chan_pjsip",
)
_MEDIA = (
    "res_rtp_asterisk",
    "res_srtp",
    "res_musiconhold",
    "codec_ulaw",
    "codec_alaw",
    "codec_gsm",
    "codec_g722",
    "codec_resample",
    "format_wav",
    "format_wav_gsm",
    "format_pcm",
    "format_gsm",
    "format_sln",
    "bridge_simple",
    "bridge_native_rtp",
    "bridge_softmix",
    "bridge_holding",
    "bridge_builtin_features",
)
_DIALPLAN = (
    "pbx_config",
    "app_cdr",
    "app_db",
    "app_dial",
    "app_echo",
    "app_exec",
    "app_playback",
    "app_playtones",
    "app_read",
    "app_sayunixtime",
    "app_stack",
    "app_userevent",
    "app_verbose",
    "app_while",
    "func_callerid",
    "func_channel",
    "func_cut",
    "func_db",
    "func_devstate",
    "func_dialplan",
    "func_extstate",
    "func_global",
    "func_groupcount",
    "func_hangupcause",
    "func_json",
    "func_lock",
    "func_logic",
    "func_math",
    "func_md5",
    "func_pjsip_aor",
    "func_pjsip_contact",
    "func_pjsip_endpoint",
    "func_rand",
    "func_sha1",
    "func_sprintf",
    "func_strings",
    "func_timeout",
    "func_uuid",
)
_NODE_ONLY = ("app_voicemail", "res_security_log", "res_manager_devicestate")

NODE_MODULES = _FRAMEWORK + _SIP + _MEDIA + _DIALPLAN + _NODE_ONLY
CARRIER_MODULES = _FRAMEWORK + _SIP + _MEDIA + _DIALPLAN

NODE_EVENTS = (
    "ChallengeResponseFailed",
    "ContactStatus",
    "FullyBooted",
    "InvalidAccountID",
    "InvalidPassword",
    "InvalidTransport",
    "MessageWaiting",
    "Registry",
    "Reload",
    "RequestBadFormat",
    "Shutdown",
    "UserEvent",
    "VoicemailPasswordChange",
)
"""AMI events the node sends to the control plane; all others are filtered out in Asterisk."""

SILENCED_EVENTS = (
    "BridgeCreate",
    "BridgeDestroy",
    "BridgeEnter",
    "BridgeLeave",
    "BridgeMerge",
    "ChallengeSent",
    "DeviceStateChange",
    "DialBegin",
    "DialEnd",
    "DialState",
    "ExtensionStatus",
    "Hangup",
    "HangupHandlerPop",
    "HangupHandlerPush",
    "HangupHandlerRun",
    "HangupRequest",
    "LocalBridge",
    "LocalOptimizationBegin",
    "LocalOptimizationEnd",
    "NewCallerid",
    "NewConnectedLine",
    "Newchannel",
    "Newexten",
    "Newstate",
    "PeerStatus",
    "RTCPReceived",
    "RTCPSent",
    "Rename",
    "SoftHangupRequest",
    "SuccessfulAuth",
    "VarSet",
)
"""Of those, the ones that calls and registrations make by the dozen: Asterisk does not even make them."""

EMERGENCY_NUMBERS = tuple(sorted({number for region in REGIONS.values() for number in region.emergency}))
"""What the carrier answers as an emergency service: the numbers of every region."""


@dataclass(frozen=True, slots=True)
class AsteriskStart:
    """What both Asterisks of the lab have in common: addresses, ports and the manager user.

    Raises:
        UnsafeValue: a text that would change the meaning of a configuration file.
    """

    name: str
    sip_address: str
    sip_port: int
    rtp_port_min: int
    rtp_port_max: int
    ami_address: str
    ami_port: int
    ami_user: str
    ami_secret: str
    ami_permit: tuple[str, ...]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and set(text) & set("\r\n\0;"):
                    raise UnsafeValue(field.name, "must have no line break, NUL or semicolon")


@dataclass(frozen=True, slots=True)
class NodeStart(AsteriskStart):
    """What the node needs to start."""

    sip_tls_port: int
    realm: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class CarrierStart(AsteriskStart):
    """What the carrier needs to start; `pbx_address` and `pbx_port` are the node's SIP."""

    pbx_address: str
    pbx_port: int


def _environment(folder: str) -> Environment:
    # Configuration files, not HTML: escaping is the value objects' check above.
    return Environment(
        loader=PackageLoader("asterisk_templates", folder),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def render_node(start: NodeStart) -> Mapping[str, str]:
    """File name -> text of everything the node's /etc/asterisk has at first start, sorted by name."""
    environment = _environment("static")
    values = {
        "s": start,
        "modules": NODE_MODULES,
        "events": NODE_EVENTS,
        "silenced": SILENCED_EVENTS,
        "mailbox_files": MAILBOX_FILES,
    }
    texts = {
        name.removesuffix(".j2"): environment.get_template(name).render(values)
        for name in environment.list_templates(extensions=["j2"])
    }
    # There from the start: a reload looks for changes in files it has read before, not for new ones.
    texts |= dict.fromkeys(MAILBOX_FILES, _MAILBOX_FILE)
    return dict(sorted(texts.items()))


def render_carrier(start: CarrierStart) -> Mapping[str, str]:
    """File name -> text of the carrier's /etc/asterisk: its own files, and those it shares with the node."""
    environment = _environment("carrier")
    shared = _environment("static")
    texts = {name: shared.get_template(f"{name}.j2") for name in _SHARED}
    texts |= {
        name.removesuffix(".j2"): environment.get_template(name)
        for name in environment.list_templates(extensions=["j2"])
    }
    values = {"s": start, "modules": CARRIER_MODULES, "emergency": EMERGENCY_NUMBERS}
    return {name: texts[name].render(values) for name in sorted(texts)}


_SHARED = (
    "acl.conf",
    "asterisk.conf",
    "ccss.conf",
    "cdr.conf",
    "cel.conf",
    "features.conf",
    "http.conf",
    "indications.conf",
    "logger.conf",
    "modules.conf",
    "musiconhold.conf",
    "pjproject.conf",
    "pjsip_notify.conf",
    "rtp.conf",
    "sorcery.conf",
    "stasis.conf",
    "udptl.conf",
)
