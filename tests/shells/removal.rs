//! `init --uninstall` and `uninstall`: our lines, files and nothing else go.

use std::fs;

use crate::{Home, Said};

const RC: &str = "alias ll='ls -l'\neval \"$(claude-safe init bash)\"\nx=1\n";

impl Home {
    fn rc(&self) -> String {
        fs::read_to_string(self.dir.join(".bashrc")).expect("read")
    }

    fn state(&self) -> std::path::PathBuf {
        if cfg!(target_os = "macos") {
            self.dir.join("Library/Application Support/claude-safe")
        } else {
            self.dir.join(".local/state/claude-safe")
        }
    }
}

#[test]
fn lines_of_ours_are_shown_and_removed_only_after_a_yes() {
    let home = Home::new();
    Home::write(&home.dir.join(".bashrc"), RC);
    Home::write(&home.dir.join(".zshrc"), "if true; then eval \"$(claude-safe init zsh)\"; fi\n");
    Home::write(&home.dir.join(".config/fish/config.fish"), "claude-safe init fish | source\n");
    let said = home.ours(&["init", "--uninstall"]);
    assert!(said.out.contains(".bashrc:2: eval \"$(claude-safe init bash)\"\n"), "{said:?}");
    assert!(said.out.contains(".zshrc:1: ") && said.out.contains("yours to edit"), "{said:?}");
    assert!(said.out.ends_with("nothing was changed\n"), "{said:?}");
    assert_eq!((home.rc().as_str(), said.code), (RC, Some(0)));
    let said = home.ours(&["init", "--uninstall", "--yes"]);
    assert_eq!((&*said.err, said.code), ("", Some(0)), "{said:?}");
    assert_eq!(home.rc(), "alias ll='ls -l'\nx=1\n");
    let fish = fs::read_to_string(home.dir.join(".config/fish/config.fish")).expect("read");
    assert_eq!(fish, "");
    let zsh = fs::read_to_string(home.dir.join(".zshrc")).expect("read");
    assert!(zsh.contains("claude-safe init zsh"));
}

#[test]
fn uninstall_takes_shim_and_lines_the_state_on_request_and_backups_only_with_purge() {
    let home = Home::new();
    Home::write(&home.dir.join(".bashrc"), RC);
    home.ours(&["shim", "install"]);
    let state = home.state();
    for name in ["journal.jsonl", "log/a.log", "backups/1/manifest.json", "mine.txt"] {
        Home::write(&state.join(name), "");
    }
    let config = home.dir.join(".config/claude-safe/config.toml");
    Home::write(&config, "");
    let there = |name: &str| state.join(name).exists();

    let said = home.ours(&["uninstall"]);
    assert_eq!((home.rc().as_str(), said.code), (RC, Some(0)), "{said:?}");
    let said = home.ours(&["uninstall", "--yes"]);
    assert_eq!((&*said.err, said.code), ("", Some(0)), "{said:?}");
    assert_eq!(home.rc(), "alias ll='ls -l'\nx=1\n");
    assert!(said.out.contains("the program itself: "), "{said:?}");
    assert!(said.out.contains("(journal and logs: --state; backups too: --purge)"), "{said:?}");
    assert!(
        there("journal.jsonl") && home.ours(&["shim", "remove"]).out.starts_with("there is no")
    );

    let said = home.ours(&["uninstall", "--state", "--yes"]);
    assert!(said.out.contains("(backups: `claude-safe uninstall --purge`)"), "{said:?}");
    assert!(!there("journal.jsonl") && !there("log") && there("backups/1/manifest.json"));
    home.ours(&["uninstall", "--purge", "--yes"]);
    assert!(!there("backups") && there("mine.txt") && config.exists());
    assert!(home.claudes.join("claude").exists());
    let claude = home.dir.join("claude's/claude").display().to_string();
    assert_eq!(Said::of(&home.run(&claude, &["x"], &[])).out, "plain:<x>\n");
}

#[test]
fn state_is_not_removed_under_a_run_that_goes_on() {
    let home = Home::new();
    let journal = home.state().join("journal.jsonl");
    let entry = format!(
        "{{\"at\":\"{}\",\"run\":\"0badcafe\",\"event\":\"run_started\",\
         \"pid\":{},\"cwd\":\"/\",\"mode\":\"headless\",\"claude_version\":null,\"job\":null}}\n",
        jiff::Timestamp::now(),
        std::process::id()
    );
    Home::write(&journal, &entry);
    let said = home.ours(&["uninstall", "--state", "--yes"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("a run is going on"), "{said:?}");
    assert!(journal.exists());
}
