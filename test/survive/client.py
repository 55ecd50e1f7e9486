"""A client of FastMCP that does what it is told: reads JSON lines from stdin, and answers each.

{id, do: "open", url, headers, patience} begins a session, {id, do: "call", tool, args} and {id, do:
"read", uri} use it, {id, do: "close"} ends it. The answer is {id, text} or {id, error}. Many may be
under way at the same time.
"""

import asyncio
import json
import sys

import fastmcp
from fastmcp.client.transports import SSETransport, StreamableHttpTransport


class Session:
    """One session at a time, entered and left by one task, as its scopes demand."""

    def __init__(self):
        self.client = None
        self.task = None
        self.leave = None

    async def open(self, url, headers, patience):
        is_sse = url.split("?")[0].endswith("/sse")
        make = SSETransport if is_sse else StreamableHttpTransport
        opened = asyncio.get_running_loop().create_future()
        self.leave = asyncio.Event()

        async def hold(leave):
            try:
                transport = make(url, headers=headers)
                async with fastmcp.Client(transport, mode="legacy", timeout=patience) as client:
                    self.client = client
                    opened.set_result("")
                    await leave.wait()
            except BaseException as error:
                if not opened.done():
                    opened.set_exception(error)

        self.task = asyncio.create_task(hold(self.leave))
        return await opened

    async def call(self, tool, args):
        answer = await self.client.call_tool(tool, args)
        return answer.content[0].text

    async def read(self, uri):
        return (await self.client.read_resource(uri))[0].text

    async def close(self):
        if self.task is not None:
            self.leave.set()
            await asyncio.wait([self.task], timeout=5)
            self.task = None
        return ""


def innermost(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def answer(session, order):
    order_id, do = order.pop("id"), order.pop("do")
    try:
        told = {"text": await getattr(session, do)(**order)}
    except Exception as error:
        told = {"error": f"{type(innermost(error)).__name__}: {innermost(error)}"}
    print(json.dumps({"id": order_id, **told}), flush=True)


async def main():
    session = Session()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    orders = set()
    while line := await reader.readline():
        task = asyncio.create_task(answer(session, json.loads(line)))
        orders.add(task)
        task.add_done_callback(orders.discard)
    await session.close()


asyncio.run(main())
