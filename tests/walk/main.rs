//! A stranger's walk, once in each of bash, zsh and fish: try claude-safe, install it, put it over
//! `claude`, work a day with it, live through an outage, and take it all away again. In a clean
//! home, in a real tmux, with the real Claude Code against the fake service. What the stranger
//! types about claude-safe is what README.md and docs/shells.md say, read from there.

#![allow(clippy::unwrap_used)]

mod day;
mod documents;
mod screens;
mod stranger;
mod svg;
mod window;

use crate::stranger::Shell;

#[test]
fn a_stranger_with_bash_comes_gets_through_an_outage_and_leaves_without_a_trace() {
    day::walk(Shell::Bash);
}

#[test]
fn a_stranger_with_zsh_comes_gets_through_an_outage_and_leaves_without_a_trace() {
    day::walk(Shell::Zsh);
}

#[test]
fn a_stranger_with_fish_comes_gets_through_an_outage_and_leaves_without_a_trace() {
    day::walk(Shell::Fish);
}
