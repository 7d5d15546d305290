//! What a `config.toml` says, key by key, each with its line. In: the file's text. Out: entries
//! and mistakes; whether a key exists and a value fits is asked of `keys`. Pure.

use std::collections::BTreeMap;

use serde::de::{Deserialize as _, IntoDeserializer as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::value::Kind;

/// No more mistakes of syntax are named than this: after the first, most are its echo.
const SYNTAX_MISTAKES: usize = 3;

/// A dotted key as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `retry.max_wait`; the profile is not part of it.
    pub name: String,
    /// The value as text that `keys::Key::check` reads, or why it is none.
    pub value: Result<String, String>,
    /// From 1.
    pub line: usize,
}

/// A `[[rules]]` table.
#[derive(Debug, Clone)]
pub(super) struct RuleEntry {
    pub table: toml::Table,
    pub lines: RuleLines,
}

/// Where a rule stands.
#[derive(Debug, Clone, Default)]
pub struct RuleLines {
    /// Of the rule, from 1.
    rule: usize,
    /// Of each of its fields.
    fields: BTreeMap<String, usize>,
}

impl RuleLines {
    /// The line a message about the rule means: of the field it names, else of the rule.
    pub(super) fn of(&self, message: &str) -> usize {
        // The words between backticks are every second part.
        let named = message.split('`').skip(1).step_by(2).find_map(|word| self.fields.get(word));
        *named.unwrap_or(&self.rule)
    }
}

/// A file taken apart.
#[derive(Debug, Default)]
pub(super) struct File {
    pub entries: Vec<Entry>,
    pub profiles: BTreeMap<String, Vec<Entry>>,
    pub rules: Vec<RuleEntry>,
    /// Line and message.
    pub problems: Vec<(usize, String)>,
}

impl File {
    /// Takes `text` apart. Where it is not TOML, there are only problems.
    pub(super) fn read(text: &str) -> Self {
        let mut reader = Reader { text, file: Self::default() };
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            reader.top(table.get_ref());
        } else {
            for error in errors.iter().take(SYNTAX_MISTAKES) {
                let line = reader.line(error.span().map_or(0, |span| span.start));
                reader.file.problems.push((line, error.message().trim_end().replace('\n', "; ")));
            }
        }
        reader.file
    }
}

struct Reader<'t> {
    text: &'t str,
    file: File,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let line = self.line(key.span().start);
            match (&**key.get_ref(), value.get_ref()) {
                ("rules", DeValue::Array(rules)) => rules.iter().for_each(|rule| self.rule(rule)),
                ("rules", _) => self.wrong(line, "`rules` are tables, each under `[[rules]]`"),
                ("profile", DeValue::Table(profiles)) => self.profiles(profiles),
                ("profile", _) => self.wrong(line, "a profile is a table: `[profile.NAME]`"),
                (name, _) => {
                    let mut entries = Vec::new();
                    self.flatten(name, key.span().start, value, &mut entries);
                    self.file.entries.extend(entries);
                }
            }
        }
    }

    fn wrong(&mut self, line: usize, message: &str) {
        self.file.problems.push((line, message.to_owned()));
    }

    fn profiles(&mut self, profiles: &DeTable<'_>) {
        for (name, profile) in profiles {
            let line = self.line(name.span().start);
            let DeValue::Table(table) = profile.get_ref() else {
                self.wrong(line, "a profile is a table: `[profile.NAME]`");
                continue;
            };
            let mut entries = Vec::new();
            for (key, value) in table {
                match &**key.get_ref() {
                    "rules" | "profile" => {
                        let line = self.line(key.span().start);
                        self.wrong(line, &format!("`{}` cannot be in a profile", key.get_ref()));
                    }
                    word => self.flatten(word, key.span().start, value, &mut entries),
                }
            }
            self.file.profiles.insert(name.get_ref().clone().into_owned(), entries);
        }
    }

    fn rule(&mut self, rule: &Spanned<DeValue<'_>>) {
        let line = self.line(rule.span().start);
        let DeValue::Table(fields) = rule.get_ref() else {
            return self.wrong(line, "`rules` are tables, each under `[[rules]]`");
        };
        let fields = fields
            .keys()
            .map(|key| (key.get_ref().clone().into_owned(), self.line(key.span().start)))
            .collect();
        match toml::Table::deserialize(rule.clone().into_deserializer()) {
            Ok(table) => {
                let lines = RuleLines { rule: line, fields };
                self.file.rules.push(RuleEntry { table, lines });
            }
            Err(error) => self.wrong(line, error.message()),
        }
    }

    /// `name` and all below it, except where `name` is a key, whose value is no table.
    fn flatten(
        &mut self,
        name: &str,
        start: usize,
        value: &Spanned<DeValue<'_>>,
        entries: &mut Vec<Entry>,
    ) {
        let line = self.line(start);
        let key = keys::find(name);
        match value.get_ref() {
            DeValue::Table(table) if key.is_none() => {
                if table.is_empty() && !keys::has_table(name) {
                    self.wrong(line, &format!("there is no table `{name}`"));
                }
                for (key, value) in table {
                    let name = format!("{name}.{}", key.get_ref());
                    self.flatten(&name, key.span().start, value, entries);
                }
            }
            value => {
                let value = as_text(value, key.map(|key| key.kind));
                entries.push(Entry { name: name.to_owned(), value, line });
            }
        }
    }
}

