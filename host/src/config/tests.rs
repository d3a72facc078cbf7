//! What is told of wrong configurations, and what is read from a right one.

use balm_core::{
    configuration::{Mode, Targets},
    record::Fact,
};

use super::*;
use crate::test_dir::TestDir;

const GOOD: &str = r#"
[source.grafana]
kind = "grafana"
token-file = "token"

[[aws.account]]
id = "123456789012"
regions = ["eu-central-1"]

[notifier.log]
kind = "log"

[[policy]]
name = "web-cpu"
plugin = "scale-ecs-service"
mode = "enforce"
targets = ["arn:aws:ecs:eu-central-1:123456789012:service/prod/web"]
[policy.match]
source = "grafana"
labels = { alertname = "HighCpu" }
[policy.settings]
maximum = 12
"#;

/// A directory with what a configuration names.
struct Dir(TestDir);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = TestDir::new(&format!("config-{name}"));
        for sub in ["plugins", "guardrails"] {
            std::fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        std::fs::write(dir.path().join("token"), "s3cr3t\n").unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn load(&self, text: &str) -> Result<Config, Vec<String>> {
        self.write("balm.toml", text);
        let strip = |mistake: &Mistake| mistake.to_string().replace(&format!("{}/", self.0.path().display()), "");
        load(&self.0.path().join("balm.toml")).map_err(|wrong| wrong.0.iter().map(strip).collect())
    }
}

#[test]
fn a_right_configuration_is_read() {
    let config = Dir::new("right").load(GOOD).unwrap();
    let (name, policy) = config.core.policies.first_key_value().unwrap();
    assert_eq!((name.as_str(), policy.mode), ("web-cpu", Mode::Enforce));
    assert_eq!(policy.settings.as_str(), r#"{"maximum":12}"#);
    assert_eq!(config.core.timing.settle_ms, 20_000);
    assert_eq!(config.core.guardrails.rules.len(), 0, "without rules nothing is permitted");
}

#[test]
fn a_policy_beside_its_plugin_needs_neither_name_nor_plugin() {
    let dir = Dir::new("drop-in");
    dir.write("plugins/web.toml", "targets = []\nmatch = { labels = { alertname = \"X\" } }\n");
    let config = dir.load("").unwrap();
    let (name, policy) = config.core.policies.first_key_value().unwrap();
    assert_eq!((name.as_str(), policy.plugin.as_str(), policy.mode), ("web", "web", Mode::Shadow));
}

#[test]
fn a_label_names_a_service_of_a_cluster_or_a_group() {
    let mapped = |mapping: &str| {
        let text = GOOD.replace("targets = [\"arn:aws:ecs:eu-central-1:123456789012:service/prod/web\"]", "");
        let place = "account = \"123456789012\"\nregion = \"eu-central-1\"\nlabel = \"name\"\nallowed = [\"web\"]";
        let text = format!("{text}\n[policy.target-from-label]\n{place}\n{mapping}\n");
        let loaded = Dir::new("mapped").load(&text);
        loaded.map(|config| config.core.policies.into_values().next().unwrap().targets)
    };
    let service = mapped("cluster = \"prod\"").unwrap();
    assert!(matches!(&service, Targets::EcsServiceFromLabel { cluster, .. } if cluster == "prod"), "{service:?}");
    assert_eq!(mapped("kind = \"ecs-service\"\ncluster = \"prod\"").unwrap(), service);
    let group = mapped("kind = \"asg-group\"").unwrap();
    assert!(matches!(&group, Targets::AsgGroupFromLabel { label, .. } if label == "name"), "{group:?}");
    let wrong = [
        ("", "cluster is missing"),
        ("kind = \"asg-group\"\ncluster = \"prod\"", "cluster is no key"),
        ("kind = \"rds\"", "kind is \"rds\"; it must be one of ecs-service, asg-group"),
    ];
    for (mapping, wanted) in wrong {
        let told = mapped(mapping).unwrap_err();
        assert!(told.iter().any(|told| told.contains(wanted)), "{mapping}: {told:?}");
    }
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let dir = Dir::new("wrong");
    dir.write("guardrails/web.cedar", "permit(principal, action == Action::\"ecs:scale\", resource);\n");
    dir.write(
        "guardrails/limits.toml",
        "[[limit]]\nscope = \"team\"\ncount = 3\n\n[[bound]]\naction = \"ecs:scale-service\"\n",
    );
    dir.write("plugins/web.toml", "targets = [\"prod/web\"]\nmatch = {}\n");
    let text = GOOD
        .replace("kind = \"grafana\"", "kind = \"grafna\"\ntokn = 1")
        .replace("token-file = \"token\"", "token-file = \"missing\"")
        .replace("123456789012\"\nregions", "1234\"\nregions")
        .replace("mode = \"enforce\"", "mode = \"on\"");
    let told = dir.load(&text).unwrap_err();
    let wanted = [
        "balm.toml:3: in [source.grafana], \"grafna\" is no kind of source",
        "balm.toml:4: in [source.grafana], tokn is no key",
        "balm.toml:5: in [source.grafana], token-file: missing cannot be read",
        "balm.toml:8: in [aws.account], \"1234\" is no AWS account",
        "balm.toml:17: in [policy], mode is \"on\"; it must be one of off, shadow, suggest, enforce",
        "guardrails/limits.toml:1: in [limit], window is missing",
        "guardrails/limits.toml:2: in [limit], scope is \"team\"",
        "guardrails/limits.toml:5: in [bound], a bound that bounds nothing",
        "guardrails/web.cedar:1: for policy `web.cedar#0`, unrecognized action `Action::\"ecs:scale\"`",
        "plugins/web.toml:1: \"prod/web\" is no target",
        "plugins/web.toml:2: in [match], a match without a source or label matches nothing",
    ];
    for (wanted, told) in wanted.iter().zip(&told) {
        assert!(told.starts_with(wanted), "\n  wanted {wanted}\n  told   {told}\n{told:#?}");
    }
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
}

#[test]
fn a_source_without_a_credential_is_refused() {
    let told = Dir::new("open").load("[source.grafana]\nkind = \"grafana\"\n").unwrap_err();
    assert!(told[0].contains("a source needs a credential"), "{told:?}");
}

#[test]
fn a_policy_configured_twice_is_refused_with_both_places() {
    let dir = Dir::new("twice");
    dir.write("plugins/web-cpu.toml", "targets = []\nmatch = { labels = { alertname = \"X\" } }\n");
    let told = dir.load(GOOD).unwrap_err();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("policy web-cpu is configured twice, first at"), "{told:?}");
}

