# claude-safe in zsh: `claude` starts claude through claude-safe.
# Nothing here depends on claude-safe being there later: without it, `claude` is plain claude.

function __claude_safe_run {
    \builtin local program
    case ${CLAUDE_SAFE-} in
        off | no | false | 0) ;;
        *)
            # the one on PATH, so that an upgrade is taken up; else the one that wrote this
            program=$(\builtin whence -p claude-safe) || program=
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
    if text=$(\builtin functions claude); then
        case $text in
            *__claude_safe_run*) ;;
            *)
                \builtin print -ru2 'claude-safe: claude is a function here already and stays as it is'
                \builtin print -ru2 'claude-safe: hint: remove it before the line with claude-safe init, or call claude-safe in it'
                \builtin return 0
                ;;
        esac
    fi
    if text=$(\builtin alias claude); then
        case $text in
            # one that only adds arguments ends in our function
            claude=claude | "claude='claude'" | "claude='claude "*) ;;
            *)
                \builtin print -ru2 "claude-safe: claude is an alias here, which stays as it is and goes around claude-safe: $text"
                \builtin print -ru2 'claude-safe: hint: remove the alias, and name its program with claude.path in the configuration'
                \builtin return 0
                ;;
        esac
    fi
    # zsh refuses `claude() { … }` over an alias; the keyword keeps the alias out
    function claude {
        __claude_safe_run "$@"
    }
}

__claude_safe_init
\builtin unset -f __claude_safe_init
