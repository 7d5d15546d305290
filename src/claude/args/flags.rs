//! The words of Claude's command line, as data: its flags with their arities, its subcommands, and
//! what a relaunch leaves out. A new flag of Claude's is one line here.

/// How many values a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    None,
    One,
    /// The next word, unless it begins with `-`.
    Optional,
    /// All words up to the next that begins with `-`.
    Many,
}

use Arity::{Many, None as Zero, One, Optional};

/// The flags of Claude Code 2.0 to 2.1, hidden ones included: every spelling and its arity.
const FLAGS: &[(&[&str], Arity)] = &[
    (&["--add-dir"], Many),
    (&["--agent"], One),
    (&["--agents"], One),
    (&["--allow-dangerously-skip-permissions"], Zero),
    (&["--allowedTools", "--allowed-tools"], Many),
    (&["--append-system-prompt"], One),
    (&["--append-system-prompt-file"], One),
    (&["--autocompact"], One),
    (&["--ax-screen-reader"], Zero),
    (&["--background", "--bg"], Zero),
    (&["--bare"], Zero),
    (&["--betas"], Many),
    (&["--brief"], Zero),
    (&["--chrome"], Zero),
    (&["--cloud"], Optional),
    (&["--continue", "-c"], Zero),
    (&["--dangerously-skip-permissions"], Zero),
    (&["--debug", "-d"], Optional),
    (&["--debug-file"], One),
    (&["--desktop"], Zero),
    (&["--disable-slash-commands"], Zero),
    (&["--disallowedTools", "--disallowed-tools"], Many),
    (&["--effort"], One),
    (&["--environment"], One),
    (&["--exclude-dynamic-system-prompt-sections"], Zero),
    (&["--fallback-model"], One),
    (&["--file"], Many),
    (&["--fork-session"], Zero),
    (&["--forward-subagent-text"], Zero),
    (&["--from-pr"], Optional),
    (&["--help", "-h"], Zero),
    (&["--ide"], Zero),
    (&["--include-hook-events"], Zero),
    (&["--include-partial-messages"], Zero),
    (&["--input-format"], One),
    (&["--json-schema"], One),
    (&["--max-budget-usd"], One),
    (&["--max-thinking-tokens"], One),
    (&["--max-turns"], One),
    (&["--mcp-config"], Many),
    (&["--mcp-debug"], Zero),
    (&["--model"], One),
    (&["--name", "-n"], One),
    (&["--no-chrome"], Zero),
    (&["--no-session-persistence"], Zero),
    (&["--output-format"], One),
    (&["--permission-mode"], One),
    (&["--permission-prompt-tool"], One),
    (&["--permission-prompts"], One),
    (&["--plugin-dir"], One),
    (&["--plugin-url"], One),
    (&["--print", "-p"], Zero),
    (&["--prompt-suggestions"], Optional),
    (&["--remote-control"], Optional),
    (&["--remote-control-session-name-prefix"], One),
    (&["--replay-user-messages"], Zero),
    (&["--restricted"], Zero),
    (&["--resume", "-r"], Optional),
    (&["--resume-session-at"], One),
    (&["--safe-mode"], Zero),
    (&["--sdk-url"], One),
    (&["--session-id"], One),
    (&["--setting-sources"], One),
    (&["--settings"], One),
    (&["--strict-mcp-config"], Zero),
    (&["--system-prompt"], One),
    (&["--system-prompt-file"], One),
    (&["--system-prompt-snapshot"], One),
    (&["--teleport"], Optional),
    (&["--tmux"], Optional),
    (&["--tools"], Many),
    (&["--verbose"], Zero),
    (&["--version", "-v"], Zero),
    (&["--worktree", "-w"], Optional),
];

/// Claude's own subcommands: management and one-shot work, passed straight through.
pub(super) const COMMANDS: &[&str] = &[
    "agents",
    "attach",
    "auth",
    "auto-mode",
    "config",
    "daemon",
    "doctor",
    "gateway",
    "help",
    "import",
    "install",
    "kill",
    "logs",
    "mcp",
    "migrate-installer",
    "plugin",
    "plugins",
    "purge",
    "respawn",
    "rm",
    "server",
    "setup-token",
    "stop",
    "ultrareview",
    "update",
    "upgrade",
];

/// Flags with which someone else drives Claude, or with which it is no session in this terminal.
pub(super) const PROTOCOL: &[&str] =
    &["--sdk-url", "--background", "--cloud", "--teleport", "--desktop", "--tmux"];

/// What a relaunch leaves out: the prompt's place in a session is kept by `--resume`, and the
/// rest would undo what the user changed since.
pub(super) const NOT_AGAIN: &[&str] = &[
    "--session-id",
    "--continue",
    "--resume",
    "--resume-session-at",
    "--fork-session",
    "--worktree",
    "--model",
    "--permission-mode",
    "--from-pr",
];

/// A flag's first spelling, and how many values it takes.
pub(super) fn known(spelling: &str) -> Option<(&'static str, Arity)> {
    FLAGS
        .iter()
        .find(|(spellings, _)| spellings.contains(&spelling))
        .map(|(spellings, arity)| (spellings[0], *arity))
}
