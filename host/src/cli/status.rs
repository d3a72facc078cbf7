//! `balm status`: how the running host is, in words for people and as JSON for programs.
//!
//! It owns the words only; what a status has is the host's business, and what this does not know it leaves out.

use std::io::IsTerminal as _;

use balm_core::{record::StopScope, time::Timestamp};
use serde::Deserialize as _;
use serde_json::Value;

use super::{Place, out, show};

/// JSON if it was asked for, or if nobody reads along.
pub(super) fn run(place: &Place, json: bool) -> anyhow::Result<()> {
    let status = place.client()?.get("/status")?;
    let mut text = String::from_utf8_lossy(&status).into_owned();
    if !json && std::io::stdout().is_terminal() {
        text = words(&serde_json::from_slice(&status)?);
    }
    out::write(format!("{}\n", text.trim_end()))?;
    Ok(())
}

fn words(status: &Value) -> String {
    let number = |key: &str| status[key].as_u64().unwrap_or_default();
    let mut lines = Vec::new();
    if status["stopped"] == true {
        lines.push("EVERYTHING IS STOPPED: `balm resume` ends it".to_owned());
    }
    for refused in list(&status["refused"]) {
        lines.push(format!("NOT IN FORCE: {}", text(refused)));
    }
    lines.push(format!("alerts come in at {}<source>", text(&status["alerts-at"])));
    lines.push(format!(
        "record {}, the audit database has up to {}; {} episodes, {} intents under way, {} in the backlog",
        number("seq"),
        number("audit-seq"),
        number("episodes"),
        number("intents"),
        number("backlog")
    ));
    if let Some(damage) = status["damage"].as_str() {
        lines.push(format!("THE JOURNAL IS DAMAGED: {damage}; restore the file from a backup"));
    } else if status["verifying"] == true {
        lines.push(format!("the journal is verified up to record {} so far", number("verified-seq")));
    }
    lines.push(format!("checkpoints are signed with the key {}", text(&status["checkpoint-key"])));
    if number("clock-ahead-ms") > 0 {
        lines.push(format!("the clock was set ahead by {} ms: `balm accept-clock`", number("clock-ahead-ms")));
    }
    if number("approvals") > 0 {
        lines.push(format!("{} intents wait for the approval of people: `balm approvals`", number("approvals")));
    }
    for stop in list(&status["stops"]) {
        let scope = &stop["scope"];
        let what = StopScope::deserialize(scope).map_or_else(|_| scope.to_string(), |scope| scope.to_string());
        let until = stop["until"].as_u64().map(|ms| format!(", until {}", Timestamp::from_millis(ms)));
        let (who, why, until) = (text(&stop["who"]), text(&stop["why"]), until.unwrap_or_default());
        lines.push(format!("stop {}: {what}{until}, by {who}: {why}", stop["stop"]));
    }
    for policy in list(&status["policies"]) {
        let (name, mode, plugin) = (text(&policy["policy"]), text(&policy["mode"]), text(&policy["plugin"]));
        lines.push(format!("policy {name}: {mode}, plugin {plugin}"));
    }
    for plugin in list(&status["plugins"]) {
        let digest: String = text(&plugin["digest"]).chars().take(12).collect();
        lines.push(format!("plugin {} {} ({digest})", text(&plugin["plugin"]), text(&plugin["version"])));
    }
    for account in list(&status["accounts"]) {
        let (name, region) = (text(&account["account"]), text(&account["region"]));
        lines.push(match account["acting-as"].as_str() {
            Some(identity) => format!("account {name} in {region}: acting as {identity}"),
            None => format!("account {name} in {region}: idle, {}", text(&account["idle-because"])),
        });
    }
    lines.iter().map(|line| show::printable(line) + "\n").collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::words;

    #[test]
    fn a_stop_comes_first_and_an_idle_account_says_why() {
        let told = words(&json!({
            "seq": 9, "audit-seq": 8, "verified-seq": 3, "verifying": true, "episodes": 1, "intents": 0, "backlog": 0, "clock-ahead-ms": 0, "stopped": true,
            "alerts-at": "http://127.0.0.1:8300/v1/alerts/",
            "stops": [{ "stop": 9, "scope": "everything", "who": "user 0 of this machine", "why": "a\u{1b}[2Jtest" },
                      { "stop": 12, "scope": { "policy": "web-cpu" }, "who": "ada", "why": "odd" }],
            "refused": ["the policy beside plugin web: web.toml:1: no"],
            "policies": [{ "policy": "web-cpu", "mode": "enforce", "plugin": "scale-ecs-service" }],
            "plugins": [], "guardrails": null,
            "accounts": [{ "account": "123456789012", "region": "eu-central-1", "acting-as": null, "idle-because": "no credentials" }],
        }));
        assert!(told.starts_with("EVERYTHING IS STOPPED"), "{told}");
        assert!(told.contains("record 9, the audit database has up to 8;"), "{told}");
        assert!(told.contains("the journal is verified up to record 3 so far"), "{told}");
        assert!(told.contains("stop 9: everything, by user 0"), "{told}");
        assert!(told.contains("stop 12: policy web-cpu, by ada: odd"), "{told}");
        assert!(told.contains("NOT IN FORCE: the policy beside plugin web: web.toml:1: no"), "{told}");
        assert!(told.contains("idle, no credentials"), "{told}");
        assert!(!told.contains('\u{1b}'), "what a person wrote moves no cursor: {told}");
    }
}
