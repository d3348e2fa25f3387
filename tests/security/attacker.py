"""SIPVicious as an attacker at a loopback address of its own."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT

DEADLINE_S = 60.0

# svwar and svcrack 0.3.8 read --bindingip and then forget it: only their engines know it, so it is handed to
# them here. Nothing else of the tools is changed.
_LAUNCH = """
import functools, importlib, sys
tool, engine, address, *arguments = sys.argv[1:]
module = importlib.import_module("sipvicious." + tool)
setattr(module, engine, functools.partial(getattr(module, engine), bindingip=address))
sys.argv = [tool, "-b", address, *arguments]
module.main()
"""
_ENGINES = {"svwar": "TakeASip", "svcrack": "ASipOfRedWine", "svmap": "DrinkOrSip"}


async def attack(tool: str, address: str, *arguments: str) -> str:
    """Run `tool` from `address` to its end; everything it said. Ends with the task. Raises: TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LAUNCH, tool, _ENGINES[tool], address, *arguments, stdout=PIPE, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode()
