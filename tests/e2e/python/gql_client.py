"""Python gql: a query over HTTP and a subscription over its default WebSocket transport."""

import asyncio
import json
import os
import time
import urllib.request

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport

BASE = os.environ["SPOOR_URL"]
VALUE = f"gql-{time.time_ns()}"
CHANGES = gql(
    """
    subscription ($value: [String!]) {
      sessionChanges(filter: { value: $value }) {
        added { statistics { requests } }
        updated { statistics { requests } }
      }
    }
    """
)


def push(number: int) -> None:
    """Pushes a request; it is committed when this returns."""
    line = {
        "id": f"{VALUE}-{number}",
        "ts": int(time.time() * 1000) - 1000,
        "method": "GET",
        "url": "https://shop.example/orders/17",
        "request": {"headers": {"x-session-id": VALUE}},
    }
    headers = {"content-type": "application/x-ndjson"}
    body = json.dumps(line).encode()
    request = urllib.request.Request(f"{BASE}/v1/requests", body, headers)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200, answer.status


async def main() -> None:
    push(0)
    http = AIOHTTPTransport(url=f"{BASE}/graphql")
    async with Client(transport=http, fetch_schema_from_transport=True) as session:
        query = gql("query ($v: [String!]) { sessions(filter: { value: $v }) { totalCount } }")
        query.variable_values = {"v": [VALUE]}
        answer = await session.execute(query)
        assert answer == {"sessions": {"totalCount": 1}}, answer
    socket = WebsocketsTransport(url=f"{BASE.replace('http', 'ws', 1)}/graphql")
    async with Client(transport=socket) as session:
        CHANGES.variable_values = {"value": [VALUE]}
        pushed = False
        async for event in session.subscribe(CHANGES):
            changes = event["sessionChanges"]
            told = [it["statistics"]["requests"] for it in changes["added"] + changes["updated"]]
            if 2 in told:
                break
            if not pushed:
                pushed = True
                await asyncio.to_thread(push, 1)


asyncio.run(asyncio.wait_for(main(), 60))
