//! A configuration file as it was typed: sections and values that remember their line, and a list of all mistakes.
//!
//! It owns reading TOML so that every mistake of every file is told at once. It refuses to know what any key means.

use std::{cell::RefCell, collections::BTreeMap, fmt, ops::Range, path::Path, rc::Rc, str::FromStr, time::Duration};

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Something wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The file, as the user named it.
    pub(crate) file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub(crate) line: usize,
    /// What is wrong, and what to do.
    pub(crate) message: String,
}

/// `file:line: message`
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Where all mistakes of all files are collected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mistakes {
    mistakes: Rc<RefCell<Vec<Mistake>>>,
    warnings: Rc<RefCell<Vec<Mistake>>>,
}

impl Mistakes {
    /// What is allowed, and should not be.
    pub(crate) fn warn(&self, file: &str, line: usize, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Mistake { file: file.into(), line, message: message.into() });
    }

    /// All warnings, in the order of reading.
    pub(crate) fn take_warnings(&self) -> Vec<Mistake> {
        std::mem::take(&mut *self.warnings.borrow_mut())
    }

    pub(crate) fn add(&self, file: &str, line: usize, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(Mistake { file: file.into(), line, message: message.into() });
    }

    /// All of them, by file and line.
    pub(crate) fn take(&self) -> Vec<Mistake> {
        let mut mistakes = std::mem::take(&mut *self.mistakes.borrow_mut());
        sort(&mut mistakes);
        mistakes
    }
}

/// By file and line.
pub(super) fn sort(mistakes: &mut [Mistake]) {
    mistakes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
}

/// A file that was read.
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    table: DeTable<'a>,
    mistakes: Mistakes,
}

impl<'a> Document<'a> {
    /// Parse a text; every error of syntax is a mistake, and what could be read is kept.
    pub(crate) fn parse(file: &'a str, text: &'a str, mistakes: &Mistakes) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let table = table.into_inner();
        let document = Self { file, text, table, mistakes: mistakes.clone() };
        for error in errors {
            let line = error.span().map_or(0, |span| document.line(&span));
            mistakes.add(file, line, error.message());
        }
        document
    }

    /// The file's top level.
    pub(crate) fn root(&self) -> Section<'_> {
        Section { document: self, path: String::new(), line: 0, table: &self.table, known: Vec::new() }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.as_bytes().iter().take(span.start).filter(|c| **c == b'\n').count() + 1
    }
}

/// A table of a file. Every key that is asked for is known; [`Section::end`] makes a mistake of every other one.
pub(crate) struct Section<'a> {
    document: &'a Document<'a>,
    path: String,
    line: usize,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

/// A value with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) line: usize,
}

