//! `balm approvals` and `balm approve`: what waits for people, and what a person says to it.
//!
//! It owns the words and the time that is left; whether what is said counts is the host's business.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use balm_core::{
    name::{ApproverName, IntentId},
    time::Timestamp,
};
use clap::Args;

use super::{Place, client::Client, out, say_done, show};
use crate::{
    admin::{ApprovalRequest, ApprovalView, Approvals},
    clock,
};

/// Bytes of a file with a token: a token has 48.
const TOKEN_FILE_BYTES: u64 = 4096;

/// What is said, and by whom.
#[derive(Clone, Debug, Args)]
pub(super) struct Approve {
    #[command(flatten)]
    place: Place,
    /// The intent, as in 1042.0.
    intent: IntentId,
    /// The hash of the plan that you have read, whole, as `balm approvals` and the notice show it.
    #[arg(long, value_name = "HASH")]
    plan: String,
    /// Why, for the record.
    #[arg(long, default_value = "no reason given")]
    why: String,
    /// Say no: the intent ends, whoever has approved it.
    #[arg(long, conflicts_with = "withdraw")]
    deny: bool,
    /// Take your own approval back.
    #[arg(long)]
    withdraw: bool,
    /// Speak as the holder of the token in this file. Without it you are the user of this machine that you are.
    #[arg(long, env = "BALM_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Say it.
pub(super) fn say(approve: Approve) -> anyhow::Result<()> {
    let Approve { place, intent, plan, why, deny, withdraw, token_file } = approve;
    let mut client = place.client()?;
    if let Some(file) = token_file {
        client = client.speaking_with(read_token(&file)?);
    }
    let address = match (deny, withdraw) {
        (true, _) => "/v1/approvals/deny",
        (false, true) => "/v1/approvals/withdraw",
        (false, false) => "/v1/approvals",
    };
    say_done(&client.post(address, &ApprovalRequest { intent, plan, why })?)
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(file).map(|metadata| metadata.len());
    let text = match size {
        Ok(bytes) if bytes > TOKEN_FILE_BYTES => anyhow::bail!("{} is too large to be a token", file.display()),
        _ => {
            std::fs::read_to_string(file).with_context(|| format!("the token in {} cannot be read", file.display()))?
        }
    };
    let token = text.trim();
    anyhow::ensure!(
        !token.is_empty() && token.bytes().all(|c| c.is_ascii_graphic()),
        "{} holds no token",
        file.display()
    );
    Ok(token.to_owned())
}

/// List what waits.
pub(super) fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let approvals = all(&place.client()?)?;
    let text = if json {
        serde_json::to_string(&approvals)? + "\n"
    } else if approvals.is_empty() {
        "nothing waits for approval\n".to_owned()
    } else {
        let now = clock::wall();
        approvals.iter().map(|approval| words(approval, now)).collect::<Vec<_>>().join("\n")
    };
    out::write(text)?;
    Ok(())
}

fn all(client: &Client) -> anyhow::Result<Vec<ApprovalView>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/approvals?limit=200{cursor}"))?;
        let page: Approvals = serde_json::from_slice(&page).context("the host's answer cannot be read")?;
        all.extend(page.approvals);
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

/// The plan, and what is needed to say yes to it.
fn words(approval: &ApprovalView, now: Timestamp) -> String {
    let ApprovalView { intent, policy, needs, given, approvers, expires_at, .. } = approval;
    let left = expires_at.since(now).as_secs();
    let state = if approval.used {
        "is being done".to_owned()
    } else {
        format!("has {} of {needs} approvals, until {expires_at} ({} min {} s left)", given.len(), left / 60, left % 60)
    };
    let mut rows = vec![
        ("plan", approval.words.clone()),
        ("why", approval.reason.clone()),
        (
            "by",
            format!(
                "plugin {} {}, guardrails {}, episode {}",
                approval.plugin,
                approval.plugin_digest.short(),
                approval.guardrails.short(),
                approval.episode
            ),
        ),
    ];
    rows.extend(given.iter().map(|given| ("approved", format!("{} at {}: {}", given.by, given.at, given.why))));
    let names: Vec<&str> = approvers.iter().map(ApproverName::as_str).collect();
    let may = if names.is_empty() {
        "nobody: name people in [[approver]], or give a credential the role approver".to_owned()
    } else {
        names.join(", ")
    };
    if !approval.used {
        rows.extend([("may", may), ("say yes", approval.command.clone())]);
    }
    let mut text = format!("intent {intent} of policy {policy} {state}\n");
    for (name, value) in rows {
        text.push_str(&format!("  {name:<9} {}\n", show::printable(&value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_shown_with_what_to_type_and_moves_no_cursor() {
        let hash = "ab".repeat(32);
        let view = json!({
            "intent": "1042.0", "plan": hash, "words": "ecs:scale-service desired 4 → 6 on arn:…", "needs": 2,
            "command": format!("balm approve 1042.0 --plan {hash}"), "used": false, "requested": 1043, "requested-at": 0,
            "expires-at": 900_000, "episode": 1040, "policy": "web-cpu", "plugin": "scale-ecs-service",
            "plugin-digest": "cd".repeat(32), "guardrails": "ef".repeat(32), "action": "ecs:scale-service", "target": "arn:…",
            "parameters": {"desired": 6}, "expects": {"desired": 4}, "reason": "CPU\u{1b}[2J is at 91 %",
            "given": [{"by": "ada", "at": 60_000, "why": "checked"}], "approvers": ["ada", "grace"],
        });
        let view: ApprovalView = serde_json::from_value(view).expect("a view");
        let told = words(&view, Timestamp::from_millis(300_000));
        for wanted in [
            "intent 1042.0 of policy web-cpu has 1 of 2 approvals, until 1970-01-01T00:15:00.000Z (10 min 0 s left)",
            "  plan      ecs:scale-service desired 4 → 6 on arn:…",
            "  approved  ada at 1970-01-01T00:01:00.000Z: checked",
            "  may       ada, grace",
            &format!("  say yes   balm approve 1042.0 --plan {hash}"),
        ] {
            assert!(told.lines().any(|line| line == wanted), "{wanted:?} is not in {told}");
        }
        assert!(!told.contains('\u{1b}'), "{told}");
    }
}
