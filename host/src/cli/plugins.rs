//! `balm plugins`: the plugins of the running host, for people and for scripts.

use anyhow::Context as _;

use super::{client::Client, out};
use crate::reload::{PluginShown, PluginState};

pub(super) fn run(client: &Client, json: bool) -> anyhow::Result<()> {
    let answer = client.get("/plugins")?;
    if json {
        out::write([&answer[..], b"\n"].concat())?;
        return Ok(());
    }
    let plugins: Vec<PluginShown> = serde_json::from_slice(&answer).context("the host's answer cannot be read")?;
    out::write(table(&plugins))?;
    Ok(())
}

/// A line for each, in columns, and what is wrong below it.
fn table(plugins: &[PluginShown]) -> String {
    let mut rows = vec![["PLUGIN", "VERSION", "DIGEST", "STATE", "POLICIES"].map(str::to_owned).to_vec()];
    rows.extend(plugins.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(&row[4]);
        text.push('\n');
        let why = i.checked_sub(1).and_then(|i| plugins[i].why.as_deref());
        text.extend(why.map(|why| format!("  {}\n", super::show::printable(why))));
    }
    text
}

fn row(plugin: &PluginShown) -> Vec<String> {
    let state = match (plugin.state, &plugin.why) {
        (PluginState::Active, None) => "active",
        (PluginState::Active, Some(_)) => "active, newer refused",
        (PluginState::Refused, _) => "refused",
        (PluginState::Removed, _) => "removed",
    };
    let policies: Vec<String> = plugin.policies.iter().map(|of| format!("{} ({})", of.policy, of.mode)).collect();
    vec![
        plugin.plugin.to_string(),
        super::show::printable(plugin.version.as_deref().unwrap_or("-")),
        plugin.digest.map_or_else(|| "-".into(), |digest| digest.short().to_string()),
        state.into(),
        if policies.is_empty() { "-".into() } else { policies.join(", ") },
    ]
}
