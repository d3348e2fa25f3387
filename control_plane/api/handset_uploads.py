"""Routes for what handsets sent: the list, one file to save and never to show, and removing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports
from control_plane.api.handset_schemas import UploadOut
from control_plane.api.handsets import OwnMac
from control_plane.ports import ID_MAX, Upload
from control_plane.service.uploads import remove_upload, shown_upload

router = APIRouter(prefix="/organisations/{org}/handsets/{mac}/uploads", tags=["handsets"])

UploadId = Annotated[int, Path(ge=1, le=ID_MAX)]
_SAVED_ONLY: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
"""A handset chose every byte: a browser saves the file, and runs nothing of it were it to be shown."""


@router.get("", response_model=list[UploadOut], responses=documents.LIST)
async def list_handset_uploads(ports: Ports, mac: OwnMac) -> Sequence[Upload]:
    """What the handset sent and nobody has removed, oldest first."""
    return await ports.uploads.list(mac)


@router.get(
    "/{upload}",
    response_class=Response,
    responses=documents.LIST
    | {200: {"description": "The file, to be saved.", "content": {"text/plain": {}}}},
)
async def get_handset_upload(ports: Ports, mac: OwnMac, upload: UploadId) -> Response:
    """One file as text; what could be a secret reads ***."""
    content = shown_upload(await ports.uploads.read(mac, upload))
    name = f'attachment; filename="{mac}-{upload}.txt"'
    headers = _SAVED_ONLY | {"Content-Disposition": name}
    return Response(content.encode(), media_type="text/plain; charset=utf-8", headers=headers)


@router.delete("/{upload}", status_code=204, responses=documents.REMOVE)
async def delete_handset_upload(write: Creating, mac: OwnMac, upload: UploadId) -> None:
    """Remove a file for good; the audit says who did."""
    ports = write.ports
    await remove_upload(write.store, ports.uploads, write.by, ports.clock, mac, upload)
    await write.removed()
