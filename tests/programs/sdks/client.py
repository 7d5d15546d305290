"""A program on the Python Agent SDK. Usage: client.py PLAN, in JSON; CLIENT_CLAUDE names the claude.

Prints what it saw, a line for each message, callback and answer, without ids, times and costs.
The test and the program tell each other by files in CLIENT_MARKS where the other is.
"""

import asyncio
import dataclasses
import json
import os
import re
import sys

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    HookMatcher,
    PermissionResultAllow,
    ResultMessage,
    create_sdk_mcp_server,
    query,
    tool,
)

PLAN = json.loads(sys.argv[1])
# Fields that differ from one good day to the next.
VARY = re.compile(
    r"usage|stop_reason|(_ms|_usd|_tokens|uuids?|session_id|timestamp|request_id|resets_?at|slug|pid|retry_in)$",
    re.IGNORECASE,
)
IDS = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|(toolu|msg|req)_fake\d+|/tmp/[^\s\"']*|resets [^\"]*", re.IGNORECASE
)


def plain(value):
    if dataclasses.is_dataclass(value):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if not VARY.search(key)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return IDS.sub("<id>", value) if isinstance(value, str) else value


def say(*words):
    print(*words, flush=True)


def show(message):
    name, fields = type(message).__name__, plain(message)
    if fields.get("subtype") == "api_retry":
        # Claude itself tries once more only.
        mark("waits" if fields["data"]["max_retries"] > 1 else "retries")
    elif fields.get("subtype") == "init":
        say(name, "init", fields["data"]["permissionMode"], fields["data"]["model"])
    else:
        say(name, json.dumps(fields))


def mark(name):
    open(os.path.join(os.environ["CLIENT_MARKS"], name), "w").close()


async def marked(name):
    while not os.path.exists(os.path.join(os.environ["CLIENT_MARKS"], name)):
        await asyncio.sleep(0.02)


async def may(name, arguments, context):
    say("asked:", name)
    if PLAN.get("hesitate"):
        mark("asked")
        try:
            await marked("allow")
        except asyncio.CancelledError:
            say("withdrawn")
            raise
    return PermissionResultAllow()


async def hook(event, tool_use_id, context):
    say("hook:", event["hook_event_name"])
    return {}


@tool("clock", "Tells the time", {})
async def clock(arguments):
    say("called: clock")
    mark("called")
    return {"content": [{"type": "text", "text": "noon"}]}


def options():
    more = {}
    if PLAN.get("permission"):
        more["can_use_tool"] = may
    if PLAN.get("hooks"):
        events = ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
        more["hooks"] = {event: [HookMatcher(hooks=[hook])] for event in events}
    if PLAN.get("own_tool"):
        server = create_sdk_mcp_server(name="own", version="1", tools=[clock])
        more["mcp_servers"] = {"own": server}
        more["allowed_tools"] = ["mcp__own__clock"]
    if PLAN.get("replay"):
        more["extra_args"] = {"replay-user-messages": None}
    if PLAN.get("forget"):
        more["extra_args"] = {"no-session-persistence": None}
    return ClaudeAgentOptions(
        cli_path=os.environ["CLIENT_CLAUDE"],
        include_partial_messages=PLAN.get("partials", False),
        max_turns=PLAN.get("max_turns"),
        **more,
    )


async def answered(client, results=1):
    async for message in client.receive_messages():
        show(message)
        results -= isinstance(message, ResultMessage)
        if not results:
            break


async def talk():
    async with ClaudeSDKClient(options()) as client:
        if "mode" in PLAN:
            await client.set_permission_mode(PLAN["mode"])
        if "model" in PLAN:
            await client.set_model(PLAN["model"])
        if "interrupt" in PLAN:
            asyncio.create_task(interrupt(client))
        if "later" in PLAN:
            asyncio.create_task(later(client))
        for number, prompt in enumerate(PLAN["prompts"]):
            if number == PLAN.get("pause"):
                mark("pauses")
                await marked("go")
            prompts = prompt if isinstance(prompt, list) else [prompt]
            for one in prompts:
                await client.query(one)
            if number == PLAN.get("pause"):
                mark("prompted")
            await answered(client, len(prompts) + len(PLAN.get("later", [])))


async def interrupt(client):
    await marked(PLAN["interrupt"])
    await client.interrupt()
    say("interrupted")


async def later(client):
    await marked(PLAN["when"])
    for prompt in PLAN["later"]:
        await client.query(prompt)
    say("status:", "mcpServers" in await client.get_mcp_status())
    mark("sent")


async def main():
    if PLAN.get("one_shot"):
        async for message in query(prompt=PLAN["prompts"][0], options=options()):
            show(message)
    else:
        await talk()


try:
    asyncio.run(main())
except Exception as error:
    say("failed:", type(error).__name__, plain(str(error).splitlines()[0]))
    sys.exit(1)
