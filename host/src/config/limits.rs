//! `limits.toml`: how much, how often and when, beside the rules that say who and what.

use std::time::Duration;

use balm_core::{
    breaker::{Breaker, BreakerScope},
    caps,
    configuration::{Bound, Filter, Guardrails, Limit, Scope, Since, Window},
    freeze::Zone,
    name::PolicyName,
    storm::{Slow, Storm, Threshold},
    swings::Conflicts,
    target::Target,
};

use super::{
    document::{At, Document, Mistakes, Section, parse_duration},
    freezes,
};

/// For how long a change is not taken back, where the file does not say.
const OPPOSES_FOR: Duration = Duration::from_secs(10 * 60);

/// In how many times as long a target may not be turned around more often than `reversals`, where the file does not say.
/// An operator who lets changes be taken back at once then lets a target swing.
const REVERSALS_WITHIN: u32 = 6;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What holds where there is no file, or where it says nothing.
pub(super) fn without_a_file() -> Guardrails {
    let conflicts = Conflicts { reversals_within_ms: millis(OPPOSES_FOR * REVERSALS_WITHIN), ..Conflicts::default() };
    Guardrails { opposes_for_ms: millis(OPPOSES_FOR), conflicts, ..Guardrails::default() }
}

/// Read the text of the file into guardrails.
pub(super) fn read(file: &str, text: &str, guardrails: &mut Guardrails, mistakes: &Mistakes) {
    let document = Document::parse(file, text, mistakes);
    let mut root = document.root();
    guardrails.limits = root.sections("limit").into_iter().filter_map(read_limit).collect();
    guardrails.bounds = root.sections("bound").into_iter().filter_map(read_bound).collect();
    guardrails.breakers = root.sections("breaker").into_iter().filter_map(read_breaker).collect();
    if let Some(zone) = root.parsed::<Zone>("zone") {
        guardrails.zone = zone.value;
    }
    let zone = guardrails.zone.clone();
    let freezes = root.sections("freeze").into_iter().filter_map(|section| freezes::read(section, &zone));
    guardrails.freezes = freezes.collect();
    if let Some(mut opposes) = root.section("opposes") {
        if let Some(window) = opposes.duration("window", Duration::ZERO..=DAY) {
            guardrails.opposes_for_ms = millis(window.value);
            guardrails.conflicts.reversals_within_ms = millis(window.value * REVERSALS_WITHIN);
        }
        opposes.end();
    }
    if let Some(section) = root.section("conflicts") {
        read_conflicts(section, &mut guardrails.conflicts);
    }
    guardrails.storm = root.section("storm").and_then(read_storm);
    if let Some(mut release) = root.section("release") {
        if let Some(people) = small(&mut release, "people", 1..=9) {
            guardrails.release.people = people;
        }
        release.end();
    }
    root.end();
}

fn read_limit(mut section: Section<'_>) -> Option<Limit> {
    let scopes = [
        ("everything", Scope::Everything),
        ("account", Scope::Account),
        ("service", Scope::Service),
        ("policy", Scope::Policy),
        ("target", Scope::Target),
    ];
    let scope = needed(&mut section, "scope", "what shares the count: everything, account, service, policy or target");
    let scope = scope.and_then(|()| section.word("scope", &scopes));
    let count = needed(&mut section, "count", "at most so many intents in the window");
    let count = count.and_then(|()| small(&mut section, "count", 0..=1_000_000));
    let window = needed(&mut section, "window", "in which they count: a time as in \"1h\", \"episode\" or \"at-once\"");
    let window = window.and_then(|()| read_window(&mut section));
    let since = section.word("from", &[("start", Since::Start), ("end", Since::End)]);
    let window = match (window, since) {
        (Some(Window::Time(ms, _)), Some(since)) => Some(Window::Time(ms, since.value)),
        (Some(Window::Episode | Window::AtOnce), Some(since)) => {
            section.mistake(since.line, "from is for a window that is a time");
            None
        }
        (window, None) => window,
        (None, Some(_)) => None,
    };
    let only = read_filter(&mut section);
    section.end();
    Some(Limit { scope: scope?.value, only: only?, count: count?, window: window? })
}

fn read_window(section: &mut Section<'_>) -> Option<Window> {
    let At { value, line } = section.text("window")?;
    match value.as_str() {
        "episode" => return Some(Window::Episode),
        "at-once" => return Some(Window::AtOnce),
        _ => {}
    }
    let within = Duration::from_secs(1)..=Duration::from_secs(caps::LIMIT_WINDOW_MOST_S);
    let time = parse_duration(&value).filter(|time| within.contains(time));
    if time.is_none() {
        let words = "a time from 1s to 7d, written as in \"90s\", \"15m\", \"1h\"; or \"episode\" or \"at-once\"";
        section.mistake(line, format_args!("window is {value:?}; it must be {words}"));
    }
    time.map(|time| Window::of_ms(millis(time)))
}

