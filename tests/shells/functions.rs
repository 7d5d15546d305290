//! The function `claude`: what it runs, what it leaves alone.

use crate::{BASH, FISH, Home, POSIX, SHELLS, Shell, ZSH};

const CALL: &str = "claude mcp 'a b' '' '*' '$x'";
const SAFE: &str = "safe:<mcp><a b><><*><$x>";
const PLAIN: &str = "plain:<mcp><a b><><*><$x>";

#[test]
fn sourcing_is_silent_even_twice_and_a_strict_shell_lives_on() {
    for shell in SHELLS {
        let Shell { init, strict, .. } = shell;
        let script = format!("{strict}\n{init}\n{init}\necho alive\n{CALL} || true\necho $HOME\n");
        let home = Home::new();
        let path = home.dir.display().to_string();
        let script = script.replace("echo $HOME", "printf '%s\\n' \"$HOME\"");
        home.shell(&shell, &script).assert_lines(&["alive", SAFE, &path]);
    }
}

#[test]
fn the_exit_status_is_claudes() {
    for shell in SHELLS {
        let said = Home::new().shell(&shell, &format!("{}\n{CALL}\n", shell.init));
        assert_eq!((said.out.trim(), said.code), (SAFE, Some(7)), "{}", shell.program);
    }
}

#[test]
fn off_is_plain_for_one_call_and_command_claude_is_plain() {
    for shell in SHELLS {
        let Shell { init, strict, program, .. } = shell;
        // A failing call would end a strict shell.
        let calls = ["CLAUDE_SAFE=off claude mcp", "command claude mcp", "claude mcp"];
        let calls = calls.map(|call| format!("{call} || true")).join("\n");
        let said = Home::new().shell(&shell, &format!("{strict}\n{init}\n{calls}\n"));
        let lines: Vec<&str> = said.out.lines().collect();
        assert_eq!(lines, ["plain:<mcp>", "plain:<mcp>", "safe:<mcp>"], "{program}: {said:?}");
    }
}

#[test]
fn without_the_program_claude_is_plain_in_shells_old_and_new() {
    for shell in SHELLS {
        let Shell { init, strict, program, .. } = shell;
        let home = Home::new();
        // Once before, so that the shell has it in its hash table.
        let script = format!(
            "{strict}\n{init}\n{CALL} || true\ncommand rm \"$HOME/o u'rs/claude-safe\"\n{CALL} || true\n"
        );
        home.shell(&shell, &script).assert_lines(&[SAFE, PLAIN]);
        let said = home.shell(&shell, &format!("{init}\n{CALL}\n"));
        assert_eq!((said.out.trim(), said.code), (PLAIN, Some(7)), "{program}");
    }
}

#[test]
fn a_program_that_is_not_on_path_is_found_where_it_was() {
    for shell in SHELLS {
        let init = shell.init.replace("claude-safe init", "\"$HOME/o u'rs/claude-safe\" init");
        let path = match shell.program {
            "fish" => "set -gx PATH \"$HOME/claude's\" /usr/bin /bin",
            _ => "PATH=\"$HOME/claude's:/usr/bin:/bin\"",
        };
        let script = format!("{path}\n{init}\n{CALL}\n");
        let said = Home::new().shell(&shell, &script);
        assert_eq!((said.out.trim(), &*said.err), (SAFE, ""), "{}", shell.program);
    }
}

#[test]
fn type_tells_that_claude_is_a_function() {
    for shell in SHELLS {
        let said = Home::new().shell(&shell, &format!("{}\ntype claude\n", shell.init));
        assert!(said.out.contains("function"), "{}: {said:?}", shell.program);
    }
}

#[test]
fn an_alias_that_adds_arguments_keeps_adding_them() {
    for shell in [BASH, ZSH] {
        let Shell { init, strict, .. } = shell;
        let script = format!(
            "{strict}\nalias claude='claude --model opus'\n{init}\n{init}\nclaude mcp || true\n"
        );
        Home::new().shell(&shell, &script).assert_lines(&["safe:<--model><opus><mcp>"]);
    }
}

#[test]
fn an_alias_to_another_program_is_left_and_reported() {
    for shell in [BASH, ZSH, POSIX, FISH] {
        let Shell { init, strict, program, .. } = shell;
        let script = format!("{strict}\nalias claude='echo mine'\n{init}\nclaude mcp\n");
        let said = Home::new().shell(&shell, &script);
        assert_eq!(said.out, "mine mcp\n", "{program}: {said:?}");
        assert!(said.err.starts_with("claude-safe: claude is "), "{program}: {said:?}");
        assert!(said.err.contains("alias") && said.err.contains("hint: "), "{program}: {said:?}");
        assert_eq!(said.code, Some(0), "{program}");
    }
}

#[test]
fn a_function_of_the_users_is_left_and_reported() {
    for shell in SHELLS {
        let Shell { init, strict, program, .. } = shell;
        let function = match program {
            "fish" => "function claude; echo mine $argv; end",
            _ => "claude() { echo mine \"$@\"; }",
        };
        let script = format!("{strict}\n{function}\n{init}\n{init}\nclaude mcp\n");
        let said = Home::new().shell(&shell, &script);
        assert_eq!(said.out, "mine mcp\n", "{program}: {said:?}");
        assert!(said.err.starts_with("claude-safe: claude is a function"), "{program}: {said:?}");
        assert_eq!(said.code, Some(0), "{program}");
    }
}

#[test]
fn aliases_of_our_words_do_not_reach_into_the_functions() {
    for shell in [BASH, ZSH] {
        let Shell { init, strict, .. } = shell;
        let words = ["command", "builtin", "local", "printf", "return", "type"];
        let aliases = words.map(|word| format!("alias {word}='echo no'\n")).concat();
        let script = format!("{strict}\n{aliases}{init}\n{CALL} || true\n");
        Home::new().shell(&shell, &script).assert_lines(&[SAFE]);
    }
}

#[test]
fn completions_of_claude_stay() {
    let claude = "complete -W 'mcp doctor' claude";
    let script = format!("{claude}\n{}\ncomplete -p claude\n", BASH.init);
    Home::new().shell(&BASH, &script).assert_lines(&[claude]);
    let script = format!(
        "autoload -Uz compinit; compinit -D\ncompdef _mine claude\n{}\necho $_comps[claude]\n",
        ZSH.init
    );
    Home::new().shell(&ZSH, &script).assert_lines(&["_mine"]);
    let script = format!("complete -c claude -f -a doctor\n{}\ncomplete -C 'claude '\n", FISH.init);
    Home::new().shell(&FISH, &script).assert_lines(&["doctor"]);
}

#[test]
fn nothing_but_the_functions_is_left_in_the_shell() {
    // Names of functions and variables that were not there before.
    let script = |init: &str, list: &str| {
        format!(
            "{list} >\"$HOME/before\"\n{init}\n{list} >\"$HOME/after\"\n\
                 diff \"$HOME/before\" \"$HOME/after\" | grep '^>'\n"
        )
    };
    let bash = script(BASH.init, "{ declare -F; compgen -v | grep -v '^_$'; }");
    let said = Home::new().shell(&BASH, &bash);
    said.assert_lines(&["> declare -f __claude_safe_run", "> declare -f claude"]);
    let zsh = script(ZSH.init, "print -l ${(ok)functions} ${(ok)parameters}");
    Home::new().shell(&ZSH, &zsh).assert_lines(&["> __claude_safe_run", "> claude"]);
    let fish = script(FISH.init, "begin; functions --all --names; set --names; end");
    Home::new().shell(&FISH, &fish).assert_lines(&["> __claude_safe_run", "> claude"]);
}
