# shellcheck shell=sh
# claude-safe in a POSIX shell: `claude` starts claude through claude-safe.
# Nothing here depends on claude-safe being there later: without it, `claude` is plain claude.

__claude_safe_run() {
    case ${CLAUDE_SAFE-} in
    off | no | false | 0) ;;
    *)
        # the one on PATH, so that an upgrade is taken up; else the one that wrote this
        __claude_safe_program=$(command -v claude-safe) || __claude_safe_program=
        [ -x "$__claude_safe_program" ] || __claude_safe_program='@PROGRAM@'
        if [ -x "$__claude_safe_program" ]; then
            "$__claude_safe_program" run -- "$@"
            return
        fi
        ;;
    esac
    command claude "$@"
}

__claude_safe_taken() {
    alias claude >/dev/null 2>&1 && return
    # a function's name stands alone; ours from an earlier sourcing does not count
    [ "$(command -v claude)" = claude ] && [ -z "${__claude_safe_defined-}" ]
}

if __claude_safe_taken; then
    printf '%s\n' 'claude-safe: claude is a function or an alias here already and stays as it is' \
        'claude-safe: hint: remove it before the line with claude-safe init, or call claude-safe in it' >&2
else
    __claude_safe_defined=1
    # read only here: an alias of this name would be expanded in the definition
    eval 'claude() { __claude_safe_run "$@"; }'
fi
unset -f __claude_safe_taken
