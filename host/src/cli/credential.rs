//! `balm credential`: a new token for the admin API.

use anyhow::Context as _;
use balm_core::name::CredentialName;

use super::out::{self, say};
use crate::credential::{Role, Token};

/// Make a token, show it once, and print what is kept of it.
pub(super) fn run(name: &CredentialName, role: Role, json: bool) -> anyhow::Result<()> {
    let token = Token::generate().context("the machine has no randomness")?;
    if json {
        let (name, role) = (name.as_str(), role.to_string());
        let hash = token.hash().to_string();
        let all = serde_json::json!({"token": token.reveal(), "name": name, "role": role, "token-sha256": hash});
        say!("{all}")?;
        return Ok(());
    }
    say!("# The token, shown only this once. Give it to its holder; it is sent as Authorization: Bearer TOKEN.")?;
    say!("# {}", token.reveal())?;
    say!("#")?;
    say!("# For balm.toml, which needs a section [admin] with listen = \"127.0.0.1:8301\" once:\n")?;
    out::write(token.toml(name, role))?;
    Ok(())
}
