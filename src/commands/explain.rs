//! `claude-safe explain RUN|FILE`: why a run decided as it did, or what a terminal recording, a
//! result or an output would have been taken for. In: the journal, or a file. Out: sentences.

pub(super) mod material;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::ZonedDateTime;

use super::log::entries_of;
use super::report::style;
use crate::claude::rules::Classified;
use crate::error::Usage;
use crate::report::{Style, explained, words, wrapped};
use crate::watch::{InputBox, Look, Panel, Placeholder, Screen, Title, by_screen};
use crate::{journal, paths};
use material::{Material, Signed, rules_in_use};

/// Options of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe explain last                    the newest run's whole climb
  claude-safe explain 0badcafe                that run's
  claude-safe explain failed-80x24.ansi       what a recorded screen would be taken for
  claude -p hi --output-format json >r.json; claude-safe explain ./r.json")]
pub struct Args {
    /// A run (its id, the beginning of it, `last`) or a file
    #[arg(value_name = "RUN|FILE")]
    what: PathBuf,
    /// The size of the recorded terminal (default: from the file's name, else 80x24)
    #[arg(long, value_name = "COLUMNSxROWS")]
    size: Option<String>,
    /// How Claude was signed in, for a file
    #[arg(long, value_enum, default_value_t = Signed::Expired)]
    sign_in: Signed,
}

/// Explains.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let style = style();
    let name = args.what.to_string_lossy();
    let id = name == "last" || (name.len() <= 8 && name.bytes().all(|c| c.is_ascii_hexdigit()));
    let page = if id && !args.what.exists() {
        of_run(&name, &style)?
    } else {
        match Material::read(&args.what, args.size.as_deref()) {
            Err(material::Error::Missing(_)) if !name.contains('/') => {
                let text =
                    format!("there is neither a run nor a file `{}`", words::printable(&name));
                return Err(Usage(text).into());
            }
            other => of_file(other.map_err(Usage::from)?, args, &style),
        }
    };
    write!(std::io::stdout().lock(), "{page}").context("failed to write the explanation")?;
    Ok(ExitCode::SUCCESS)
}

fn of_run(name: &str, style: &Style) -> anyhow::Result<String> {
    let entries = entries_of(name, &journal::read(&paths::state_dir()))?;
    let mut page = String::new();
    for (head, reasons) in explained(&entries, &style.zone) {
        page.push_str(&head);
        page.push('\n');
        for reason in reasons {
            for (index, line) in wrapped(&reason, style.width.saturating_sub(12)).iter().enumerate()
            {
                page.push_str(if index == 0 { "          - " } else { "            " });
                page.push_str(line);
                page.push('\n');
            }
        }
    }
    Ok(page)
}

fn of_file(material: Material, args: &Args, style: &Style) -> String {
    let rules = rules_in_use();
    let now = ZonedDateTime::now();
    let sign_in = args.sign_in;
    let sentences = match material {
        Material::Recording { bytes, rows, columns } => {
            let mut screen = Screen::new(rows, columns);
            screen.feed(&bytes);
            let look = screen.look();
            let found = by_screen(&look, |text| {
                rules.classify(&material::observation_of_screen(text, sign_in, &now))
            });
            let mut sentences = vec![format!("A terminal recording of {columns}x{rows}.")];
            sentences.extend(seen(&look));
            sentences.extend(match found {
                Some(found) => verdict(&found),
                None => vec![screen_alone(&look).to_owned()],
            });
            sentences
        }
        Material::Result(result) if result["is_error"] != true => {
            vec!["A result without an error: no failure. Such a run stands as it is.".to_owned()]
        }
        other => {
            let place = other.places()[0];
            let text = other.text();
            let errors = other.errors();
            let observation = other.observation(place, &text, &errors, sign_in, &now);
            let head = match other {
                Material::Result(_) => "A failing result of a headless run.",
                _ => {
                    "What a headless run printed. It counts only if the run failed (an exit code \
                     other than 0, 129, 130, 143): a model's answer may quote an error."
                }
            };
            let mut sentences = vec![head.to_owned()];
            sentences.extend(match rules.classify(&observation) {
                Some(found) => verdict(&found),
                None => vec![not_known(&rules.matching(&observation))],
            });
            sentences
        }
    };
    let lines = sentences.iter().flat_map(|sentence| wrapped(sentence, style.width));
    lines.fold(String::new(), |page, line| page + &line + "\n")
}

