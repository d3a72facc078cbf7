//! The changes: what is asked for, and which version may be in force after it was begun.

use std::fmt;

/// The numbers of the versions in every stage: the file that lies in the directory, the one in force, and one more that is known.
pub(super) const FILE: u64 = 1;
pub(super) const ACTIVE: u64 = 2;
pub(super) const KNOWN: u64 = 3;

/// The number of a version that the host has not seen yet.
pub(super) const NEW: u64 = 4;

/// A change of the versions of the plugin `web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A new version is handed over.
    Push,
    /// Another known version is chosen.
    Activate,
    /// The version before is.
    RollBack,
    /// Another known version is to be compared.
    Candidate,
    /// None is to be in force.
    Disable,
    /// A new version is put into the directory.
    DropIn,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Push, Self::Activate, Self::RollBack, Self::Candidate, Self::Disable, Self::DropIn];

    /// The version in force once it is done, if any.
    pub(super) const fn leads_to(self) -> Option<u64> {
        match self {
            Self::Push | Self::Candidate => Some(ACTIVE),
            Self::Activate => Some(KNOWN),
            Self::RollBack => Some(FILE),
            Self::Disable => None,
            Self::DropIn => Some(NEW),
        }
    }

    /// Whether a version, or none, may be in force at a start after it was begun and not ended. A file that lies in the
    /// directory is taken in by the start itself.
    pub(super) fn permits(self, in_force: Option<u64>) -> bool {
        in_force == self.leads_to() || in_force == Some(ACTIVE) && self != Self::DropIn
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Push => "push",
            Self::Activate => "activate",
            Self::RollBack => "rollback",
            Self::Candidate => "candidate",
            Self::Disable => "disable",
            Self::DropIn => "a file put into the directory",
        })
    }
}