fn read_bound(mut section: Section<'_>) -> Option<Bound> {
    let only = read_filter(&mut section);
    let mut number = |key, most| small(&mut section, key, 0..=most);
    let (minimum, maximum) = (number("minimum", 5_000), number("maximum", 5_000));
    let (step, step_percent) = (number("step", 5_000), number("step-percent", 10_000));
    let (healthy_percent, healthy_minimum) = (number("healthy-percent", 100), number("healthy-minimum", 5_000));
    let (changing, changing_percent) = (number("changing", 1_000_000), number("changing-percent", 100));
    let all = [minimum, maximum, step, step_percent, healthy_percent, healthy_minimum, changing, changing_percent];
    if all.iter().all(Option::is_none) {
        let keys =
            "minimum, maximum, step, step-percent, healthy-percent, healthy-minimum, changing or changing-percent";
        section.mistake(section.line(), format_args!("a bound that bounds nothing: write at least one of {keys}"));
    }
    if let (Some(minimum), Some(maximum)) = (minimum, maximum)
        && minimum > maximum
    {
        section.mistake(section.line(), format_args!("minimum {minimum} is above maximum {maximum}"));
    }
    section.end();
    Some(Bound {
        only: only?,
        minimum,
        maximum,
        step,
        step_percent,
        healthy_percent,
        healthy_minimum,
        changing,
        changing_percent,
    })
}

fn read_breaker(mut section: Section<'_>) -> Option<Breaker> {
    let scopes =
        [("everything", BreakerScope::Everything), ("policy", BreakerScope::Policy), ("target", BreakerScope::Target)];
    let scope = needed(&mut section, "scope", "what is halted: everything, policy or target");
    let scope = scope.and_then(|()| section.word("scope", &scopes));
    let after = needed(&mut section, "after", "so many intents that end badly in a row");
    let after = after.and_then(|()| small(&mut section, "after", 1..=1_000));
    section.end();
    Some(Breaker { scope: scope?.value, after: after? })
}

fn read_conflicts(mut section: Section<'_>, conflicts: &mut Conflicts) {
    if let Some(reversals) = small(&mut section, "reversals", 0..=caps::REVERSALS as u64) {
        conflicts.reversals = reversals;
    }
    if let Some(within) = section.duration("reversals-within", Duration::ZERO..=DAY * 7) {
        conflicts.reversals_within_ms = millis(within.value);
    }
    if let Some(recurrences) = small(&mut section, "recurrences", 1..=1_000) {
        conflicts.recurrences = recurrences;
    }
    section.end();
}

fn read_storm(mut section: Section<'_>) -> Option<Storm> {
    let longest = Duration::from_secs(caps::STORM_WINDOW_MOST_S);
    let window = needed(&mut section, "window", "what alerts within this time alerts at once, as in \"5m\"");
    let window = window.and_then(|()| section.duration("window", Duration::from_secs(1)..=longest));
    let most = caps::TARGETS_ALERTING as u64;
    let slow = Threshold {
        targets: small(&mut section, "slow-from-targets", 1..=most),
        accounts: small(&mut section, "slow-from-accounts", 1..=1_000),
    };
    let stop = Threshold {
        targets: small(&mut section, "stop-from-targets", 1..=most),
        accounts: small(&mut section, "stop-from-accounts", 1..=1_000),
    };
    let count = small(&mut section, "slow-count", 0..=1_000_000);
    if slow.is_never() != count.is_none() {
        let keys = "slow-count goes with slow-from-targets, slow-from-accounts or both";
        section.mistake(section.line(), keys);
    }
    if slow.is_never() && stop.is_never() {
        let keys = "slow-from-targets, slow-from-accounts, stop-from-targets or stop-from-accounts";
        section.mistake(section.line(), format_args!("a brake that never brakes: write at least one of {keys}"));
    }
    section.end();
    let slow = count.map(|count| Slow { from: slow, count });
    Some(Storm { window_ms: millis(window?.value), slow, stop })
}

