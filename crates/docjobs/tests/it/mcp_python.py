"""The official Python client against `docjobs mcp`: parse twice, kill, attach; in doubt, ask, adopt."""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

program, root, *options = sys.argv[1:]
server = StdioServerParameters(
    command=program, args=["mcp", "--root", root, *options], env=dict(os.environ), cwd=root
)


async def with_session(work, **callbacks):
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write, **callbacks) as session:
            await session.initialize()
            return await work(session)


async def told(session, name, arguments):
    result = await session.call_tool(name, arguments)
    return result.structured_content if hasattr(result, "structured_content") else result.structuredContent


async def parse(session):
    tools = await session.list_tools()
    first = await told(session, "parse_document", {"path": "notes.txt"})
    second = await told(session, "parse_document", {"path": "notes.txt"})
    page = await told(session, "get_result", {"id": first["id"]})
    return {"tools": len(tools.tools), "first": first, "second": second, "page": page}


async def lose(session):
    return await told(session, "parse_document", {"path": "lost.txt"})


async def main():
    # The simulator drops its first answer.
    lost = await with_session(lose)
    parsed = await with_session(parse)
    # Another process, as after a crash: the same call attaches.
    later = await with_session(lambda session: told(session, "parse_document", {"path": "notes.txt"}))
    asked = []

    async def confirm(context, params):
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"confirm": True})

    async def abandon(session):
        return await told(session, "resolve_job", {"id": lost["id"], "abandon": True})

    refused = await with_session(abandon)
    decided = await with_session(abandon, elicitation_callback=confirm)
    print(
        json.dumps(
            {"parsed": parsed, "later": later, "lost": lost, "refused": refused, "decided": decided, "asked": asked}
        )
    )


asyncio.run(main())