impl<'a> Section<'a> {
    /// The line of its header.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The file's name, for what is told later.
    pub(crate) fn file(&self) -> &'a str {
        self.document.file
    }

    /// A mistake in this section at a line.
    pub(crate) fn mistake(&self, line: usize, message: impl fmt::Display) {
        let place = if self.path.is_empty() { String::new() } else { format!("in [{}], ", self.path) };
        self.document.mistakes.add(self.document.file, line, format!("{place}{message}"));
    }

    /// A warning in this section at a line.
    pub(crate) fn warn(&self, line: usize, message: impl fmt::Display) {
        self.document.mistakes.warn(self.document.file, line, format!("in [{}], {message}", self.path));
    }

    fn get(&mut self, key: &'static str) -> Option<(&'a DeValue<'a>, usize)> {
        self.known.push(key);
        let value = self.table.get(key)?;
        Some((value.get_ref(), self.document.line(&value.span())))
    }

    fn wrong_type(&self, key: &str, line: usize, wanted: &str, found: &DeValue<'_>) {
        self.mistake(line, format_args!("{key} must be {wanted}, not {}", article(found.type_str())));
    }

    /// Whether a key is there, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let (value, line) = self.get(key)?;
        if let DeValue::String(text) = value {
            return Some(At { value: text.clone().into_owned(), line });
        }
        self.wrong_type(key, line, "a text", value);
        None
    }

    /// A text that must be there.
    pub(crate) fn needed_text(&mut self, key: &'static str, what: &str) -> Option<At<String>> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.mistake(self.line, format_args!("{key} is missing: {what}"));
            return None;
        }
        self.text(key)
    }

    /// A text that means something.
    pub(crate) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Option<At<T>> {
        let text = self.text(key)?;
        self.parse(&text)
    }

    /// The meaning of a text; a mistake if it has none.
    pub(crate) fn parse<T: FromStr<Err: fmt::Display>>(&self, text: &At<String>) -> Option<At<T>> {
        match text.value.parse() {
            Ok(value) => Some(At { value, line: text.line }),
            Err(error) => {
                self.mistake(text.line, error);
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        let text = self.text(key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(At { value: *value, line: text.line });
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.mistake(text.line, format_args!("{key} is {:?}; it must be one of {}", text.value, words.join(", ")));
        None
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, key: &'static str, within: std::ops::RangeInclusive<u64>) -> Option<At<u64>> {
        let (value, line) = self.get(key)?;
        let DeValue::Integer(integer) = value else {
            self.wrong_type(key, line, "a whole number", value);
            return None;
        };
        let number = i128::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok();
        match number.and_then(|number| u64::try_from(number).ok()).filter(|number| within.contains(number)) {
            Some(value) => Some(At { value, line }),
            None => {
                self.mistake(line, format_args!("{key} must be from {} to {}", within.start(), within.end()));
                None
            }
        }
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<At<bool>> {
        let (value, line) = self.get(key)?;
        if let DeValue::Boolean(value) = value {
            return Some(At { value: *value, line });
        }
        self.wrong_type(key, line, "true or false", value);
        None
    }

    /// A time, written as in `"90s"`, `"15m"`, `"1h"`, `"7d"` or `"500ms"`.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        within: std::ops::RangeInclusive<Duration>,
    ) -> Option<At<Duration>> {
        let text = self.text(key)?;
        match parse_duration(&text.value).filter(|duration| within.contains(duration)) {
            Some(value) => Some(At { value, line: text.line }),
            None => {
                let (least, most) = (show_duration(*within.start()), show_duration(*within.end()));
                let message = format!(
                    "{key} is {:?}; it must be a time from {least} to {most}, written as in \"90s\", \"15m\", \"1h\"",
                    text.value
                );
                self.mistake(text.line, message);
                None
            }
        }
    }

    /// A list of texts; a single text is a list of one.
    pub(crate) fn texts(&mut self, key: &'static str) -> Option<At<Vec<At<String>>>> {
        let (value, line) = self.get(key)?;
        self.texts_of(key, value, line).map(|value| At { value, line })
    }

    fn texts_of(&self, key: &str, value: &DeValue<'_>, line: usize) -> Option<Vec<At<String>>> {
        let one = |value: &DeValue<'_>, line| match value {
            DeValue::String(text) => Some(At { value: text.clone().into_owned(), line }),
            other => {
                self.wrong_type(key, line, "a list of texts", other);
                None
            }
        };
        match value {
            DeValue::Array(items) => {
                items.iter().map(|item| one(item.get_ref(), self.document.line(&item.span()))).collect()
            }
            other => one(other, line).map(|text| vec![text]),
        }
    }

    /// A table whose keys are free and whose values are lists of texts.
    pub(crate) fn free_texts(&mut self, key: &'static str) -> BTreeMap<String, Vec<String>> {
        let Some((value, line)) = self.get(key) else { return BTreeMap::new() };
        let DeValue::Table(table) = value else {
            self.wrong_type(key, line, "a table", value);
            return BTreeMap::new();
        };
        let texts = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let texts = self.texts_of(key, value.get_ref(), self.document.line(&value.span()))?;
            Some((name.get_ref().clone().into_owned(), texts.into_iter().map(|text| text.value).collect()))
        };
        table.iter().filter_map(texts).collect()
    }

    /// Any table, as JSON: what a plugin is told. TOML's dates become texts.
    pub(crate) fn json(&mut self, key: &'static str) -> Option<At<Value>> {
        let (value, line) = self.get(key)?;
        if !matches!(value, DeValue::Table(_)) {
            self.wrong_type(key, line, "a table", value);
            return None;
        }
        match to_json(value) {
            Ok(value) => Some(At { value, line }),
            Err(message) => {
                self.mistake(line, message);
                None
            }
        }
    }

    /// A table below this one.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let (value, line) = self.get(key)?;
        self.section_of(key, value, line)
    }

    fn section_of(&self, name: &str, value: &'a DeValue<'a>, line: usize) -> Option<Section<'a>> {
        let DeValue::Table(table) = value else {
            self.wrong_type(name, line, "a table", value);
            return None;
        };
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Some(Section { document: self.document, path, line, table, known: Vec::new() })
    }

    /// Tables with free names below this one: `[source.grafana]`, `[source.other]`.
    pub(crate) fn named_sections<N: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Vec<(N, Section<'a>)> {
        let Some(parent) = self.section(key) else { return Vec::new() };
        let named = |(name, value): (&'a Spanned<std::borrow::Cow<'a, str>>, &'a Spanned<DeValue<'a>>)| {
            let line = self.document.line(&name.span());
            let text = At { value: name.get_ref().clone().into_owned(), line };
            let section = parent.section_of(&text.value, value.get_ref(), line);
            Some((parent.parse::<N>(&text)?.value, section?))
        };
        parent.table.iter().filter_map(named).collect()
    }

    /// A list of tables below this one: `[[policy]]`.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some((value, line)) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value else {
            self.mistake(line, format_args!("{key} is a list: write [[{key}]]"));
            return Vec::new();
        };
        let section =
            |item: &'a Spanned<DeValue<'a>>| self.section_of(key, item.get_ref(), self.document.line(&item.span()));
        items.iter().filter_map(section).collect()
    }

    /// Every key that nobody asked for is a mistake.
    pub(crate) fn end(self) {
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let line = self.document.line(&key.span());
                let hint = closest(name, &self.known).map(|known| format!("; did you mean {known}?"));
                let known = || format!("; known here: {}", self.known.join(", "));
                self.mistake(line, format_args!("{name} is no key{}", hint.unwrap_or_else(known)));
            }
        }
    }
}

