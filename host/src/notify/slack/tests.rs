//! What Slack is sent: within its limits, and harmless whatever strangers wrote.

use balm_core::{
    notice::{Alert, Intent},
    time::Timestamp,
};

use super::*;
use crate::notify::message::fixture;

/// All text objects of a payload's blocks: their kind and text.
fn texts(payload: &Value) -> Vec<(&str, &str)> {
    fn walk<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
        match value {
            Value::Object(object) => {
                if let (Some(kind), Some(text)) = (object.get("type"), object.get("text").and_then(Value::as_str)) {
                    found.push((kind.as_str().unwrap(), text));
                }
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&payload["blocks"], &mut found);
    found
}

fn assert_within_limits(payload: &Value) {
    let blocks = payload["blocks"].as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
    let units = |text: &Value| text["text"].as_str().unwrap().encode_utf16().count();
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => assert!((1..=150).contains(&units(&block["text"])), "{block}"),
            "section" => {
                let fields = block["fields"].as_array();
                assert!(fields.is_none_or(|fields| (1..=10).contains(&fields.len())), "{block}");
                for field in fields.into_iter().flatten() {
                    assert!((1..=2_000).contains(&units(field)), "{field}");
                }
                assert!(fields.is_some() || (1..=3_000).contains(&units(&block["text"])), "{block}");
            }
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()), "{block}");
                assert!(elements.iter().all(|element| (1..=3_000).contains(&units(element))), "{block}");
            }
            other => panic!("{other} is no block that is used here"),
        }
    }
    assert!(units(payload) > 0);
}

/// A notice in which everything that is not ours is this text.
fn hostile(text: &str) -> Notice {
    let mut notice = fixture::notice(20);
    notice.headline = format!("intent 17.0 is failed: {text}");
    let (source, name) = ("grafana".parse().unwrap(), text.to_owned());
    notice.alert =
        Some(Alert { source, name, summary: text.into(), url: format!("https://grafana.example.com/{text}") });
    let intent = notice.intent.unwrap();
    let all = || text.to_owned();
    notice.intent =
        Some(Intent { action: all(), target: all(), change: all(), reason: all(), explanation: all(), ..intent });
    notice
}

fn messages_of(notice: &Notice) -> [Message; 3] {
    let (mut one, mut many, mut digest) = (fixture::steps(1), fixture::steps(10), fixture::digest(45));
    for message in [&mut one, &mut many, &mut digest] {
        let named = match &mut message.body {
            Body::Steps { lead, others } => {
                **lead = notice.clone();
                others
            }
            Body::Digest { named, .. } => named,
        };
        named.iter_mut().for_each(|named| *named = notice.clone());
    }
    [one, many, digest]
}

#[test]
fn a_message_says_what_happened_to_what_from_what_to_what_why_and_where_to_look() {
    let payload = payload(&fixture::steps(1), None);
    assert_within_limits(&payload);
    let all = payload.to_string();
    for wanted in [
        "🚨 web-cpu: ecs:scale-service, failed",
        "AWS refused it: AccessDenied",
        "HighCpu — CPU of web is saturated",
        "ecs:scale-service desired 4 → 6",
        "service/prod/web",
        "Why: CPU is at 91 %",
        "episode 7: `balm audit show 7`",
        "<https://grafana.example.com/alerting/grafana/be1k3/view?orgId=1&amp;tab=query|alert rule on grafana.example.com>",
    ] {
        assert!(all.contains(wanted), "{wanted} in {payload:#}");
    }
    assert_eq!(
        payload["text"],
        "🚨 web-cpu: ecs:scale-service, failed (HighCpu): intent 17.0 is failed: AWS refused it: AccessDenied"
    );
}

#[test]
fn the_steps_of_an_episode_are_listed_in_their_order() {
    let payload = payload(&fixture::steps(3), None);
    assert_within_limits(&payload);
    let texts = texts(&payload);
    let list = texts.iter().find(|(_, text)| text.contains('\n')).unwrap();
    let lines: Vec<&str> = list.1.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(lines, ["17.0", "18.0", "19.0"]);
}

