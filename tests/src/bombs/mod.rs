//! Compile bombs: components that are small, or fit in a plain plugin, and whose compilation would take what it takes.
//!
//! Each lies for a while where the good plugin was, beside a running host. What it may cost is counted before, or bounded in
//! the child that compiles it, so it ends as that file's refusal with its reason; the host has the memory that it had, and the
//! good version decides. None fits the contract: one that can be compiled within the limits is refused for that, and counted
//! as such.

mod control;
mod counts;
mod run;
mod shape;
mod values;

pub use self::run::{Report, run};

/// A component that is hard to compile.
#[derive(Clone, Copy, Debug)]
pub struct Bomb {
    /// What it is too much of.
    pub name: &'static str,
    /// The bytes of its file.
    pub bytes: fn() -> Vec<u8>,
    /// What must be said of it.
    pub ending: Ending,
}

/// What must be said of a bomb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This, without compiling anything.
    Refused(&'static str),
    /// Whichever limit of compiling it comes to first, which is a matter of the machine; or that it fits no contract, once it
    /// is compiled.
    Costs,
}

/// All of them, those that are refused at once first.
#[must_use]
pub fn all() -> Vec<Bomb> {
    [counts::BOMBS, control::BOMBS, values::BOMBS, shape::BOMBS].concat()
}

/// The one of a name.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn named(name: &str) -> Bomb {
    all().into_iter().find(|bomb| bomb.name == name).expect("a bomb of this name")
}

const fn bomb(name: &'static str, bytes: fn() -> Vec<u8>, ending: Ending) -> Bomb {
    Bomb { name, bytes, ending }
}
