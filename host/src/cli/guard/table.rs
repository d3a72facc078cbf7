//! `balm guard test`: a table of cases, and where the guard does not say what is expected.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, bail};
use balm_core::{
    configuration::Configuration,
    record::{CheckName, IntentJudged, Verdict},
};

use super::case::{Case, Table};
use crate::{
    cli::{out::say, show::printable},
    config,
};

pub(super) fn run(table: &Path, config: &Path) -> anyhow::Result<ExitCode> {
    let configuration = config::load(config)?.core;
    let cases = read(table)?.case;
    if cases.is_empty() {
        bail!("{} has no [[case]]: a table that expects nothing proves nothing", table.display());
    }
    let mut wrong = 0;
    for case in &cases {
        if let Some(difference) = differs(case, &configuration) {
            say!("{}", line(&case.name, &difference))?;
            wrong += 1;
        }
    }
    let count = cases.len();
    say!("{} of {count} as expected", count - wrong)?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tables are handed around, and what a check found holds words of theirs: neither may move the cursor.
fn line(name: &str, difference: &str) -> String {
    format!("{}: {}", printable(name), printable(difference))
}

fn read(file: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let is_json = file.extension().is_some_and(|ending| ending == "json");
    let table = if is_json {
        serde_json::from_str(&text).map_err(anyhow::Error::from)
    } else {
        toml::from_str(&text).map_err(anyhow::Error::from)
    };
    table.with_context(|| format!("{} is no table of cases", file.display()))
}

/// What is not as expected, if something is not.
fn differs(case: &Case, configuration: &Configuration) -> Option<String> {
    if !is_verdict(&case.expect) {
        let words = "admitted, needs approval of N, observed only, refused: CHECK";
        return Some(format!("expect is {:?}, which no guard says; it says {words}", case.expect));
    }
    match case.judge(configuration) {
        Ok(judged) => {
            let said = judged.verdict.to_string();
            (said != case.expect).then(|| format!("expected {}, but it is {said}{}", case.expect, why(&judged)))
        }
        Err(why) => Some(format!("it could not be judged: {why}")),
    }
}

fn why(judged: &IntentJudged) -> String {
    let found = |name: CheckName| judged.checks.iter().find(|checked| checked.check == name);
    let found = match judged.verdict {
        Verdict::Refused(name) => found(name),
        Verdict::Admitted | Verdict::NeedsApproval(_) => found(CheckName::Authorization),
        Verdict::Observed => found(CheckName::Mode),
    };
    found.map(|checked| format!(" ({})", checked.found)).unwrap_or_default()
}

/// Whether it is spelt as verdicts are: a typo must not look like a guard that says something else.
fn is_verdict(text: &str) -> bool {
    let is_check = |name: &str| serde_json::from_value::<CheckName>(name.into()).is_ok();
    matches!(text, "admitted" | "observed only")
        || text.strip_prefix("needs approval of ").is_some_and(|people| people.parse::<u32>().is_ok_and(|n| n > 0))
        || text.strip_prefix("refused: ").is_some_and(is_check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_guard_says_can_be_expected() {
        for verdict in ["admitted", "observed only", "needs approval of 2", "refused: limits", "refused: stop"] {
            assert!(is_verdict(verdict), "{verdict}");
        }
        for other in ["", "admited", "needs approval of 0", "needs approval of", "refused", "refused: limit"] {
            assert!(!is_verdict(other), "{other}");
        }
    }

    fn case(look: &str) -> Case {
        let text = format!(
            "[[case]]\nname = \"a\"\npolicy = \"web\"\naction = \"ecs:scale-service\"\ntarget = \"a\"\n\
             expect = \"admitted\"\nlook = {{ {look} }}\n"
        );
        toml::from_str::<Table>(&text).expect("a table").case.remove(0)
    }

    #[test]
    fn a_look_of_more_than_a_service_can_have_is_a_mistake_and_no_list_of_them() {
        let said = |look: &str| differs(&case(look), &Configuration::default()).unwrap_or_default();
        for (look, named) in [
            ("desired = 5001", "desired = 5001"),
            ("desired = 4, running = 4000000000", "running = 4000000000"),
            ("desired = 4, pending = 5001", "pending = 5001"),
            ("desired = 4, unhealthy = 5001", "unhealthy = 5001"),
        ] {
            let said = said(look);
            assert!(said.contains(&format!("its look has {named}; a table goes up to 5000")), "{said}");
        }
        assert!(!said("desired = 5000").contains("its look"), "{}", said("desired = 5000"));
    }

    #[test]
    fn names_and_findings_move_no_cursor() {
        assert_eq!(line("a\u{1b}[2J", "b\r\u{202e}c"), "a\\u{1b}[2J: b\\u{d}\\u{202e}c");
    }
}
