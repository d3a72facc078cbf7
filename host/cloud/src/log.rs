//! The call log: every call, what became of it, and what was answered; so that anybody can count what was done.
//!
//! It is kept in memory and bounded. Where it is written to is not known here.

use std::collections::{BTreeMap, VecDeque};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    answer::ErrorCode,
    fault::Fault,
    request::{OperationName, Request},
    world::State,
};

/// Which calls are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logged {
    /// All of them.
    #[default]
    Everything,
    /// Those that may change something. For benchmarks, whose reads would fill the log.
    Mutations,
}

/// One call. Serialised it is one JSON object, the call's parameters in AWS's form.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Counts calls from 1, those not logged too.
    pub number: u64,
    /// When it arrived, in milliseconds since 1970.
    pub at_ms: u64,
    /// The call itself.
    pub request: Request,
    /// The cluster that it is about; empty for none.
    pub cluster: String,
    /// The service that it is about; empty for none or several. A task's call is about its service.
    pub service: String,
    /// The task that it is about, by id; empty for none or several.
    pub task: String,
    /// The group that it is about; empty for none or several. An instance's call is about its group.
    pub group: String,
    /// The instance that it is about; empty for none.
    pub instance: String,
    /// What went wrong with it on purpose.
    pub fault: Option<Fault>,
    /// Whether it changed the world. Reads never do.
    pub applied: Applied,
    /// The refusal that AWS had for it, whether or not that was answered.
    pub refused: Option<ErrorCode>,
    /// The service or group just before it was applied.
    pub before: Option<Box<State>>,
    /// The same just after.
    pub after: Option<Box<State>>,
    /// What the caller was told.
    pub answered: Answered,
}

/// Whether and when a call changed the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It did not and will not.
    No,
    /// It was accepted at this time, in milliseconds since 1970; also when what it asked for was so already.
    At(u64),
    /// It will land at this time, long after its caller was cut off.
    Due(u64),
}

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// AWS's answer.
    Ok,
    /// AWS's error, or one in its name.
    Error(ErrorCode),
    /// A page that is not AWS's, with this status.
    HtmlPage(u16),
    /// Nothing.
    Lost,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (applied_at_ms, due_at_ms) = match self.applied {
            Applied::No => (None, None),
            Applied::At(ms) => (Some(ms), None),
            Applied::Due(ms) => (None, Some(ms)),
        };
        let mut entry = serializer.serialize_struct("Entry", 19)?;
        entry.serialize_field("number", &self.number)?;
        entry.serialize_field("at-ms", &self.at_ms)?;
        entry.serialize_field("account", &self.request.account)?;
        entry.serialize_field("region", &self.request.region)?;
        entry.serialize_field("caller", &self.request.caller)?;
        entry.serialize_field("operation", &self.request.operation.name())?;
        entry.serialize_field("cluster", &self.cluster)?;
        entry.serialize_field("service", &self.service)?;
        entry.serialize_field("task", &self.task)?;
        entry.serialize_field("group", &self.group)?;
        entry.serialize_field("instance", &self.instance)?;
        entry.serialize_field("parameters", &self.request.operation)?;
        entry.serialize_field("fault", &self.fault)?;
        entry.serialize_field("applied-at-ms", &applied_at_ms)?;
        entry.serialize_field("due-at-ms", &due_at_ms)?;
        entry.serialize_field("refused", &self.refused)?;
        entry.serialize_field("before", &self.before)?;
        entry.serialize_field("after", &self.after)?;
        entry.serialize_field("answered", &self.answered)?;
        entry.end()
    }
}

/// How many calls were applied, as far back as the log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By the callers' tokens.
    pub by_caller: BTreeMap<String, u64>,
    /// By service or group, and operation.
    pub by_service: BTreeMap<Touched, u64>,
    /// Entries that the log has dropped and this cannot count.
    pub dropped: u64,
}

/// A service or group, and an operation that was applied to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Touched {
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// The service's cluster; empty for a group.
    pub cluster: String,
    /// The service; empty for a group.
    pub service: String,
    /// The group; empty for a service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The operation.
    pub operation: OperationName,
}

/// The entries that are kept, in the order of their numbers.
#[derive(Debug)]
pub struct Log {
    entries: VecDeque<Entry>,
    most: usize,
    logged: Logged,
    last: u64,
    dropped: u64,
}

impl Log {
    pub(crate) fn new(most: usize, logged: Logged) -> Self {
        Self { entries: VecDeque::new(), most, logged, last: 0, dropped: 0 }
    }

    /// The number of the next call.
    pub(crate) fn count(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(crate) fn keeps(&self, operation: OperationName) -> bool {
        self.logged == Logged::Everything || operation.changes_the_world()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        if self.entries.len() > self.most {
            self.entries.pop_front();
            self.dropped += 1;
        }
    }

    /// Forgets all entries. Numbers go on, so that an entry written elsewhere keeps its meaning.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.dropped = 0;
    }

    /// The entry of that number, if it is still kept.
    pub fn get(&self, number: u64) -> Option<&Entry> {
        self.place(number).and_then(|place| self.entries.get(place))
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.place(number).and_then(|place| self.entries.get_mut(place))
    }

    /// All entries that are kept, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Entries with this number or a higher one.
    pub fn from(&self, number: u64) -> impl Iterator<Item = &Entry> {
        self.entries.range(self.entries.partition_point(|entry| entry.number < number)..)
    }

    /// The number of the last call, logged or not; 0 before the first.
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// Entries that were dropped because the log was full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Calls that changed the world, in the order of their arrival, each with the time when it did.
    pub fn applied(&self) -> impl Iterator<Item = (u64, &Entry)> {
        let applied = |entry: &Entry| if let Applied::At(ms) = entry.applied { Some(ms) } else { None };
        self.entries.iter().filter_map(move |entry| applied(entry).map(|ms| (ms, entry)))
    }

    /// Counts what was applied.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { dropped: self.dropped, ..Tally::default() };
        for (_, entry) in self.applied() {
            *tally.by_caller.entry(entry.request.caller.clone()).or_default() += 1;
            let touched = Touched {
                account: entry.request.account.clone(),
                region: entry.request.region.clone(),
                cluster: entry.cluster.clone(),
                service: entry.service.clone(),
                group: entry.group.clone(),
                operation: entry.request.operation.name(),
            };
            *tally.by_service.entry(touched).or_default() += 1;
        }
        tally
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.number).ok()
    }
}
