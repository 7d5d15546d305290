//! The night's tasks of the queue, as rows. In: what came of each. Out: a table as text, as
//! part of the page, and as JSON. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::html::escaped;
use super::words::{aligned, printable, span};

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskRow {
    /// `q7`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub state: &'static str,
    /// Why it stands there, if that needs words.
    pub why: Option<String>,
    /// How long it ran (milliseconds).
    pub worked_ms: u64,
    /// What it cost (US dollars).
    pub spent_usd: f64,
    /// What it changed in its worktree.
    pub changes: Option<String>,
    /// Its runs, as the report calls them.
    pub runs: Vec<String>,
}

impl TaskRow {
    fn state(&self) -> String {
        self.state.replace('_', " ")
    }

    fn spent(&self) -> String {
        format!("${:.2}", self.spent_usd)
    }
}

/// The tasks as text; nothing without any.
#[must_use]
pub fn text(tasks: &[TaskRow]) -> String {
    if tasks.is_empty() {
        return String::new();
    }
    let mut rows =
        vec![["TASKS", "", "STATE", "WORKED", "SPENT", "CHANGES", "RUNS", ""].map(str::to_owned)];
    for task in tasks {
        rows.push([
            task.id.clone(),
            printable(&task.name),
            task.state(),
            span(task.worked_ms),
            task.spent(),
            task.changes.clone().unwrap_or_default(),
            task.runs.join(" "),
            task.why.as_deref().map(printable).unwrap_or_default(),
        ]);
    }
    aligned(&rows)
}

/// The tasks as a section of the page, each linked to its runs; `shown` are those on it.
pub(super) fn section(page: &mut String, tasks: &[TaskRow], shown: &dyn Fn(&str) -> bool) {
    if tasks.is_empty() {
        return;
    }
    page.push_str(
        "<section aria-labelledby=\"tasks\">\n<h2 id=\"tasks\">Tasks</h2>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of tasks\">\n\
         <table>\n<thead><tr><th scope=\"col\">Task</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Worked</th><th scope=\"col\">Spent</th><th scope=\"col\">Changes</th>\
         <th scope=\"col\">Runs</th></tr></thead>\n<tbody>\n",
    );
    for task in tasks {
        let runs: Vec<String> = task
            .runs
            .iter()
            .map(|run| {
                let run = escaped(run);
                if shown(&run) { format!("<a href=\"#run-{run}\">{run}</a>") } else { run }
            })
            .collect();
        let why = task.why.as_ref().map(|why| format!(": {}", escaped(why))).unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr><td>{} {}</td><td>{}{why}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            task.id,
            escaped(&task.name),
            task.state(),
            span(task.worked_ms),
            task.spent(),
            escaped(task.changes.as_deref().unwrap_or("\u{2013}")),
            runs.join(" "),
        );
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_linked_to_the_runs_that_are_shown_and_no_name_becomes_markup() {
        let row = TaskRow {
            id: "q7".into(),
            name: "<b>fix</b>".into(),
            state: "needs_you",
            why: Some("its budget is spent".into()),
            worked_ms: 60_000,
            spent_usd: 1.5,
            changes: None,
            runs: vec!["aaaa".into(), "bbbb".into()],
        };
        let mut page = String::new();
        section(&mut page, &[], &|_| true);
        assert!(page.is_empty() && text(&[]).is_empty());
        section(&mut page, std::slice::from_ref(&row), &|run| run == "bbbb");
        for part in
            ["&lt;b&gt;fix", "needs you: its budget", "aaaa <a href=\"#run-bbbb\">", "$1.50"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(text(&[row]).contains("needs you"));
    }
}
