//! A guest of the tests that would connect to something: its toolchain makes it import sockets, so it is refused when it is
//! loaded, before any of it runs.

use balm_sdk::{Decision, Input, Policy, Stop};

/// Nothing is set.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {}

/// The policy.
pub struct OpenSocket;

impl Policy for OpenSocket {
    type Settings = Settings;

    const SUMMARY: &'static str = "Connects to the host.";
    const ACTIONS: &'static [&'static str] = &[];
    const QUERIES: &'static [&'static str] = &[];

    fn evaluate(_: &Input<Settings>) -> Result<Decision, Stop> {
        let connected = std::net::TcpStream::connect("127.0.0.1:22");
        Ok(Decision::because(format!("{connected:?}")))
    }
}

balm_sdk::export!(OpenSocket);