/// A TOML value as the text of a key of this kind.
fn as_text(value: &DeValue<'_>, kind: Option<Kind>) -> Result<String, String> {
    let plain = matches!(kind, Some(Kind::Text | Kind::Message | Kind::Path));
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Array(items) if matches!(kind, Some(Kind::List(_)) | None) => {
            let items: Result<Vec<&str>, String> = items.iter().map(|item| word(item)).collect();
            Ok(items?.join(", "))
        }
        DeValue::Boolean(value) if !plain => Ok(value.to_string()),
        DeValue::Integer(value) if !plain => i64::from_str_radix(value.as_str(), value.radix())
            .map(|number| number.to_string())
            .map_err(|_| format!("`{value}` is too large")),
        other => {
            let wanted = kind.map_or_else(|| "a value".to_owned(), Kind::allowed);
            Err(format!("{} where {wanted} is expected", named(other)))
        }
    }
}

fn word<'v>(item: &'v Spanned<DeValue<'_>>) -> Result<&'v str, String> {
    match item.get_ref() {
        DeValue::String(text) if text.contains(',') => {
            Err(format!("`{text}`: an item holds no comma"))
        }
        DeValue::String(text) => Ok(text),
        other => Err(format!("{} where a text is expected", named(other))),
    }
}

fn named(value: &DeValue<'_>) -> String {
    match value.type_str() {
        kind @ ("integer" | "array") => format!("an {kind}"),
        kind => format!("a {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, usize)> {
        let mut found: Vec<_> =
            File::read(text).entries.into_iter().map(|entry| (entry.name, entry.line)).collect();
        found.sort_by_key(|(_, line)| *line);
        found
    }

    #[test]
    fn every_way_to_write_a_key_has_its_line() {
        let text = "\
# retry.first_wait = \"1s\"
retry.\"first_wait\" = \"1s\"
rungs = { update = \"off\", api_key = \"off\" }

[ notify ] # a comment = with a sign
bell = [
  \"waiting\",
]
'osc' = \"9\"
[log]
level = \"\"\"
max_wait = 3\"\"\"
";
        let wanted = [
            ("retry.first_wait", 2),
            ("rungs.api_key", 3),
            ("rungs.update", 3),
            ("notify.bell", 6),
            ("notify.osc", 9),
            ("log.level", 11),
        ];
        assert_eq!(entries(text), wanted.map(|(name, line)| (name.to_owned(), line)));
    }

    #[test]
    fn a_message_about_a_rule_means_the_line_of_the_field_it_names() {
        let text = "\n[[rules]]\nid = 'a'\npattern = '('\n[[rules]]\nid = 'b'\n";
        let file = File::read(text);
        let lines: Vec<usize> = file
            .rules
            .iter()
            .map(|rule| rule.lines.of("rule `a`: `pattern`: unclosed group"))
            .collect();
        assert_eq!(lines, [4, 5]);
        let inline = File::read("rules = [\n { id = 'a' },\n { id = 'b' }, 3]\n");
        assert_eq!(inline.rules[1].lines.of("rule `b`: needs `pattern`"), 3);
        assert_eq!(inline.problems[0].0, 3);
    }

    #[test]
    fn values_of_the_wrong_type_say_what_is_expected() {
        let text = "claude.path = 3\nrungs.update = [\"on\"]\nretry.max_wait = {}\n\
                    notify.bell = [1]\ncache.paths = [\"a,b\"]\nretry.first_wait = 1979-05-27\n";
        let mut wrong: Vec<_> = File::read(text)
            .entries
            .into_iter()
            .map(|entry| (entry.line, entry.value.expect_err("wrong")))
            .collect();
        wrong.sort();
        let wrong: Vec<_> = wrong.iter().map(|(_, message)| message.as_str()).collect();
        assert_eq!(
            wrong,
            [
                "an integer where a path is expected",
                "an array where `on` or `off` is expected",
                "a table where a span of time is expected",
                "an integer where a text is expected",
                "`a,b`: an item holds no comma",
                "a datetime where a span of time is expected",
            ]
        );
    }

    #[test]
    fn misplaced_tables_are_named_with_their_line() {
        let text = "rules = 3\n[profile]\nnight = 1\n[profile.day.rules]\n[foo]\n";
        let mut problems = File::read(text).problems;
        problems.sort();
        let lines: Vec<usize> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 4, 5], "{problems:?}");
    }
}
