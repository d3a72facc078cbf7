//! Replaying decisions: every capsule of a journal is evaluated again, and what comes out is compared byte for byte.

use std::{collections::BTreeMap, fs, sync::Arc};

use anyhow::Context as _;
use balm_core::{
    alert::Alert,
    evaluation::{Capsule, Conclusion, Input, Outcome},
    json::Json,
    record::{Configured, Fact, Record},
};
use balm_sandbox::{Plugin, Sandbox};

use crate::SCALE_ECS_SERVICE;

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replayed {
    /// Decisions that were made again.
    pub decisions: usize,
    /// Those that came out otherwise, in one byte or in the fuel that they took.
    pub differences: usize,
}

/// Make every decision of a journal again that `scale-ecs-service` made.
///
/// # Errors
///
/// If the plugin cannot be loaded, or a capsule names a record that is not there.
pub async fn run(records: &[Record]) -> anyhow::Result<Replayed> {
    let sandbox = Arc::new(Sandbox::new()?);
    let bytes = fs::read(SCALE_ECS_SERVICE)?;
    let plugin = Plugin::load(&sandbox, "scale-ecs-service".parse()?, &bytes).await?;
    let mut past = Past::default();
    let mut replayed = Replayed::default();
    for record in records {
        past.remember(record);
        let Fact::Evaluated(capsule) = &record.fact else { continue };
        let Conclusion::Decided(then) = &capsule.conclusion else { continue };
        if capsule.plugin != plugin.digest() {
            continue;
        }
        let again = plugin.evaluate(&past.input(capsule)?).await;
        let same = match again.outcome {
            Ok(Outcome::Decided(now)) => serde_json::to_vec(&now)? == serde_json::to_vec(then)?,
            Ok(Outcome::Needs(_)) | Err(_) => false,
        };
        replayed.decisions += 1;
        replayed.differences += usize::from(!same || again.fuel != capsule.fuel);
    }
    Ok(replayed)
}

/// The records that capsules name.
#[derive(Default)]
pub struct Past<'a> {
    alerts: BTreeMap<u64, Arc<Alert>>,
    configured: BTreeMap<u64, &'a Configured>,
}

impl<'a> Past<'a> {
    /// Keep a record if a capsule may name it.
    pub fn remember(&mut self, record: &'a Record) {
        match &record.fact {
            Fact::AlertReceived(received) => drop(self.alerts.insert(record.seq.0, Arc::new(received.alert.clone()))),
            Fact::Configured(configured) => drop(self.configured.insert(record.seq.0, configured)),
            _ => {}
        }
    }

    /// What a capsule's last round was called with.
    ///
    /// # Errors
    ///
    /// If it names a record that was not remembered.
    pub fn input(&self, capsule: &Capsule) -> anyhow::Result<Input> {
        let alert = self.alerts.get(&capsule.alert.0).context("a capsule names an alert that is not there")?;
        Ok(Input {
            alert: Arc::clone(alert),
            policy: capsule.policy.clone(),
            targets: capsule.targets.clone(),
            settings: self.settings(capsule)?,
            answers: capsule.answers.clone(),
            trigger: capsule.trigger,
            history: capsule.history.clone(),
            now: capsule.now,
            seed: capsule.seed,
        })
    }

    fn settings(&self, capsule: &Capsule) -> anyhow::Result<Json> {
        let configured = self.configured.get(&capsule.configured.0);
        let policy = configured.and_then(|configured| configured.configuration.policies.get(&capsule.policy));
        Ok(policy.context("a capsule names a configuration that is not there")?.settings.clone())
    }
}
