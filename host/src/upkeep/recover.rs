//! Recovery: the state after all records, from the newest saved state that the chain vouches for and what follows it, or
//! from all records where there is none.
//!
//! A saved state permits nothing by itself: its digest must stand in a record behind it, in a chain that begins with the hash
//! it names. One that is damaged, moved, of another version or unknown to the chain is not used, and that is said.

use std::path::Path;

use balm_core::{
    beginning::Unvouched,
    engine::Engine,
    line::Chain,
    name::Seq,
    record::{Fact, Record},
    snapshot::{Snapshot, Unusable},
};

use super::states::{Saved, StateError, States};
use crate::journal::{self, Good, OpenError};

/// What a start begins with.
pub(crate) struct Recovered {
    /// With the state after all records.
    pub(crate) engine: Engine,
    /// The journal, of which nothing was changed yet.
    pub(crate) journal: Good,
    /// The saved state that was used.
    pub(crate) used: Option<Saved>,
    /// The last record that a saved state knew and the journal does not, if a person accepted that.
    pub(crate) lost: Option<Seq>,
}

/// Why there is nothing to begin with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    /// The journal does not let us.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The directory of saved states cannot be read.
    #[error("the saved states cannot be handled: {0}")]
    States(#[from] std::io::Error),
    /// A saved state knows more than the journal does.
    #[error(
        "a saved state knows record {known}, and the journal ends with {journal}: acknowledged records are missing from \
        the journal. Restore it from a backup, or start once with --accept-loss to go on without them"
    )]
    JournalBehind {
        /// The last record that it knows.
        known: Seq,
        /// The journal's.
        journal: Seq,
    },
}

/// Recover what a data directory holds. `accept_loss` goes on with a journal that ends before a saved state does.
pub(crate) fn recover(data: &Path, states: &States, accept_loss: bool) -> Result<Recovered, RecoverError> {
    let mut recovered = newest(data, states)?;
    let last = recovered.journal.chain.seq;
    if let Some(known) = known_beyond(states, &recovered.engine, last)? {
        if !accept_loss {
            return Err(RecoverError::JournalBehind { known, journal: last });
        }
        recovered.lost = Some(known);
    }
    Ok(recovered)
}

fn newest(data: &Path, states: &States) -> Result<Recovered, RecoverError> {
    let mut broken = None;
    for at in states.list()? {
        match from_state(data, states, at) {
            Ok(recovered) => return Ok(recovered),
            Err(Unused::Because(why)) => {
                tracing::warn!(state = %states.path(at).display(), %why, "a saved state is not used");
                if let StateError::Journal(error @ (OpenError::NotThere { .. } | OpenError::Missing { .. })) = why {
                    broken.get_or_insert(error);
                }
            }
            Err(Unused::Journal(error)) => return Err(error.into()),
        }
    }
    match whole(data) {
        // The states may be good: it is the journal that does not lead on from them.
        Err(no_state @ OpenError::NoState(_)) => Err(broken.unwrap_or(no_state).into()),
        whole => whole.map_err(Into::into),
    }
}

enum Unused {
    Because(StateError),
    /// The journal itself cannot be used.
    Journal(OpenError),
}

impl From<StateError> for Unused {
    fn from(why: StateError) -> Self {
        Self::Because(why)
    }
}

fn from_state(data: &Path, states: &States, at: Seq) -> Result<Recovered, Unused> {
    let (Snapshot { chain, digest, state }, bytes) = states.read(at)?;
    let (mut engine, mut vouched) = (Engine::resuming(state), false);
    let vouches = |record: &Record| match &record.fact {
        Fact::StateSaved(saved) => saved.upto == at && saved.digest == digest,
        _ => false,
    };
    let read = journal::read(data, chain, |record| {
        vouched |= vouches(&record);
        engine.replay(&record);
    });
    let journal = match read {
        Ok(journal) => journal,
        // The journal has another record there, or none, or has it elsewhere.
        Err(error @ (OpenError::Another(_) | OpenError::NotThere { .. } | OpenError::Missing { .. })) => {
            return Err(StateError::Journal(error).into());
        }
        Err(error) => return Err(Unused::Journal(error)),
    };
    if !vouched {
        return Err(StateError::Unvouched.into());
    }
    check_beginning(&engine, journal.begins).map_err(|error| Unused::Journal(error.into()))?;
    Ok(Recovered { engine, journal, used: Some(Saved { chain, digest, bytes }), lost: None })
}

/// A journal may begin where it says that everything before was dropped; what was dropped may still be there in part.
fn check_beginning(engine: &Engine, begins: Chain) -> Result<(), Unvouched> {
    let dropped = engine.state().dropped;
    let vouched = begins == Chain::START || begins == dropped || begins.seq < dropped.seq;
    if vouched { Ok(()) } else { Err(Unvouched(begins.seq.next())) }
}

fn whole(data: &Path) -> Result<Recovered, OpenError> {
    let mut engine = Engine::new();
    let journal = journal::read(data, Chain::START, |record| engine.replay(&record));
    let journal = journal.map_err(|error| match error {
        OpenError::Missing { expected, first, .. } if expected == Seq::ZERO.next() => OpenError::NoState(first),
        error => error,
    })?;
    Ok(Recovered { engine, journal, used: None, lost: None })
}

/// The last record that a whole saved state of this host knows, if it is behind the journal's last.
fn known_beyond(states: &States, engine: &Engine, last: Seq) -> Result<Option<Seq>, std::io::Error> {
    for at in states.list()?.into_iter().take_while(|at| *at > last) {
        match states.outline(at) {
            // Without any record nobody knows whose host this was: a state of whomever is one too many.
            Ok(outline) if outline.chain.seq > last && (last == Seq::ZERO || outline.host == engine.state().host) => {
                return Ok(Some(outline.chain.seq));
            }
            Ok(_) | Err(StateError::Unusable(Unusable::Damaged(_) | Unusable::Version(_)) | StateError::Moved(_)) => {}
            Err(StateError::Unvouched | StateError::Journal(_)) => {}
            Err(StateError::Io(error)) => return Err(error),
        }
    }
    Ok(None)
}
