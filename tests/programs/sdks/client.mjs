// A program on the TypeScript Agent SDK. Usage: client.mjs PLAN, in JSON; CLIENT_CLAUDE names the
// claude.
//
// Prints what it saw, a line for each message, callback and answer, without ids, times and costs.
// The test and the program tell each other by files in CLIENT_MARKS where the other is.

import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSdkMcpServer, query, tool } from '@anthropic-ai/claude-agent-sdk'

const plan = JSON.parse(process.argv[2])
// Fields that differ from one good day to the next.
const VARY = /usage|stop_reason|(_ms|_usd|_tokens|uuids?|session_id|timestamp|request_id|resets_?at|slug|pid|retry_in)$/i
const IDS =
  /[0-9a-f]{8}-[0-9a-f-]{27}|(toolu|msg|req)_fake\d+|\/tmp\/[^\s"']*|resets [^"]*/gi

function plain(value) {
  if (Array.isArray(value)) return value.map(plain)
  if (value && typeof value === 'object') {
    const kept = Object.entries(value).filter(([key]) => !VARY.test(key))
    return Object.fromEntries(kept.map(([key, item]) => [key, plain(item)]))
  }
  return typeof value === 'string' ? value.replace(IDS, '<id>') : value
}

function show(message) {
  if (message.subtype === 'api_retry') {
    // Claude itself tries once more only.
    mark(message.max_retries > 1 ? 'waits' : 'retries')
  } else if (message.subtype === 'init') console.log('init', message.permissionMode, message.model)
  else console.log(JSON.stringify(plain(message)))
}

const file = (name) => path.join(process.env.CLIENT_MARKS, name)
const mark = (name) => fs.writeFileSync(file(name), '')
async function marked(name) {
  while (!fs.existsSync(file(name))) await sleep(20)
}

async function may(name, input, { signal }) {
  console.log('asked:', name)
  if (plan.hesitate) {
    mark('asked')
    const withdrawn = new Promise((resolve) => signal.addEventListener('abort', () => resolve(true)))
    if (await Promise.race([withdrawn, marked('allow')])) console.log('withdrawn')
  }
  return { behavior: 'allow', updatedInput: input }
}

async function hook(event) {
  console.log('hook:', event.hook_event_name)
  return {}
}

const clock = tool('clock', 'Tells the time', {}, async () => {
  console.log('called: clock')
  mark('called')
  return { content: [{ type: 'text', text: 'noon' }] }
})

function options() {
  const more = {}
  if (plan.permission) more.canUseTool = may
  if (plan.hooks) {
    const events = ['UserPromptSubmit', 'PreToolUse', 'PostToolUse', 'Stop']
    more.hooks = Object.fromEntries(events.map((event) => [event, [{ hooks: [hook] }]]))
  }
  if (plan.own_tool) {
    more.mcpServers = { own: createSdkMcpServer({ name: 'own', version: '1', tools: [clock] }) }
    more.allowedTools = ['mcp__own__clock']
  }
  if (plan.replay) more.extraArgs = { 'replay-user-messages': null }
  return {
    pathToClaudeCodeExecutable: process.env.CLIENT_CLAUDE,
    includePartialMessages: plan.partials ?? false,
    maxTurns: plan.max_turns,
    ...more,
  }
}

async function oneShot() {
  for await (const message of query({ prompt: plan.prompts[0], options: options() })) show(message)
}

async function talk() {
  let owed = 0
  let next
  const message = (content) => {
    return { type: 'user', message: { role: 'user', content }, parent_tool_use_id: null }
  }
  let set
  const isSet = new Promise((resolve) => (set = resolve))
  async function* messages() {
    await isSet
    for (const [number, prompt] of plan.prompts.entries()) {
      if (number === plan.pause) {
        mark('pauses')
        await marked('go')
      }
      const answered = new Promise((resolve) => (next = resolve))
      for (const one of [prompt].flat()) {
        owed += 1
        yield message(one)
      }
      if (number === plan.pause) mark('prompted')
      if (plan.later) {
        await marked(plan.when)
        owed += plan.later.length
        for (const one of plan.later) yield message(one)
        console.log('status:', Array.isArray(await running.mcpServerStatus()))
        mark('sent')
      }
      await answered
    }
  }
  const running = query({ prompt: messages(), options: options() })
  if (plan.mode) await running.setPermissionMode(plan.mode)
  if (plan.model) await running.setModel(plan.model)
  set()
  if (plan.interrupt) {
    marked(plan.interrupt)
      .then(() => running.interrupt())
      .then(() => console.log('interrupted'))
  }
  for await (const message of running) {
    show(message)
    if (message.type === 'result' && --owed === 0) next()
  }
}

try {
  await (plan.one_shot ? oneShot() : talk())
} catch (error) {
  console.log('failed:', error.name, plain(error.message.split('\n')[0]))
  process.exit(1)
}
