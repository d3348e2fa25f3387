"""The whole product on a PostgreSQL server: the demo, a change by API, a killed control plane."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from control_plane.adapters.secrets import LabSecrets
from control_plane.bootstrap.wiring import DATABASE_FILE, Wiring
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.settings import Settings
from tests.contract.stores import POSTGRES_DSN, fresh_location
from tests.integration.stack import Api, ControlPlaneProcess, extension_path
from tests.lab import RunningLab, running_lab_in
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(not POSTGRES_DSN, reason="WIRECHIEF_TEST_POSTGRES_DSN names no server")
IN_SYNC_S = 90.0


def load(settings: Settings, secrets: LabSecrets) -> None:
    async def put() -> None:
        s = settings
        place = DemoPlace(s.node, s.carrier_address, s.carrier_sip_port, s.sip_address)
        async with Wiring(settings, secrets).store() as store:
            await load_demo(store, place)

    asyncio.run(put())


def answers_in_sync(api: Api) -> bool:
    try:
        return bool(api.node()["in_sync"])
    except OSError:
        return False


def test_the_product_runs_on_postgresql(asterisk_image: str, tmp_path: Path) -> None:
    with (
        fresh_location("postgresql", tmp_path) as location,
        running_lab_in(tmp_path, asterisk_image=asterisk_image) as lab,
    ):
        address = str(location)
        load(lab.settings.model_copy(update={"database": SecretStr(address)}), lab.secrets)
        use(lab, address)


def use(lab: RunningLab, address: str) -> None:
    api = Api(Wiring(lab.settings, lab.secrets))
    process = ControlPlaneProcess(lab.settings)
    try:
        process.start(database=address)
        wait_until(lambda: answers_in_sync(api), "the node is in sync", IN_SYNC_S)
        api.in_force("PATCH", extension_path("103"), {"dnd": True})
        process.kill()
        process.start(database=address)
        wait_until(lambda: answers_in_sync(api), "the node is in sync again", IN_SYNC_S)
        assert api.extension("103")["dnd"] is True
        assert not (lab.settings.state_dir / DATABASE_FILE).exists()
        assert address not in process.log_since(0)
    finally:
        process.stop()
        process.kill()
