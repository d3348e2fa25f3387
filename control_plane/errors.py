"""The error tree, by what the caller should do.

ControlPlaneError
  x DomainError     the request is wrong, never retry
      x InvalidField (InvalidFields) 422 · UnknownEntity 404 · InvariantViolation 422
        · IllegalTransition 409 · Conflict 409 · StaleVersion 412 · Forbidden 403 · LoginFailed 401
  x RenderError     the model cannot be expressed; never partial output
      x UnsafeValue · MissingTemplateValue
  x PlanError       StalePlan: plan again
  x AsteriskError   Unreachable (retry) · OutcomeUnknown (observe, never resend) · Rejected
                    · LoginRefused (fatal)
  x StoreError      StoreBusy (retry) · SchemaTooNew (fatal) · StoreUnusable (fatal; says the remedy)
  x PublishingFailed  the published store or the journal cannot be used now (retry)
  x TooMany         wait, then try again
  x LabError        the machine lacks something; the message says the remedy
"""

from __future__ import annotations

from collections.abc import Sequence


class ControlPlaneError(Exception):
    """Base of every error this program raises on purpose; its text is one sentence for a person."""


class DomainError(ControlPlaneError):
    """The request breaks a rule of the model; sending it again cannot help."""


class InvalidField(DomainError):
    """One field has a value its rule does not allow.

    A rule that is a sentence of its own (capital letter, full stop) is the whole text: some sentences are
    required word for word. Any other rule reads as "field: rule".
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(rule if rule[:1].isupper() and rule.endswith(".") else f"{field}: {rule}")
        self.field = field
        self.rule = rule

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """(field, rule) of everything wrong."""
        return ((self.field, self.rule),)


class InvalidFields(InvalidField):
    """Several fields at once have values their rules do not allow; `field` and `rule` are the first."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(*problems[0])
        self._problems = tuple(problems)
        self.args = ("; ".join(str(InvalidField(*problem)) for problem in problems),)

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        return self._problems


class UnknownEntity(DomainError):
    """Nothing of this kind has this key."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is no {kind} {key!r}.")
        self.kind = kind
        self.key = key


class InvariantViolation(DomainError):
    """The change would leave the model in a state its rules forbid."""


class IllegalTransition(DomainError):
    """The entity's present state does not allow this."""


class Conflict(DomainError):
    """Another entity or setting stands in the way."""


class StaleVersion(DomainError):
    """The entity changed since the caller read it."""


class Forbidden(DomainError):
    """Who asks sees it and may not do this with it."""


class LoginFailed(DomainError):
    """Name or password is wrong; the text does not say which."""


class RenderError(ControlPlaneError):
    """The model cannot be expressed as an artefact."""


class UnsafeValue(RenderError):
    """A value would change the meaning of the file or action it goes into."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class MissingTemplateValue(RenderError):
    """A template asks for a value the model does not give."""


class PlanError(ControlPlaneError):
    """A plan cannot be made or used."""


class StalePlan(PlanError):
    """The model or Asterisk moved since this plan was made: plan again."""


class AsteriskError(ControlPlaneError):
    """Asterisk did not do what was asked."""


class Unreachable(AsteriskError):
    """No connection; nothing was sent, so trying again is safe."""


class OutcomeUnknown(AsteriskError):
    """The action was sent and no answer came: it may or may not be in force. Observe, never resend."""


class Rejected(AsteriskError):
    """Asterisk answered with an error."""


class LoginRefused(AsteriskError):
    """The AMI user or password is wrong, or its rights are too small."""


class StoreError(ControlPlaneError):
    """The database could not do it."""


class StoreBusy(StoreError):
    """Another writer holds the database; trying again is safe."""


class SchemaTooNew(StoreError):
    """The database was written by a newer version of this program."""


class StoreUnusable(StoreError):
    """The database cannot be opened, read or written as it is; the text names it and the remedy."""


class PublishingFailed(ControlPlaneError):
    """The published store, or the journal beside it, cannot be read or written now; trying again is safe."""


class NotFollowed(ControlPlaneError):
    """A handset was given something new and was not seen to use it in time; it keeps what it had."""


class TooMany(ControlPlaneError):
    """Too many attempts; trying again is right after `retry_after_s` seconds."""

    def __init__(self, text: str, retry_after_s: int) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class LabError(ControlPlaneError):
    """The machine lacks something the lab needs; the text names it and the remedy."""


class MailNotSent(ControlPlaneError):
    """The mail server could not take the message now; trying again later is right."""


class MailRefused(ControlPlaneError):
    """The mail server refused the message for good."""
