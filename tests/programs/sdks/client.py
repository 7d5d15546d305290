"""A program on the Python Agent SDK. Usage: client.py SCENARIO; CLIENT_CLAUDE names the claude.

Prints what it saw, a line for each message: its class and what a program would use of it, without
ids and times.
"""

import asyncio
import os
import sys

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    ClaudeSDKClient,
    PermissionResultAllow,
    ResultMessage,
    TextBlock,
    ToolUseBlock,
    create_sdk_mcp_server,
    query,
    tool,
)


def show(message):
    if isinstance(message, AssistantMessage):
        for block in message.content:
            if isinstance(block, TextBlock):
                print("text:", block.text, flush=True)
            elif isinstance(block, ToolUseBlock):
                print("tool:", block.name, flush=True)
    elif isinstance(message, ResultMessage):
        print(
            f"result: {message.subtype} error={message.is_error} turns={message.num_turns}",
            message.result,
            flush=True,
        )


def options(**more):
    return ClaudeAgentOptions(cli_path=os.environ["CLIENT_CLAUDE"], **more)


async def one_shot():
    async for message in query(prompt="hello", options=options()):
        show(message)


async def talk(prompts, **more):
    async with ClaudeSDKClient(options(**more)) as client:
        for prompt in prompts:
            print("prompt:", prompt, flush=True)
            await client.query(prompt)
            async for message in client.receive_response():
                show(message)


async def permission():
    async def may(name, arguments, context):
        print("asked:", name, flush=True)
        return PermissionResultAllow()

    await talk(["touch the file"], can_use_tool=may)


async def own_tool():
    @tool("clock", "Tells the time", {})
    async def clock(arguments):
        print("called: clock", flush=True)
        return {"content": [{"type": "text", "text": "noon"}]}

    server = create_sdk_mcp_server(name="own", version="1", tools=[clock])
    await talk(["what time is it"], mcp_servers={"own": server}, allowed_tools=["mcp__own__clock"])


async def interrupt():
    async with ClaudeSDKClient(options()) as client:
        await client.query("hello")

        async def stop():
            # The test touches this file once claude-safe waits.
            while not os.path.exists(os.environ["CLIENT_STOP"]):
                await asyncio.sleep(0.05)
            await client.interrupt()

        stopping = asyncio.create_task(stop())
        async for message in client.receive_response():
            show(message)
        await stopping
        await client.query("again")
        async for message in client.receive_response():
            show(message)


SCENARIOS = {
    "one-shot": one_shot,
    "talk": lambda: talk(["hello", "again"]),
    "permission": permission,
    "own-tool": own_tool,
    "interrupt": interrupt,
}

try:
    asyncio.run(SCENARIOS[sys.argv[1]]())
except Exception as error:
    print("failed:", type(error).__name__, str(error).splitlines()[0], flush=True)
    sys.exit(1)
