// Two prompts and what Claude says. Usage: hello.mjs CLAUDE

import process from 'node:process'
import { query } from '@anthropic-ai/claude-agent-sdk'

let next
async function* prompts() {
  for (const content of ['hello', 'again']) {
    const answered = new Promise((resolve) => (next = resolve))
    yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null }
    await answered
  }
}

const options = { pathToClaudeCodeExecutable: process.argv[2] }
for await (const message of query({ prompt: prompts(), options })) {
  if (message.type === 'assistant')
    console.log(...message.message.content.flatMap((block) => block.text ?? []))
  if (message.type === 'result') next()
}