#[test]
fn what_only_a_restart_changes_is_kept_and_told() {
    let dir = Dir::new("restart");
    let running = dir.load(GOOD).unwrap();
    let text = format!("listen = \"127.0.0.1:1\"\nmax-alert-age = \"1h\"\n{GOOD}")
        .replace("\"eu-central-1\"", "\"eu-west-1\"")
        .replace("maximum = 12", "maximum = 8");
    let mut config = dir.load(&text).unwrap();
    assert_eq!(config.keep_until_restart(&running).unwrap(), ["listen", "aws"]);
    assert_eq!((config.listen, &config.core.accounts), (running.listen, &running.core.accounts));
    assert_eq!(config.core.timing.max_alert_age_ms, 3_600_000);
    let policy = config.core.policies.first_key_value().unwrap().1;
    assert_eq!(policy.settings.as_str(), r#"{"maximum":8}"#);
    assert_eq!(config.keep_until_restart(&running).unwrap(), [] as [&str; 0]);
}

#[test]
fn no_secret_is_in_what_is_recorded_or_printed() {
    let dir = Dir::new("secrets");
    dir.write("url", "https://hooks.example.com/s3cr3t");
    let text = format!("{GOOD}\n[notifier.team]\nkind = \"webhook\"\nurl-file = \"url\"\nkey-file = \"token\"\n");
    let config = dir.load(&text).unwrap();
    assert!(!format!("{config:?}").contains("s3cr3t"));
    let guardrails = config.core.guardrails.digest();
    let configured = balm_core::record::Configured { guardrails, configuration: config.core };
    let record = balm_core::record::Record {
        seq: balm_core::name::Seq(1),
        at: balm_core::time::Timestamp::EPOCH,
        more: false,
        fact: Fact::Configured(Box::new(configured)),
    };
    assert!(!serde_json::to_string(&record).unwrap().contains("s3cr3t"));
}

#[test]
fn a_notifier_says_where_it_posts_and_where_links_may_lead_without_telling_the_secret() {
    let dir = Dir::new("slack");
    dir.write("url", "https://hooks.slack.com/services/T0/B0/s3cr3t\n");
    dir.write("bad", "ftp://hooks.example.com/s3cr3t\n");
    let slack = "\n[notifier.team]\nkind = \"slack\"\nurl-file = \"url\"\nbase-url = \"https://grafana.example.com\"\n";
    let config = dir.load(&format!("{GOOD}{slack}")).unwrap();
    let paced: Vec<&str> = config.core.paced.iter().map(NotifierName::as_str).collect();
    assert_eq!(paced, ["team"], "people are told of many things at once, the log of each");
    let wrong = slack.replace("\"url\"", "\"bad\"").replace("\"https://grafana", "\"grafana");
    let told = dir.load(&format!("{GOOD}{wrong}{}", slack.replace("team", "b").replace("slack", "slak"))).unwrap_err();
    for wanted in ["url-file or url-env begins neither with https", "base-url is no address", "\"slak\" is no kind of"]
    {
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted} in {told:#?}");
    }
    assert!(!told.concat().contains("s3cr3t"));
}

#[test]
fn a_file_that_is_not_there_is_told_plainly() {
    let told = load(Path::new("/nowhere/balm.toml")).unwrap_err().to_string();
    assert!(told.contains("/nowhere/balm.toml: cannot be read: No such file"), "{told}");
}
