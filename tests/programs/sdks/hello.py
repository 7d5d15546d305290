"""Two prompts and what Claude says. Usage: hello.py CLAUDE"""

import asyncio
import sys

from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, ClaudeSDKClient, TextBlock


async def main():
    options = ClaudeAgentOptions(cli_path=sys.argv[1])
    async with ClaudeSDKClient(options) as client:
        for prompt in ["hello", "again"]:
            await client.query(prompt)
            async for message in client.receive_response():
                if isinstance(message, AssistantMessage):
                    print(*(b.text for b in message.content if isinstance(b, TextBlock)))


asyncio.run(main())
