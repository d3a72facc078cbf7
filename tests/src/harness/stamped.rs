//! Versions of the guest `stamped`: each says its number, whatever else is in force.

use std::{fs, sync::OnceLock};

use balm_core::digest::Digest;

use crate::STAMPED;

/// What is overwritten in the component.
const STAMP: &[u8] = b"balm-stamp:good:0000000000000000";

/// A version with this number.
#[must_use]
pub fn version(number: u64) -> Vec<u8> {
    stamped("good", number)
}

/// A version that fails when it is asked what it is.
#[must_use]
pub fn trapping(number: u64) -> Vec<u8> {
    stamped("trap", number)
}

/// A version that fails when it is to decide.
#[must_use]
pub fn falling(number: u64) -> Vec<u8> {
    stamped("fall", number)
}

/// A number as versions and their settings write it.
#[must_use]
pub fn number(number: u64) -> String {
    format!("{number:016}")
}

/// What a version says when it decides.
#[must_use]
pub fn explanation(version: u64, settings: &str) -> String {
    format!("version {} with settings {settings}", number(version))
}

/// Of a component's bytes, as records name it.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Digest::of(&[bytes]).to_string()
}

/// A policy to lie beside a version: in shadow, for alerts with this label `plugin`.
#[must_use]
pub fn policy(plugin: &str, stamp: &str) -> String {
    format!(
        "mode = \"shadow\"\ntargets = [\"arn:aws:ecs:eu-central-1:123456789012:service/prod/{plugin}\"]\n\n\
         [match]\nlabels = {{ service = \"{plugin}\" }}\n\n[settings]\nstamp = \"{stamp}\"\n"
    )
}

fn stamped(kind: &str, version: u64) -> Vec<u8> {
    static GUEST: OnceLock<(Vec<u8>, usize)> = OnceLock::new();
    let (bytes, place) = GUEST.get_or_init(|| {
        let bytes = fs::read(STAMPED).expect("the guest was built");
        let places: Vec<usize> =
            bytes.windows(STAMP.len()).enumerate().filter(|(_, at)| *at == STAMP).map(|(i, _)| i).collect();
        let [place] = places[..] else { unreachable!("the guest has its stamp once, and not {} times", places.len()) };
        (bytes, place)
    });
    let mut bytes = bytes.clone();
    bytes[*place..place + STAMP.len()].copy_from_slice(format!("balm-stamp:{kind}:{}", number(version)).as_bytes());
    bytes
}
