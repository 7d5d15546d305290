//! What the documents tell a stranger to type. In: README.md and docs/shells.md as they are.
//! Out: commands and lines. A document that no longer says so fails the walk.

use std::fs;
use std::path::Path;

use crate::stranger::Shell;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The lines of the first `sh` block under a heading of the README: command and comment.
fn block(heading: &str) -> Vec<(String, String)> {
    let readme = document("README.md");
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let (_, block) = section.split_once("```sh\n").expect("a block under the heading");
    let (block, _) = block.split_once("```").expect("its end");
    let parts = |line: &str| {
        let (command, comment) = line.split_once("  #").unwrap_or((line, ""));
        (command.trim().to_owned(), comment.trim().to_owned())
    };
    block.lines().map(parts).collect()
}

/// What follows `cargo run --release --` in the README's first command.
pub fn first_command() -> String {
    let (command, _) = block("Two commands").remove(0);
    let arguments = command.strip_prefix("cargo run --release -- ");
    arguments.unwrap_or_else(|| panic!("the first command is {command:?}")).to_owned()
}

/// The command that installs.
pub fn install_command() -> String {
    let (command, _) = block("Install").remove(0);
    assert!(command.starts_with("cargo install "), "{command}");
    command
}

/// The line for the shell's own start file, and that file below the home.
pub fn start_line(shell: Shell) -> (String, String) {
    let row = |line: &str| {
        let line = line.replace(r"\|", "\0");
        let cells = line.split('|').map(|cell| cell.trim().trim_matches('`').replace('\0', "|"));
        cells.collect::<Vec<_>>()
    };
    let table = document("docs/shells.md");
    let mut rows = table.lines().map(row);
    let found = rows.find(|cells| cells.get(1).is_some_and(|name| name == shell.program()));
    let [_, _, file, line, _] = found.expect("a row for the shell").try_into().unwrap();
    // the README says the same, but for zsh, which it says is as bash
    let (readme, comment) = match shell {
        Shell::Bash => block("Install").remove(1),
        Shell::Zsh => {
            let (command, comment) = block("Install").remove(1);
            assert!(comment.contains("zsh likewise"), "{comment}");
            (command.replace("bash", "zsh"), comment.replace("bash", "zsh"))
        }
        Shell::Fish => block("Install").remove(2),
    };
    assert_eq!(readme, line);
    // the second is for macOS
    let file = file.split('`').next().unwrap_or_default().to_owned();
    assert!(comment.contains(&file), "{comment} is not {file}");
    (line, file.strip_prefix("~/").expect("below the home").to_owned())
}

/// The command that shows, and after a yes removes, everything outside the program itself.
pub fn uninstall_command() -> String {
    let readme = document("README.md").replace('\n', " ");
    assert!(readme.contains("`claude-safe uninstall` takes all of it away"));
    "claude-safe uninstall".to_owned()
}
