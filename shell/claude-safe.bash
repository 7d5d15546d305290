# shellcheck shell=bash
# claude-safe in bash: `claude` starts claude through claude-safe.
# Nothing here depends on claude-safe being there later: without it, `claude` is plain claude.

function __claude_safe_run {
    \builtin local program
    case ${CLAUDE_SAFE-} in
    off | no | false | 0) ;;
    *)
        # the one on PATH, so that an upgrade is taken up; else the one that wrote this
        program=$(\builtin type -P claude-safe) || program=
        [[ -x $program ]] || program='@PROGRAM@'
        if [[ -x $program ]]; then
            "$program" run -- "$@"
            \builtin return
        fi
        ;;
    esac
    \command claude "$@"
}

function __claude_safe_init {
    \builtin local text=''
    if text=$(\builtin declare -f claude); then
        case $text in
        *__claude_safe_run*) ;;
        *)
            \builtin printf '%s\n' 'claude-safe: claude is a function here already and stays as it is' \
                'claude-safe: hint: remove it before the line with claude-safe init, or call claude-safe in it' >&2
            \builtin return 0
            ;;
        esac
    fi
    if text=$(\builtin alias claude 2>/dev/null); then
        case $text in
        # one that only adds arguments ends in our function
        "alias claude='claude'" | "alias claude='claude "*) ;;
        *)
            \builtin printf '%s\n' "claude-safe: claude is an alias here, which stays as it is and goes around claude-safe: $text" \
                'claude-safe: hint: remove the alias, and name its program with claude.path in the configuration' >&2
            \builtin return 0
            ;;
        esac
    fi
    # the keyword keeps an alias of this name from being expanded here
    function claude {
        __claude_safe_run "$@"
    }
}

__claude_safe_init
\builtin unset -f __claude_safe_init
