"""ariadne-codegen: makes a client from the schema, which then runs a query and a subscription."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASE = os.environ["SPOOR_URL"]

with tempfile.TemporaryDirectory() as directory:
    config = Path(directory) / "pyproject.toml"
    config.write_text(
        f"""
[tool.ariadne-codegen]
schema_path = "{HERE.parent.parent.parent / 'graphql' / 'schema.graphql'}"
queries_path = "{HERE / 'queries.graphql'}"
target_package_name = "spoor_client"
target_package_path = "{directory}"
"""
    )
    program = Path(sys.executable).parent / "ariadne-codegen"
    subprocess.run([program, "--config", str(config)], check=True, cwd=directory)
    sys.path.insert(0, directory)
    from spoor_client import Client, SessionFilter  # noqa: E402

    async def main() -> None:
        socket = f"{BASE.replace('http', 'ws', 1)}/graphql"
        async with Client(url=f"{BASE}/graphql", ws_url=socket) as client:
            answer = await client.sessions(filter_=SessionFilter(weak=False), first=1)
            assert answer.sessions is not None and answer.sessions.epoch is not None
            async for event in client.changes():
                assert event.session_changes.snapshot
                break

    asyncio.run(asyncio.wait_for(main(), 60))
