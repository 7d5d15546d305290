//! `claude-safe config` as a person uses it: the built program, a file, variables.

use std::path::Path;
use std::process::{Command, Output};

struct Home(tempfile::TempDir);

impl Home {
    fn with(text: &str) -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary directory"));
        std::fs::write(home.file(), text).expect("written");
        home
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("my config.toml")
    }

    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> (String, Option<i32>) {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_claude-safe"))
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", "/usr/bin:/bin")
            .env("CLAUDE_SAFE_CONFIG", self.file())
            .envs(env.iter().copied())
            .arg("config")
            .args(args)
            .output()
            .expect("claude-safe runs");
        let text = String::from_utf8(output.stdout).expect("text");
        let text = text + &String::from_utf8(output.stderr).expect("text");
        let dir = Path::new(self.0.path()).display().to_string();
        (text.replace(&format!("{dir}/"), ""), output.status.code())
    }
}

#[test]
fn check_names_every_mistake_with_its_line_and_leaves_with_2() {
    let home = Home::with(
        "retry = { max_wiat = \"9s\" }\n[rungs]\ntries = 0\n[profile.night.log]\nlevel = \"inof\"\n\
         [[rules]]\nid = \"a\"\nclass = \"api\"\npattern = \"(\"\n",
    );
    let (said, code) = home.run(
        &["check"],
        &[("CLAUDE_SAFE_RETRY_FIRST_WAIT", "soon"), ("CLAUDE_SAFE_RETRY_MAX_WIAT", "1s")],
    );
    let starts = [
        "my config.toml:1: there is no key `retry.max_wiat`; did you mean `retry.max_wait`?",
        "my config.toml:3: `rungs.tries`: `0` is not a whole number from 1 to 100",
        "my config.toml:5: `log.level`: `inof` is not one of error, warn, info, debug, trace; \
         did you mean `info`?",
        "my config.toml:9: rule `a`: `pattern`",
        "CLAUDE_SAFE_RETRY_FIRST_WAIT: `retry.first_wait`: `soon` is not a span of time",
        "CLAUDE_SAFE_RETRY_MAX_WIAT: there is no such variable; did you mean \
         `CLAUDE_SAFE_RETRY_MAX_WAIT`?",
    ];
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with(' ')).collect();
    for start in starts {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}\n{said}");
    }
    assert_eq!(code, Some(2), "{said}");
    let right = Home::with("retry.max_wait = \"9s\"\n");
    assert_eq!(right.run(&["check"], &[]), ("my config.toml: no mistakes\n".into(), Some(0)));
}

#[test]
fn show_tells_where_each_value_came_from() {
    let home = Home::with("retry.max_wait = \"9s\"\n[profile.night]\nrungs.tries = 7\n");
    let env = [("CLAUDE_SAFE_RETRY_FIRST_WAIT", "2s")];
    let (said, code) = home.run(&["show", "--origin", "--profile", "night"], &env);
    for line in [
        "retry.max_wait = \"9s\"  # my config.toml:1",
        "retry.first_wait = \"2s\"  # CLAUDE_SAFE_RETRY_FIRST_WAIT",
        "rungs.tries = 7  # my config.toml:3, profile night",
        "rungs.update = \"on\"  # default",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }
    assert_eq!(code, Some(0));
    let (json, _) = home.run(&["show", "retry.max_wait", "--json", "--origin"], &[]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["retry.max_wait"]["value"], "9s");
    assert_eq!(json["retry.max_wait"]["origin"]["line"], 1);
    let (said, code) = home.run(&["show", "retry.max_wiat"], &[]);
    assert!(said.contains("did you mean `retry.max_wait`?"), "{said}");
    assert_eq!(code, Some(2));
}

#[test]
fn edit_begins_a_file_checks_it_and_keeps_nothing_where_nothing_was_said() {
    let home = Home::with("");
    std::fs::remove_file(home.file()).expect("removed");
    let (said, code) = home.run(&["edit"], &[("EDITOR", "true")]);
    assert_eq!((said.as_str(), code), ("my config.toml: not there; defaults are used\n", Some(0)));
    assert!(!home.file().exists());
    // An editor with arguments, as git takes it.
    let editor = [("VISUAL", "sed -i 's/^#tries = 3/tries = 300/'")];
    let (said, code) = home.run(&["edit"], &editor);
    assert!(said.contains("`300` is not a whole number from 1 to 100"), "{said}");
    assert_eq!(code, Some(2));
    assert!(std::fs::read_to_string(home.file()).expect("kept").contains("\ntries = 300\n"));
    let (said, code) = home.run(&["edit"], &[("EDITOR", "false")]);
    assert!(said.contains("failed to edit"), "{said}");
    assert_eq!(code, Some(125));
}

#[test]
fn a_message_that_could_not_be_checked_before_enter_is_refused() {
    let said =
        |text: &str| Home::with(&format!("[retry]\nmessage = \"{text}\"\n")).run(&["check"], &[]);
    assert_eq!(said(&"go on ".repeat(60)).1, Some(0));
    for long in ["go on ".repeat(200), "続けて".repeat(60)] {
        let (said, code) = said(&long);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("my config.toml:2: `retry.message`: is longer than"), "{said}");
    }
}
