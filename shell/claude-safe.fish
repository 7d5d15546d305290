# claude-safe in fish: `claude` starts claude through claude-safe.
# Nothing here depends on claude-safe being there later: without it, `claude` is plain claude.

function __claude_safe_run
    set -q CLAUDE_SAFE
    and contains -- $CLAUDE_SAFE off no false 0
    or begin
        # the one on PATH, so that an upgrade is taken up; else the one that wrote this
        set -l program (command --search claude-safe)
        builtin test -x "$program"
        or set program '@PROGRAM@'
        if builtin test -x "$program"
            $program run -- $argv
            return
        end
    end
    command claude $argv
end

if functions --query claude
    and not string match --quiet '*__claude_safe_run*' (functions claude)
    # an alias is a function in fish
    builtin printf '%s\n' 'claude-safe: claude is a function or an alias here already and stays as it is' \
        'claude-safe: hint: remove it before the line with claude-safe init, or call claude-safe in it' >&2
else
    function claude --description 'Claude Code, brought through outages by claude-safe'
        __claude_safe_run $argv
    end
end