fn not_known(matching: &[&crate::claude::rules::Rule]) -> String {
    match matching.first() {
        Some(rule) => format!(
            "Rule {} says that this is no failure, so nothing is done; Claude's own end stands.",
            rule.id
        ),
        None => "No rule knows it, so nothing is done: Claude's own end stands, and the words are \
                 kept for `claude-safe rules learn`."
            .to_owned(),
    }
}

fn verdict(found: &Classified) -> Vec<String> {
    let kind = words::kind(found.kind.name());
    let status = found.status.map(|status| format!(" (status {status})")).unwrap_or_default();
    let (rule, place) = (&found.evidence.rule, words::source(found.evidence.source));
    let mut sentences = vec![format!(
        "Taken for: {kind}{status}, class {}, because of {place}, by rule {rule}.",
        found.kind.name()
    )];
    if !found.evidence.excerpt.is_empty() {
        let excerpt = words::printable(&found.evidence.excerpt);
        sentences.push(format!("The words that matched: \"{excerpt}\"."));
    }
    sentences
}

/// What a look at the screen told.
fn seen(look: &Look) -> Vec<String> {
    let title = match look.title {
        Title::Busy => "The title says that a turn is running.",
        Title::Idle => "The title says that Claude is idle.",
        Title::Unknown => "The title says nothing.",
    };
    let input = match &look.input {
        InputBox::Empty => "The input box is empty.",
        InputBox::Placeholder(Placeholder::Resend) => {
            "The input box asks to resend the message: the turn failed with a fault that may pass."
        }
        InputBox::Placeholder(Placeholder::OnceFixed) => {
            "The input box asks to resend once something is fixed."
        }
        InputBox::Placeholder(Placeholder::RunRewind) => "The input box names /rewind.",
        InputBox::Undimmed(_) => "The input box shows a hint, or the same words typed by someone.",
        InputBox::Placeholder(Placeholder::Other) => "The input box holds a suggestion.",
        InputBox::Draft { .. } => "The input box holds a draft, which nothing of ours may touch.",
        InputBox::Absent => "There is no input box.",
    };
    let panel = match &look.panel {
        None => None,
        Some(Panel::LoginMethod) => Some("The login menu is open."),
        Some(Panel::LoginPaste) => Some("Claude waits for a sign-in code."),
        Some(Panel::LoginRunning) => Some("A sign-in is being completed."),
        Some(Panel::LoginFailed(_)) => Some("A sign-in has failed."),
        Some(Panel::LoginDone) => Some("A sign-in has succeeded."),
        Some(Panel::LimitMenu) => Some("The usage limit's menu is open."),
        Some(Panel::Permission) => Some("A permission dialog is open; no key is ever sent to it."),
        Some(Panel::Trust) => Some("The trust dialog is open; no key is ever sent to it."),
        Some(Panel::Menu) => Some("A menu is open."),
    };
    let busy = look.is_busy().then_some("Claude is busy, so nothing on the screen counts.");
    [Some(title), Some(input), panel, busy].into_iter().flatten().map(str::to_owned).collect()
}

fn screen_alone(look: &Look) -> &'static str {
    let once_fixed = matches!(look.input, InputBox::Placeholder(Placeholder::OnceFixed));
    if once_fixed && !look.is_busy() {
        "Needs another witness: the turn failed, but the screen alone does not tell why. The \
         failure hook and the transcript do."
    } else {
        "Taken for: no failure. Text on the screen alone never starts an action; a failed turn \
         would be told by the failure hook and the transcript."
    }
}