#[test]
fn a_digest_counts_names_and_says_what_is_missing() {
    let payload = payload(&fixture::digest(500), None);
    assert_within_limits(&payload);
    let all = payload.to_string();
    for wanted in [
        "🚨 500 notices: 500 need a person",
        "500 intent-ended",
        "and 455 more",
        "3 notices before these were dropped or did not arrive",
        "`balm audit tail`",
    ] {
        assert!(all.contains(wanted), "{wanted} in {payload:#}");
    }
}

#[test]
fn whatever_strangers_write_mentions_formats_and_links_nothing() {
    for text in [
        "<!channel>",
        "<!here|x> @here",
        "<@U012AB3CD>",
        "<https://evil.example.com|Grafana>",
        "*a* _b_ ~c~ `d`",
        "x|y>z<https://evil.example.com",
        "\u{202e}\u{1b}[2J\n&gt; &amp;",
    ] {
        for message in messages_of(&hostile(text)) {
            let payload = payload(&message, None);
            assert_within_limits(&payload);
            for (kind, shown) in texts(&payload) {
                let ours = kind == "mrkdwn";
                assert!(ours || !shown.contains(['<', '>']), "{shown}");
                assert!(!shown.contains("@h") && !shown.contains("<!") && !shown.contains("<@"), "{shown}");
                // In our own words there is one link, to where it says that it leads.
                assert!(!ours || shown.matches('<').count() <= 1, "{shown}");
                assert!(
                    !ours || !shown.contains("evil") || shown.contains("|alert rule on grafana.example.com>"),
                    "{shown}"
                );
            }
            let fallback = payload["text"].as_str().unwrap();
            assert!(!fallback.contains(['<', '>', '*', '_', '~', '`', '\n', '\u{1b}']), "{fallback}");
        }
    }
}

#[test]
fn texts_of_any_length_stay_within_slacks_limits() {
    for text in ["&".repeat(1_024), "🚨".repeat(256), "x".repeat(1_024), "://".repeat(300)] {
        for message in messages_of(&hostile(&text)) {
            assert_within_limits(&payload(&message, None));
        }
    }
    assert_within_limits(&payload(&Message::test("host", "a test".into(), Timestamp::EPOCH), None));
    let mut bare = fixture::notice(20);
    (bare.alert, bare.intent, bare.policy, bare.episode) = (None, None, None, None);
    for message in messages_of(&bare) {
        assert_within_limits(&payload(&message, None));
    }
}

#[test]
fn links_lead_only_where_the_operator_lets_them() {
    let base: Url = "https://grafana.example.com/monitoring/".parse().unwrap();
    let leads = |url: &str| link(url, Some(&base)).is_some();
    assert!(leads("https://grafana.example.com/monitoring/alerting/x?orgId=1"));
    assert!(leads("https://grafana.example.com/monitoring"));
    for url in [
        "https://grafana.example.com/monitoringx/alerting",
        "https://grafana.example.com/other",
        "https://grafana.example.com/monitoring/../other",
        "https://grafana.example.com.evil.example/monitoring/",
        "https://grafana.example.com@evil.example/monitoring/",
        "http://grafana.example.com/monitoring/",
        "https://grafana.example.com:8443/monitoring/",
    ] {
        assert!(!leads(url), "{url}");
    }
    for url in ["javascript:alert(1)", "file:///etc/passwd", "https://a:b@x.example/", "slack://open", "", "/relative"]
    {
        assert_eq!(link(url, None), None, "{url}");
    }
    let long = format!("https://x.example/{}", "a".repeat(LINK_BYTES));
    assert_eq!(link(&long, None), None);
    let barred = link("https://x.example/a|b>c?d=<e>&f#|g", None).unwrap();
    assert_eq!(barred.matches(['<', '>', '|']).count(), 3, "only the link's own: {barred}");
}
