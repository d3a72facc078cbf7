//! Failures: how a call of a guest went wrong, told apart by what ended it.

use balm_core::evaluation::{Failure, FailureKind};
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use crate::{
    limits,
    store::{Guest, harmless},
};

/// The failure behind an error of a guest's call.
pub(crate) fn of(error: &wasmtime::Error, store: &Store<Guest>) -> Failure {
    let guest = store.data();
    let kind = kind(error, guest);
    let mut message = match (kind, &guest.space.refused) {
        (FailureKind::OutOfSpace, Some(refused)) => format!("it asked for {refused}"),
        (FailureKind::OutOfFuel, _) => format!("more than {} instructions", limits::FUEL),
        (FailureKind::OutOfTime, _) => format!("more than {} ms", limits::TIME.as_millis()),
        _ => last_cause(error),
    };
    let said = guest.wasi.output();
    if !said.is_empty() {
        message = format!("{message}; it wrote: {}", said.trim_end());
    }
    Failure { kind, message: harmless(&message, limits::MESSAGE_BYTES) }
}

/// The failure of a call that was given up from outside.
pub(crate) fn timed_out(wall: std::time::Duration) -> Failure {
    Failure { kind: FailureKind::OutOfTime, message: format!("it did not end within {} ms", wall.as_millis()) }
}

fn kind(error: &wasmtime::Error, guest: &Guest) -> FailureKind {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => FailureKind::OutOfFuel,
        Some(Trap::Interrupt) => FailureKind::OutOfTime,
        _ if guest.space.refused.is_some() => FailureKind::OutOfSpace,
        Some(_) => FailureKind::Trapped,
        None if error.downcast_ref::<I32Exit>().is_some() => FailureKind::Trapped,
        // What remains is what the runtime found wrong with what the guest handed over.
        None => FailureKind::Malformed,
    }
}

/// The innermost cause says what happened; the outer ones are a backtrace through the guest.
fn last_cause(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
