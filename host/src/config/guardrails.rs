//! Guardrails: `*.cedar` and `limits.toml` of one directory, read and refused as a whole.

use std::{collections::BTreeMap, path::Path, time::Duration};

use balm_core::{
    caps,
    configuration::{Bound, Filter, Guardrails, Limit, Scope},
    guard::Rules,
    name::PolicyName,
    target::Target,
};

use super::document::{self, Document, Mistakes, Section};

/// The name of the file with limits and bounds.
const LIMITS: &str = "limits.toml";

/// For how long a change is not taken back, where `limits.toml` does not say.
const OPPOSES_FOR: Duration = Duration::from_secs(10 * 60);

/// Read a directory. Without one nothing is permitted, which is no mistake.
pub(crate) fn read(dir: &Path, mistakes: &Mistakes) -> Guardrails {
    let mut guardrails = Guardrails { opposes_for_ms: millis(OPPOSES_FOR), ..Guardrails::default() };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let what = "cannot be read; the directory holds the rules (*.cedar) and limits.toml, and may be empty";
            mistakes.add(&dir.display().to_string(), 0, format!("{what}: {error}"));
            return guardrails;
        }
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    for name in names.into_iter().filter(|name| name.ends_with(".cedar")) {
        if let Some(text) = document::read(&dir.join(&name), mistakes) {
            guardrails.rules.insert(name, text);
        }
    }
    check_rules(dir, &guardrails.rules, mistakes);
    let limits = dir.join(LIMITS);
    if limits.exists()
        && let Some(text) = document::read(&limits, mistakes)
    {
        read_limits(&limits.display().to_string(), &text, &mut guardrails, mistakes);
    }
    guardrails
}

fn check_rules(dir: &Path, rules: &BTreeMap<String, String>, mistakes: &Mistakes) {
    for mistake in Rules::compile(rules).err().unwrap_or_default() {
        mistakes.add(&dir.join(&mistake.file).display().to_string(), mistake.line, mistake.message);
    }
}

fn read_limits(file: &str, text: &str, guardrails: &mut Guardrails, mistakes: &Mistakes) {
    let document = Document::parse(file, text, mistakes);
    let mut root = document.root();
    guardrails.limits = root.sections("limit").into_iter().filter_map(read_limit).collect();
    guardrails.bounds = root.sections("bound").into_iter().filter_map(read_bound).collect();
    if let Some(mut opposes) = root.section("opposes") {
        let day = Duration::from_secs(24 * 3600);
        if let Some(window) = opposes.duration("window", Duration::ZERO..=day) {
            guardrails.opposes_for_ms = millis(window.value);
        }
        opposes.end();
    }
    root.end();
}

fn read_limit(mut section: Section<'_>) -> Option<Limit> {
    let scopes = [
        ("everything", Scope::Everything),
        ("account", Scope::Account),
        ("policy", Scope::Policy),
        ("target", Scope::Target),
    ];
    let missing = |section: &Section<'_>, key: &str, what: &str| {
        section.mistake(section.line(), format_args!("{key} is missing: {what}"));
    };
    let has = section.has("scope");
    let scope = section.word("scope", &scopes);
    if !has {
        missing(&section, "scope", "what shares the count: everything, account, policy or target");
    }
    let has = section.has("count");
    let count = section.number("count", 0..=1_000_000);
    if !has {
        missing(&section, "count", "at most so many intents in the window");
    }
    let has = section.has("window");
    let window = section.duration("window", Duration::from_secs(1)..=Duration::from_secs(caps::LIMIT_WINDOW_MOST_S));
    if !has {
        missing(&section, "window", "the time in which they count, as in \"1h\"");
    }
    let only = read_filter(&mut section);
    section.end();
    let count = u32::try_from(count?.value).expect("the number is within bounds");
    Some(Limit { scope: scope?.value, only: only?, count, window_ms: millis(window?.value) })
}

fn read_bound(mut section: Section<'_>) -> Option<Bound> {
    let only = read_filter(&mut section);
    let mut number =
        |key, most| section.number(key, 0..=most).map(|at| u32::try_from(at.value).expect("within bounds"));
    let (minimum, maximum) = (number("minimum", 5_000), number("maximum", 5_000));
    let (step, step_percent) = (number("step", 5_000), number("step-percent", 10_000));
    let healthy_percent = number("healthy-percent", 100);
    let bound = Bound { only: only?, minimum, maximum, step, step_percent, healthy_percent };
    let says = [minimum, maximum, step, step_percent, healthy_percent].iter().any(Option::is_some);
    if !says {
        let keys = "minimum, maximum, step, step-percent or healthy-percent";
        section.mistake(section.line(), format_args!("a bound that bounds nothing: write at least one of {keys}"));
    }
    if let (Some(minimum), Some(maximum)) = (minimum, maximum)
        && minimum > maximum
    {
        section.mistake(section.line(), format_args!("minimum {minimum} is above maximum {maximum}"));
    }
    section.end();
    Some(bound)
}

fn read_filter(section: &mut Section<'_>) -> Option<Filter> {
    let action = section.text("action");
    if let Some(action) = &action
        && !balm_core::action::NAMES.contains(&action.value.as_str())
    {
        let known = balm_core::action::NAMES.join(", ");
        section.mistake(action.line, format_args!("{:?} is no action; there are {known}", action.value));
        return None;
    }
    let policy = section.text("policy").map(|policy| section.parse::<PolicyName>(&policy));
    let target = section.text("target").map(|target| section.parse::<Target>(&target));
    // A filter that was mistyped must not become one that covers everything.
    let policy = if let Some(policy) = policy { Some(policy?.value) } else { None };
    let target = if let Some(target) = target { Some(target?.value) } else { None };
    Some(Filter { action: action.map(|action| action.value), policy, target })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