pub(super) fn read_filter(section: &mut Section<'_>) -> Option<Filter> {
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

/// A key that must be there; a mistake if it is not.
pub(super) fn needed(section: &mut Section<'_>, key: &str, what: &str) -> Option<()> {
    if section.has(key) {
        return Some(());
    }
    section.mistake(section.line(), format_args!("{key} is missing: {what}"));
    None
}

/// A number that fits into 32 bits.
fn small(section: &mut Section<'_>, key: &'static str, within: std::ops::RangeInclusive<u64>) -> Option<u32> {
    let number = section.number(key, within)?;
    Some(u32::try_from(number.value).expect("the number is within bounds"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Guardrails, Vec<String>) {
        let mistakes = Mistakes::default();
        let mut guardrails = without_a_file();
        read("limits.toml", text, &mut guardrails, &mistakes);
        (guardrails, mistakes.take().iter().map(ToString::to_string).collect())
    }

    fn good(text: &str) -> Guardrails {
        let (guardrails, mistakes) = parse(text);
        assert_eq!(mistakes, Vec::<String>::new());
        guardrails
    }

    #[test]
    fn every_kind_of_window_is_read() {
        let windows = [
            ("window = \"1h\"", Window::of_ms(3_600_000)),
            ("window = \"1h\"\nfrom = \"start\"", Window::of_ms(3_600_000)),
            ("window = \"7d\"\nfrom = \"end\"", Window::Time(604_800_000, Since::End)),
            ("window = \"episode\"", Window::Episode),
            ("window = \"at-once\"", Window::AtOnce),
        ];
        for (words, window) in windows {
            let guardrails = good(&format!("[[limit]]\nscope = \"service\"\ncount = 3\n{words}"));
            assert_eq!(guardrails.limits, [Limit { scope: Scope::Service, only: Filter::default(), count: 3, window }]);
        }
    }

    #[test]
    fn everything_else_is_read() {
        let guardrails = good(
            r#"
            zone = "Europe/Berlin"
            [[bound]]
            healthy-minimum = 2
            changing = 10
            changing-percent = 50
            [[breaker]]
            scope = "policy"
            after = 3
            [conflicts]
            reversals = 4
            reversals-within = "2h"
            recurrences = 5
            [storm]
            window = "5m"
            slow-from-targets = 5
            slow-count = 2
            stop-from-targets = 20
            stop-from-accounts = 3
            [release]
            people = 2
            "#,
        );
        let bound =
            Bound { healthy_minimum: Some(2), changing: Some(10), changing_percent: Some(50), ..Bound::default() };
        assert_eq!((guardrails.zone.name(), guardrails.bounds), ("Europe/Berlin", vec![bound]));
        assert_eq!(guardrails.breakers, [Breaker { scope: BreakerScope::Policy, after: 3 }]);
        let conflicts = Conflicts { reversals: 4, reversals_within_ms: 7_200_000, recurrences: 5 };
        assert_eq!((guardrails.conflicts, guardrails.release.people), (conflicts, 2));
        let slow = Slow { from: Threshold { targets: Some(5), accounts: None }, count: 2 };
        let stop = Threshold { targets: Some(20), accounts: Some(3) };
        assert_eq!(guardrails.storm, Some(Storm { window_ms: 300_000, slow: Some(slow), stop }));
    }

    #[test]
    fn who_lets_changes_be_taken_back_sooner_lets_a_target_swing_in_a_shorter_time() {
        assert_eq!(good("").conflicts.reversals_within_ms, 3_600_000);
        assert_eq!(good("[opposes]\nwindow = \"10s\"").conflicts.reversals_within_ms, 60_000);
        let both = "[opposes]\nwindow = \"10s\"\n[conflicts]\nreversals-within = \"1h\"";
        assert_eq!(good(both).conflicts.reversals_within_ms, 3_600_000);
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        let limit = |words: &str| format!("[[limit]]\nscope = \"target\"\ncount = 1\n{words}");
        let cases = [
            (limit(""), "limits.toml:1: in [limit], window is missing"),
            (limit("window = \"1y\""), "limits.toml:4: in [limit], window is \"1y\""),
            (limit("window = \"8d\""), "limits.toml:4: in [limit], window is \"8d\""),
            (limit("window = \"episode\"\nfrom = \"end\""), "limits.toml:5: in [limit], from is for a window"),
            ("[[bound]]\n".into(), "limits.toml:1: in [bound], a bound that bounds nothing"),
            ("[[breaker]]\nscope = \"account\"\nafter = 3".into(), "limits.toml:2: in [breaker], scope is \"account\""),
            ("[[breaker]]\nscope = \"policy\"\nafter = 0".into(), "limits.toml:3: in [breaker], after must be from 1"),
            ("[storm]\nwindow = \"5m\"".into(), "limits.toml:1: in [storm], a brake that never brakes"),
            (
                "[storm]\nwindow = \"5m\"\nslow-from-targets = 3".into(),
                "limits.toml:1: in [storm], slow-count goes with",
            ),
            ("zone = \"Europe/Atlantis\"".into(), "limits.toml:1: \"Europe/Atlantis\" is no time zone"),
            ("[release]\npeople = 0".into(), "limits.toml:2: in [release], people must be from 1 to 9"),
            ("[conflicts]\nrecurences = 3".into(), "limits.toml:2: in [conflicts], recurences is no key; did you mean"),
        ];
        for (text, wanted) in cases {
            let (_, mistakes) = parse(&text);
            assert!(mistakes.len() == 1 && mistakes[0].starts_with(wanted), "{wanted} in {mistakes:?}");
        }
    }
}
