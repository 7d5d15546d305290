//! A worktree and a branch for one task, made by `git worktree`. In: the task's directory.
//! Out: a directory of its own. Never removed while it holds a change or a commit.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs git; its words, or why it refused.
fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().next().unwrap_or("it failed").trim();
        return Err(format!("git {}: {line}", args.first().unwrap_or(&"")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Makes the worktree, or finds the one an earlier start made. Its directory, and the commit it
/// began with.
pub fn make(
    state_dir: &Path,
    dir: &Path,
    job: &str,
    base: &str,
) -> Result<(PathBuf, String), String> {
    let top = git(dir, &["rev-parse", "--show-toplevel"])
        .map_err(|wrong| format!("{} cannot have a worktree: {wrong}", dir.display()))?;
    let repository = Path::new(&top).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let trees = state_dir.join("worktrees");
    crate::paths::private_dir(&trees).map_err(|error| format!("{}: {error}", trees.display()))?;
    let tree = trees.join(format!("{repository}-{job}"));
    let base = if base.is_empty() { "HEAD" } else { base };
    let commit = git(dir, &["rev-parse", "--verify", &format!("{base}^{{commit}}")])?;
    if !tree.join(".git").exists() {
        let branch = branch(job);
        let path = tree.to_string_lossy();
        let known =
            git(dir, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")])
                .is_ok();
        if known {
            git(dir, &["worktree", "add", "--quiet", "--force", &path, &branch])?;
        } else {
            git(dir, &["worktree", "add", "--quiet", "-b", &branch, &path, &commit])?;
        }
    }
    Ok((tree, commit))
}

/// The branch of a task's worktree.
#[must_use]
pub fn branch(job: &str) -> String {
    format!("claude-safe/{job}")
}

/// What was changed since the worktree began, for people: `+120 −14`.
#[must_use]
pub fn changes(tree: &Path, base: &str) -> Option<String> {
    // What is new and not yet known to git counts too.
    let new = git(tree, &["ls-files", "--others", "--exclude-standard"]).ok()?;
    let stat = git(tree, &["diff", "--numstat", base]).ok()?;
    let (mut added, mut removed) = (0_u64, 0_u64);
    for line in stat.lines() {
        let mut columns = line.split('\t').map(|column| column.parse::<u64>().unwrap_or(0));
        added += columns.next().unwrap_or(0);
        removed += columns.next().unwrap_or(0);
    }
    let files = new.lines().count();
    let new = if files > 0 { format!(", {files} new") } else { String::new() };
    (added + removed > 0 || files > 0).then(|| format!("+{added} \u{2212}{removed}{new}"))
}

/// Removes a worktree and its branch if they hold nothing: whether they did.
pub fn remove_unused(tree: &Path, base: &str) -> Result<bool, String> {
    if !tree.exists() {
        return Ok(true);
    }
    let clean = git(tree, &["status", "--porcelain"])?.is_empty();
    let head = git(tree, &["rev-parse", "HEAD"])?;
    if !clean || head != base {
        return Ok(false);
    }
    let branch = git(tree, &["rev-parse", "--abbrev-ref", "HEAD"])?;
    let common = git(tree, &["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
    let path = tree.to_string_lossy();
    git(Path::new(&common), &["worktree", "remove", &path])?;
    if branch.starts_with("claude-safe/") {
        git(Path::new(&common), &["branch", "--quiet", "-D", &branch])?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for args in [
            &["init", "--quiet", "-b", "main"][..],
            &[
                "-c",
                "user.name=x",
                "-c",
                "user.email=x@x.invalid",
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                "x",
            ],
        ] {
            git(dir.path(), args).expect("git works");
        }
        dir
    }

    #[test]
    fn a_worktree_is_made_once_told_of_and_removed_only_while_it_holds_nothing() {
        let (repository, state) = (repository(), tempfile::tempdir().expect("a directory"));
        let make = || make(state.path(), repository.path(), "q7-0bad", "main").expect("it is made");
        let (tree, base) = make();
        assert_eq!(make(), (tree.clone(), base.clone()), "a second start finds it");
        assert_eq!(
            git(&tree, &["rev-parse", "--abbrev-ref", "HEAD"]).expect("a branch"),
            branch("q7-0bad")
        );
        assert_eq!(changes(&tree, &base), None);
        std::fs::write(tree.join("new.txt"), "one\ntwo\n").expect("written");
        assert_eq!(changes(&tree, &base).as_deref(), Some("+0 \u{2212}0, 1 new"));
        assert_eq!(remove_unused(&tree, &base), Ok(false));
        assert!(tree.join("new.txt").exists());
        std::fs::remove_file(tree.join("new.txt")).expect("removed");
        assert_eq!(remove_unused(&tree, &base), Ok(true));
        assert!(!tree.exists());
        assert!(
            git(
                repository.path(),
                &["rev-parse", "--verify", "--quiet", "refs/heads/claude-safe/q7-0bad"]
            )
            .is_err()
        );
        // Removed, and asked for again.
        make();
    }

    #[test]
    fn what_is_no_repository_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let wrong = make(dir.path(), dir.path(), "q1-x", "").expect_err("no repository");
        assert!(
            wrong.contains("cannot have a worktree") && wrong.contains("not a git repository"),
            "{wrong}"
        );
    }
}
