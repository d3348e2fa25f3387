"""Asks the running control plane over its own API; blocking, for commands."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from control_plane.bootstrap.installation import Installation
from control_plane.errors import ControlPlaneError, Unreachable

ANSWER_S = 70.0
"""Longer than the longest wait the API itself allows."""


class RequestRefused(ControlPlaneError):
    """The control plane answered with a problem; the text is its sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Client:
    """The API of the control plane that runs on this state directory."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._node = quote(installation.settings.node, safe="")

    def node(self) -> dict[str, Any]:
        """How the node stands. Raises: Unreachable (no control plane answers), RequestRefused."""
        found: dict[str, Any] = self._ask("GET", "")
        return found

    def contacts(self) -> dict[str, str]:
        """SIP user name -> contact of what is registered."""
        found: dict[str, str] = self._ask("GET", "/contacts")
        return found

    def plan(self) -> dict[str, Any]:
        """What an apply would do now."""
        found: dict[str, Any] = self._ask("POST", "/plan")
        return found

    def apply(self) -> dict[str, Any]:
        """Push what differs."""
        found: dict[str, Any] = self._ask("POST", "/apply")
        return found

    def follow(self, revision: int, within_s: float) -> dict[str, Any]:
        """Nudge the push; how the node stands when it holds `revision`, or after `within_s`."""
        found: dict[str, Any] = self._ask("POST", f"/follow?revision={revision}&within_s={within_s:g}")
        return found

    def publishing_plan(self) -> dict[str, Any]:
        """What would be published for handsets now."""
        found: dict[str, Any] = self._request("POST", "/provisioning/plan")
        return found

    def publishing_apply(self) -> dict[str, Any]:
        """Publish what differs."""
        found: dict[str, Any] = self._request("POST", "/provisioning/apply")
        return found

    def publishing_follow(self, revision: int, within_s: float) -> dict[str, Any]:
        """Nudge publishing; how it stands when `revision` is published, or after `within_s`."""
        path = f"/provisioning/follow?revision={revision}&within_s={within_s:g}"
        found: dict[str, Any] = self._request("POST", path)
        return found

    def calls(self, limit: int) -> list[dict[str, Any]]:
        """The last calls that ended, newest first."""
        found: list[dict[str, Any]] = self._ask("GET", f"/calls?limit={limit}")
        return found

    def blocked(self) -> list[dict[str, Any]]:
        """The addresses refused now."""
        found: list[dict[str, Any]] = self._ask("GET", "/blocked")
        return found

    def unblock(self, address: str) -> None:
        """Lift one block."""
        self._ask("DELETE", f"/blocked/{quote(address, safe='')}")

    def unblock_all(self) -> int:
        """Lift all blocks; how many there were."""
        return int(self._ask("DELETE", "/blocked")["unblocked"])

    def mails(self, limit: int) -> list[dict[str, Any]]:
        """Mails that were given up, then those that wait."""
        found: list[dict[str, Any]] = self._ask("GET", f"/mails?limit={limit}")
        return found

    def retry_mail(self, id: str) -> None:
        """Try one again. Raises: RequestRefused (404: there is none)."""
        self._ask("POST", f"/mails/{quote(id, safe='')}/retry")

    def retry_mails(self) -> int:
        """Try all of them again; how many there were."""
        return int(self._ask("POST", "/mails/retry")["retried"])

    def discard_mail(self, id: str) -> None:
        """Forget one. Raises: RequestRefused (404: there is none)."""
        self._ask("DELETE", f"/mails/{quote(id, safe='')}")

    def tasks(self, query: Mapping[str, str | int]) -> list[dict[str, Any]]:
        """Tasks, newest first; `query` as the API takes it."""
        found: list[dict[str, Any]] = self._request("GET", f"/tasks?{urlencode(query)}")["items"]
        return found

    def task(self, id: int) -> dict[str, Any]:
        """One task with its steps. Raises: RequestRefused (404: there is none)."""
        found: dict[str, Any] = self._request("GET", f"/tasks/{id}")
        return found

    def retry_task(self, id: int) -> dict[str, Any]:
        """Try again what is not done; the task as it stands before that."""
        found: dict[str, Any] = self._request("POST", f"/tasks/{id}/retry")
        return found

    def _ask(self, method: str, path: str) -> Any:
        return self._request(method, f"/nodes/{self._node}{path}")

    def _request(self, method: str, path: str) -> Any:
        settings = self._installation.settings
        connection = http.client.HTTPConnection(settings.api_host, settings.api_port, timeout=ANSWER_S)
        token = self._installation.secrets.api_token.get_secret_value()
        try:
            connection.request(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            raise Unreachable(
                f"The control plane does not answer at {self._installation.api_url}: "
                "start it with 'wirechief lab up'."
            ) from exc
        finally:
            connection.close()
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise RequestRefused(
                answer.status,
                f"The control plane at {self._installation.api_url} does not know the token in "
                f"{self._installation.state_dir}: set WIRECHIEF_STATE_DIR to the directory it runs on, or "
                "start it anew with 'wirechief lab down' and 'wirechief lab up'.",
            )
        return _content(answer.status, body)


def _content(status: int, body: bytes) -> Any:
    try:
        value = json.loads(body) if body else None
    except ValueError:
        value = None
    if status < 300:
        return value
    detail = value.get("detail") if isinstance(value, dict) else None
    raise RequestRefused(status, str(detail or f"The control plane answered with status {status}."))
