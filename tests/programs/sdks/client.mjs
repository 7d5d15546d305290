// A program on the TypeScript Agent SDK. Usage: client.mjs SCENARIO; CLIENT_CLAUDE names the claude.
//
// Prints what it saw, a line for each message, without ids and times.

import process from 'node:process'
import { createSdkMcpServer, query, tool } from '@anthropic-ai/claude-agent-sdk'

function show(message) {
  if (message.type === 'assistant') {
    for (const block of message.message.content) {
      if (block.type === 'text') console.log('text:', block.text)
      if (block.type === 'tool_use') console.log('tool:', block.name)
    }
  } else if (message.type === 'result') {
    const { subtype, is_error, num_turns, result } = message
    console.log(`result: ${subtype} error=${is_error} turns=${num_turns} ${result}`)
  }
}

const options = (more) => ({
  pathToClaudeCodeExecutable: process.env.CLIENT_CLAUDE,
  ...more,
})

async function oneShot() {
  for await (const message of query({ prompt: 'hello', options: options() })) show(message)
}

// Prompts one after another: the next one once the last one has its result.
async function talk(prompts, more) {
  let next
  const ready = () => new Promise((resolve) => (next = resolve))
  async function* messages() {
    for (const content of prompts) {
      const answered = ready()
      console.log('prompt:', content)
      yield { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null }
      await answered
    }
  }
  for await (const message of query({ prompt: messages(), options: options(more) })) {
    show(message)
    if (message.type === 'result') next()
  }
}

const permission = () =>
  talk(['touch the file'], {
    canUseTool: async (name, input) => {
      console.log('asked:', name)
      return { behavior: 'allow', updatedInput: input }
    },
  })

function ownTool() {
  const clock = tool('clock', 'Tells the time', {}, async () => {
    console.log('called: clock')
    return { content: [{ type: 'text', text: 'noon' }] }
  })
  const own = createSdkMcpServer({ name: 'own', version: '1', tools: [clock] })
  return talk(['what time is it'], { mcpServers: { own }, allowedTools: ['mcp__own__clock'] })
}

const scenarios = {
  'one-shot': oneShot,
  talk: () => talk(['hello', 'again']),
  permission,
  'own-tool': ownTool,
}

try {
  await scenarios[process.argv[2]]()
} catch (error) {
  console.log('failed:', error.name, error.message.split('\n')[0])
  process.exit(1)
}
