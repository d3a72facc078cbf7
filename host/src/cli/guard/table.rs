//! `balm guard test`: a table of cases, and where the guard does not say what is expected.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, bail};
use balm_core::{configuration::Configuration, record::CheckName};

use super::case::{Case, Said, Table};
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
        Ok(Said { verdict, why }) => {
            let said = verdict.to_string();
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            (said != case.expect).then(|| format!("expected {}, but it is {said}{why}", case.expect))
        }
        Err(why) => Some(format!("it could not be judged: {why}")),
    }
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
    use balm_core::{
        configuration::{Matcher, Mode, Policy, Targets},
        json::Json,
        target::Region,
    };

    use super::*;
    use crate::test_dir::TestDir;

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

    const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

    /// One policy that takes its service from a label, everything permitted, and what these words of limits.toml say.
    fn configuration(name: &str, mode: Mode, limits: &str) -> Configuration {
        let dir = TestDir::new(&format!("guard-test-{name}"));
        fs::write(dir.path().join("all.cedar"), "permit(principal, action, resource);").expect("it is written");
        let wide = "[[limit]]\nscope = \"everything\"\ncount = 100\nwindow = \"1h\"\n[[bound]]\nmaximum = 99\n";
        fs::write(dir.path().join("limits.toml"), format!("{wide}{limits}")).expect("it is written");
        let guardrails = config::guardrails(dir.path()).expect("they are good");
        let (account, region) = ("123456789012".parse().expect("it"), "eu-central-1".parse().expect("it"));
        let targets = Targets::EcsServiceFromLabel {
            account,
            region: Region::clone(&region),
            cluster: "prod".into(),
            label: "service".into(),
            allowed: vec!["web".into()],
        };
        let policy = Policy {
            plugin: "scale-ecs-service".parse().expect("a name"),
            mode,
            matches: Matcher { labels: [("team".to_owned(), vec!["web".to_owned()])].into(), ..Matcher::default() },
            targets,
            settings: Json::empty_object(),
        };
        Configuration {
            policies: [("web".parse().expect("a name"), policy)].into(),
            guardrails,
            accounts: [(account, vec![region])].into(),
            ..Configuration::default()
        }
    }

    /// What is said of a case that is as expected, or not.
    fn said(configuration: &Configuration, parameters: &str, more: &str, expect: &str) -> String {
        let text = format!(
            "[[case]]\nname = \"a\"\npolicy = \"web\"\naction = \"ecs:scale-service\"\ntarget = \"{WEB}\"\n\
             parameters = {{ {parameters} }}\nlook = {{ desired = 4 }}\nexpect = \"{expect}\"\n{more}\n"
        );
        let table: Table = toml::from_str(&text).expect("a table");
        differs(&table.case[0], configuration).unwrap_or_else(|| "as expected".into())
    }

    #[test]
    fn an_alert_that_goes_on_or_fires_again_is_the_same_alert() {
        let once = "[[limit]]\nscope = \"policy\"\ncount = 1\nwindow = \"episode\"\n[conflicts]\nrecurrences = 2\n";
        let once = configuration("again", Mode::Enforce, once);
        let said_once = |more: &str, expect: &str| said(&once, "desired = 6", more, expect);
        assert_eq!(said_once("before = [{ ago = \"20m\" }]", "admitted"), "as expected", "another alert");
        for alert in ["same", "again"] {
            let more = format!("before = [{{ ago = \"20m\" }}]\nalert = \"{alert}\"");
            assert_eq!(said_once(&more, "refused: limits"), "as expected", "{alert}");
        }
        assert!(said_once("alert = \"same\"", "admitted").contains("there is no alert before"), "of what");
        let recurs = configuration("again", Mode::Enforce, "[conflicts]\nrecurrences = 2\n");
        let again = "before = [{ ago = \"50m\" }, { ago = \"30m\", alert = \"again\" }]";
        let more = format!("{again}\nalert = \"again\"");
        assert_eq!(said(&recurs, "desired = 6", &more, "refused: recurrence"), "as expected");
        assert_eq!(said(&recurs, "desired = 6", &format!("{again}\nalert = \"same\""), "admitted"), "as expected");
    }

    #[test]
    fn what_was_done_before_can_have_ended_in_every_way() {
        let breaker = configuration("ended", Mode::Enforce, "[[breaker]]\nscope = \"policy\"\nafter = 2\n");
        let with = |ended: &str, expect: &str| {
            let one = |ago: &str| format!("{{ ago = \"{ago}\", ended = \"{ended}\" }}");
            said(&breaker, "desired = 6", &format!("before = [{}, {}]", one("50m"), one("30m")), expect)
        };
        for ended in ["failed", "unverified", "unknown"] {
            assert_eq!(with(ended, "refused: stop"), "as expected", "{ended}");
        }
        assert_eq!(with("verified", "admitted"), "as expected");
        let under_way = "before = [{ ago = \"30m\", ended = \"under-way\" }]";
        assert_eq!(said(&breaker, "desired = 6", under_way, "refused: busy"), "as expected");
        let unknown = "before = [{ ago = \"10m\", ended = \"unknown\" }]";
        assert_eq!(said(&breaker, "desired = 6", unknown, "refused: busy"), "as expected", "it is still looked for");
        let back = |ended| {
            let done = format!("before = [{{ ago = \"1m\", parameters = {{ desired = 6 }}, ended = \"{ended}\" }}]");
            said(&breaker, "desired = 3", &done, "refused: opposes")
        };
        assert_eq!(back("unverified"), "as expected");
        assert!(back("failed").contains("but it is admitted"), "{}", back("failed"));
        let as_promised =
            said(&breaker, "desired = 4", "before = [{ ago = \"30m\", ended = \"unverified\" }]", "admitted");
        assert!(as_promised.contains("would be verified"), "{as_promised}");
    }

    #[test]
    fn what_never_comes_before_the_guard_is_refused_by_the_check_that_would_refuse_it() {
        let enforced = configuration("unheard", Mode::Enforce, "");
        let labelled = |service: &str, expect: &str| {
            said(&enforced, "desired = 6", &format!("labels = {{ service = \"{service}\" }}"), expect)
        };
        assert_eq!(labelled("web", "admitted"), "as expected");
        assert_eq!(labelled("../other", "refused: target"), "as expected");
        assert!(
            labelled("../other", "admitted").contains("none of the allowed"),
            "{}",
            labelled("../other", "admitted")
        );
        assert_eq!(said(&configuration("unheard", Mode::Off, ""), "desired = 6", "", "refused: mode"), "as expected");
        let other = said(&enforced, "desired = 6", "labels = { team = \"other\" }", "refused: target");
        assert!(other.contains("could not be judged"), "it is no alert of the policy: {other}");
    }

    #[test]
    fn what_a_person_stopped_is_refused_and_nothing_else() {
        let enforced = configuration("stopped", Mode::Enforce, "");
        let stopped = |stop: &str, expect: &str| said(&enforced, "desired = 6", &format!("stops = [{stop}]"), expect);
        for stop in
            ["{}", "{ policy = \"web\" }", "{ target = \"arn:aws:ecs:*\" }", &format!("{{ target = \"{WEB}\" }}")]
        {
            assert_eq!(stopped(stop, "refused: stop"), "as expected", "{stop}");
        }
        for stop in ["", "{ policy = \"other\" }", "{ target = \"arn:aws:autoscaling:*\" }"] {
            assert_eq!(stopped(stop, "admitted"), "as expected", "{stop}");
        }
        assert!(stopped("{ target = \"web\" }", "admitted").contains("a stop's target"), "a wrong one is told");
    }

    #[test]
    fn names_and_findings_move_no_cursor() {
        assert_eq!(line("a\u{1b}[2J", "b\r\u{202e}c"), "a\\u{1b}[2J: b\\u{d}\\u{202e}c");
    }
}
