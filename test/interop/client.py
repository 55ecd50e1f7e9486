"""Visits MCP servers with the Python clients.

Reads a JSON array of visits from stdin, makes them all at once, and writes the array of what each
saw to stdout. A visit is {client: "fastmcp" | "mcp", transport: "sse" | "http", mode: "auto" |
"legacy", url, key?, everything?}; the key goes into the Authorization header, and at the end of the
URL is server-everything or else the server in mcp_server.
"""

import asyncio
import json
import sys

import fastmcp
import mcp
from fastmcp.client.transports import SSETransport, StreamableHttpTransport
from mcp.client.sse import sse_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

STEPS = 3


def text_of(blocks):
    return blocks[0].text


async def see_everything(visit, client, listen):
    """What a visit to server-everything sees; `listen` names the argument for the progress handler."""
    progress = []

    async def on_progress(done, total, _message):
        progress.append([done, total])

    echoed = await asyncio.gather(
        *(client.call_tool("echo", {"message": f"{visit['url']} {i}"}) for i in range(8))
    )
    slow = {"duration": 0.3, "steps": STEPS}
    await client.call_tool("trigger-long-running-operation", slow, **{listen: on_progress})
    return {"echoed": [text_of(answer.content) for answer in echoed], "progress": progress}


async def visit_with_fastmcp(visit, headers):
    make = SSETransport if visit["transport"] == "sse" else StreamableHttpTransport
    progress = []

    async def on_progress(done, total, _message):
        progress.append([done, total])

    async with fastmcp.Client(make(visit["url"], headers=headers), mode=visit["mode"]) as client:
        if visit.get("everything"):
            seen = await see_everything(visit, client, "progress_handler")
            return {**seen, "version": client.session.protocol_version}
        me = await client.call_tool("whoami")
        echoed = await asyncio.gather(
            *(client.call_tool("echo", {"text": f"{visit['url']} {i}"}) for i in range(8))
        )
        await client.call_tool("count", {"to": STEPS}, progress_handler=on_progress)
        return {
            "me": json.loads(text_of(me.content)),
            "echoed": [text_of(answer.content) for answer in echoed],
            "progress": progress,
            "tools": sorted(tool.name for tool in await client.list_tools()),
            "inbox": text_of(await client.read_resource("mail://inbox")),
            "message": text_of(await client.read_resource("mail://message/7")),
            "version": client.session.protocol_version,
        }


async def visit_with_mcp(visit, headers):
    progress = []

    async def on_progress(done, total, _message):
        progress.append([done, total])

    async def talk(transport):
        async with mcp.Client(transport, mode=visit["mode"]) as client:
            if visit.get("everything"):
                seen = await see_everything(visit, client, "progress_callback")
                return {**seen, "version": client.protocol_version}
            me = await client.call_tool("whoami")
            echoed = await asyncio.gather(
                *(client.call_tool("echo", {"text": f"{visit['url']} {i}"}) for i in range(8))
            )
            await client.call_tool("count", {"to": STEPS}, progress_callback=on_progress)
            tools = await client.list_tools()
            inbox = await client.read_resource("mail://inbox")
            message = await client.read_resource("mail://message/7")
            return {
                "me": json.loads(text_of(me.content)),
                "echoed": [text_of(answer.content) for answer in echoed],
                "progress": progress,
                "tools": sorted(tool.name for tool in tools.tools),
                "inbox": text_of(inbox.contents),
                "message": text_of(message.contents),
                "version": client.protocol_version,
            }

    if visit["transport"] == "sse":
        return await talk(sse_client(visit["url"], headers=headers))
    async with create_mcp_http_client(headers=headers) as http:
        return await talk(streamable_http_client(visit["url"], http_client=http))


def innermost(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def make(visit):
    headers = {"Authorization": f"Bearer {visit['key']}"} if visit.get("key") else {}
    go = visit_with_fastmcp if visit["client"] == "fastmcp" else visit_with_mcp
    try:
        return await asyncio.wait_for(go(visit, headers), 180)
    except Exception as error:
        return {"refused": f"{type(innermost(error)).__name__}: {innermost(error)}"}


async def main():
    visits = json.load(sys.stdin)
    json.dump(await asyncio.gather(*(make(visit) for visit in visits)), sys.stdout)


asyncio.run(main())
