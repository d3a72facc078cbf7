//! Status: what the host can say of itself without stopping the engine.
//!
//! It is a copy that the engine refreshes after each step; it may be a moment old, and nothing is decided on it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use balm_core::{
    configuration::Mode,
    digest::Digest,
    name::{PluginName, PolicyName, Seq},
    record::{Record, StopCause, StopScope},
    state::State,
    target::{AccountId, Region},
    time::Timestamp,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{admin::schema, metrics::Histogram};

/// What the engine says of its state.
#[derive(Debug)]
pub(crate) struct Status {
    numbers: [AtomicU64; 6],
    view: Mutex<View>,
    /// When the engine last took what waits, in milliseconds since `begun`.
    beat_ms: AtomicU64,
    begun: Instant,
    /// Why the journal has no room, if it has none.
    no_room: Mutex<Option<String>>,
    /// How long groups of records took to be durable.
    pub(crate) commits: Histogram,
}

/// The numbers at one moment.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Numbers {
    /// The last record.
    pub(crate) seq: u64,
    /// Episodes open or remembered.
    pub(crate) episodes: u64,
    /// Intents that have not ended.
    pub(crate) intents: u64,
    /// Evaluations and looks that wait for their turn.
    pub(crate) backlog: u64,
    /// Milliseconds by which the clock was set ahead and nobody has accepted.
    pub(crate) clock_ahead_ms: u64,
    /// Intents that wait for the approval of people.
    pub(crate) approvals: u64,
}

/// What changes seldom.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct View {
    /// Stops in force.
    pub(crate) stops: Vec<Stop>,
    /// Policies and how far they may go.
    pub(crate) policies: Vec<PolicyView>,
    /// Plugins in force.
    pub(crate) plugins: Vec<PluginView>,
    /// Accounts, and as whom the host acts there, or why it does not.
    pub(crate) accounts: Vec<AccountView>,
    /// Of the guardrails in force.
    #[schema(value_type = Option<String>)]
    pub(crate) guardrails: Option<Digest>,
}

/// A stop in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Stop {
    /// The record that engaged it: its number.
    #[schema(value_type = u64)]
    pub(crate) stop: Seq,
    /// What it halts.
    #[schema(schema_with = schema::scope)]
    pub(crate) scope: StopScope,
    /// Who engaged it.
    pub(crate) who: String,
    /// Why.
    pub(crate) why: String,
    /// What engaged it.
    #[schema(schema_with = schema::cause)]
    pub(crate) cause: StopCause,
    /// When it ends by itself, if it does, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub(crate) until: Option<Timestamp>,
    /// Whether it is what works without a record, too.
    #[serde(skip)]
    pub(crate) is_the_kill_switch: bool,
}

/// A policy in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PolicyView {
    /// Its name.
    #[schema(value_type = String)]
    pub(crate) policy: PolicyName,
    /// How far its intents may go.
    #[schema(schema_with = schema::mode)]
    pub(crate) mode: Mode,
    /// The plugin that decides.
    #[schema(value_type = String)]
    pub(crate) plugin: PluginName,
}

/// A plugin in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PluginView {
    /// Its name.
    #[schema(value_type = String)]
    pub(crate) plugin: PluginName,
    /// Its own version, as its manifest says.
    pub(crate) version: String,
    /// SHA-256 of its bytes.
    #[schema(value_type = String)]
    pub(crate) digest: Digest,
}

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct AccountView {
    /// Its twelve digits.
    #[schema(value_type = String)]
    pub(crate) account: AccountId,
    /// The region.
    #[schema(value_type = String)]
    pub(crate) region: Region,
    /// As whom the host acts there.
    pub(crate) acting_as: Option<String>,
    /// Why nothing is done there.
    pub(crate) idle_because: Option<String>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            numbers: Default::default(),
            view: Mutex::default(),
            beat_ms: AtomicU64::new(0),
            begun: Instant::now(),
            no_room: Mutex::default(),
            commits: Histogram::default(),
        }
    }
}

impl Status {
    /// The engine goes on; why the journal has no room, if it has none.
    pub(crate) fn beat(&self, no_room: Option<&String>) {
        self.beat_ms.store(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
        let mut told = self.no_room.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != no_room {
            *told = no_room.cloned();
        }
    }

    /// How long the engine has been busy with what it took last.
    pub(crate) fn since_beat(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.beat_ms.load(Relaxed)))
    }

    /// Why nothing can be written, if so.
    pub(crate) fn no_room(&self) -> Option<String> {
        self.no_room.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refresh after a step; `changed` if something that changes seldom did.
    pub(crate) fn refresh(&self, state: &State, changed: bool) {
        let now = [
            state.seq.0,
            state.episodes.len() as u64,
            state.intents.len() as u64,
            state.backlog() as u64,
            u64::try_from(state.held.as_millis()).unwrap_or(u64::MAX),
            state.approvals.waiting() as u64,
        ];
        for (number, now) in self.numbers.iter().zip(now) {
            number.store(now, Relaxed);
        }
        if changed {
            *self.view.lock().unwrap_or_else(PoisonError::into_inner) = View::of(state);
        }
    }

    /// The numbers now.
    pub(crate) fn numbers(&self) -> Numbers {
        let [seq, episodes, intents, backlog, clock_ahead_ms, approvals] =
            self.numbers.each_ref().map(|number| number.load(Relaxed));
        Numbers { seq, episodes, intents, backlog, clock_ahead_ms, approvals }
    }

    /// What changes seldom.
    pub(crate) fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a record changes what [`View`] shows.
pub(crate) fn changes_view(record: &Record) -> bool {
    matches!(
        record.fact.kind(),
        "configured"
            | "plugin-activated"
            | "plugin-pushed"
            | "plugin-removed"
            | "account-checked"
            | "stop-engaged"
            | "stop-released"
    )
}

impl View {
    fn of(state: &State) -> Self {
        let stops = state.stops.iter().map(|(seq, stop)| Stop {
            stop: *seq,
            scope: stop.scope.clone(),
            who: stop.by.who.clone(),
            why: stop.by.why.clone(),
            cause: stop.cause,
            until: stop.until,
            is_the_kill_switch: stop.is_the_kill_switch(),
        });
        let policies = state.configuration.policies.iter().map(|(name, policy)| PolicyView {
            policy: name.clone(),
            mode: policy.mode,
            plugin: policy.plugin.clone(),
        });
        let plugins = state.plugins.values().map(|plugin| PluginView {
            plugin: plugin.plugin.clone(),
            version: plugin.manifest.version.clone(),
            digest: plugin.digest,
        });
        let accounts = state.accounts.iter().map(|((account, region), identity)| AccountView {
            account: *account,
            region: region.clone(),
            acting_as: identity.clone().ok(),
            idle_because: identity.clone().err(),
        });
        Self {
            stops: stops.collect(),
            policies: policies.collect(),
            plugins: plugins.collect(),
            accounts: accounts.collect(),
            guardrails: state.guardrails,
        }
    }
}