/// The known key that differs least, if it is nearly the same.
fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let distances = known.iter().map(|known| (distance(name, known), *known));
    distances.min().filter(|(distance, _)| *distance <= 2).map(|(_, known)| known)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.bytes().enumerate() {
            let here = (before + usize::from(from != to)).min(row[j] + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}

fn article(ty: &str) -> String {
    let vowel = ty.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {ty}", if vowel { "an" } else { "a" })
}

fn to_json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix());
            Value::from(number.map_err(|_| format!("{} is too large a number", integer.as_str()))?)
        }
        DeValue::Float(float) => {
            let number: Option<f64> = float.as_str().replace('_', "").parse().ok();
            let number = number.and_then(serde_json::Number::from_f64);
            Value::Number(number.ok_or_else(|| format!("{} cannot be told to a plugin", float.as_str()))?)
        }
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| to_json(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let pair = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                Ok::<_, String>((name.get_ref().clone().into_owned(), to_json(value.get_ref())?))
            };
            Value::Object(table.iter().map(pair).collect::<Result<_, _>>()?)
        }
    })
}

/// A time as people write it: `90s`, `15m`, `30d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

/// The shortest way to write a time.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let (unit, name) = units.into_iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit)).unwrap_or((1, "ms"));
    format!("{}{name}", ms / unit)
}

/// Read a file's text; a file that cannot be read is a mistake.
pub(crate) fn read(path: &Path, mistakes: &Mistakes) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            mistakes.add(&path.display().to_string(), 0, format!("cannot be read: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once_with_its_line() {
        let mistakes = Mistakes::default();
        let text = "name = 7\nlimt = 3\n\n[[policy]]\nwindow = \"soon\"\ncount = 0\n\n[other]\nx = 1\n";
        let document = Document::parse("balm.toml", text, &mistakes);
        let mut root = document.root();
        assert_eq!(root.text("name"), None);
        assert_eq!(root.number("limit", 1..=9), None);
        for mut policy in root.sections("policy") {
            policy.duration("window", Duration::from_secs(1)..=Duration::from_secs(60));
            policy.number("count", 1..=9);
            policy.end();
        }
        root.end();
        let told: Vec<String> = mistakes.take().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "balm.toml:1: name must be a text, not an integer",
                "balm.toml:2: limt is no key; did you mean limit?",
                "balm.toml:5: in [policy], window is \"soon\"; it must be a time from 1s to 1m, written as in \"90s\", \"15m\", \"1h\"",
                "balm.toml:6: in [policy], count must be from 1 to 9",
                "balm.toml:8: other is no key; known here: name, limit, policy",
            ]
        );
    }

    #[test]
    fn an_error_of_syntax_hides_no_other_mistake() {
        let mistakes = Mistakes::default();
        let document = Document::parse("balm.toml", "a = \nb = 1\nc = \"x\n", &mistakes);
        let mut root = document.root();
        root.text("b");
        root.end();
        let lines: Vec<usize> = mistakes.take().iter().map(|mistake| mistake.line).collect();
        for line in [1, 2, 3] {
            assert!(lines.contains(&line), "{lines:?}");
        }
    }

    #[test]
    fn times_are_read_in_any_unit_and_written_in_the_largest() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("15m", 900_000), ("1h", 3_600_000), ("7d", 604_800_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)));
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
        for wrong in ["", "5", "s", "-1s", "1.5h", "1 h", "99999999999999999999d", "9999999999999999d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn settings_keep_their_shape() {
        let mistakes = Mistakes::default();
        let text = "[settings]\nmaximum = 12\nshare = 0.5\nnames = [\"a\", \"b\"]\n[settings.deep]\non = true\n";
        let document = Document::parse("web.toml", text, &mistakes);
        let settings = document.root().json("settings").expect("a table").value;
        let wanted = serde_json::json!({"maximum": 12, "share": 0.5, "names": ["a", "b"], "deep": {"on": true}});
        assert_eq!(settings, wanted);
    }
}
