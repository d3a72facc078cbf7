//! Comparing: evaluates a candidate as the version in force was, from the records alone.
//!
//! The capsule has all answers, so it is one call and nothing is asked of the world; what the candidate would ask besides is what
//! it comes to. Whatever goes wrong is the candidate's failure in the record, since nothing else depends on it.

use std::{panic::AssertUnwindSafe, sync::Arc};

use balm_core::{
    engine::Comparison,
    evaluation::{Capsule, Conclusion, Failure, FailureKind},
    name::{EpisodeId, PolicyName, Seq},
    record::{Fact, Record},
    replay::Past,
    rounds::{self, Reach},
    versions::candidate::{self, Agreement, CandidateCompared, CandidateOutcome},
};
use balm_sandbox::{Plugin, Round};
use futures_util::FutureExt as _;

use crate::{effects::BUG, evaluate::Evaluator, journal::Log};

impl Evaluator {
    /// Compare a candidate about one evaluation. There is always an outcome.
    pub(crate) async fn compare(&self, comparison: Comparison, plugin: Option<Arc<Plugin>>) -> CandidateCompared {
        let comparing = AssertUnwindSafe(compare(self.log(), &comparison, plugin));
        let compared = comparing.catch_unwind().await.unwrap_or_else(|_| Err(BUG.into()));
        compared.unwrap_or_else(|why| failed(comparison, why))
    }
}

async fn compare(log: &Log, comparison: &Comparison, plugin: Option<Arc<Plugin>>) -> Result<CandidateCompared, String> {
    let plugin = plugin.ok_or_else(|| format!("version {} is not in memory", comparison.digest.short()))?;
    let capsule = capsule(log, comparison.capsule)?;
    let mut past = Past::default();
    past.remember(&read(log, capsule.configured)?);
    past.remember(&read(log, capsule.alert)?);
    let input = past.input(&capsule).map_err(|error| error.to_string())?;
    let Round { outcome, fuel, .. } = plugin.evaluate(&input).await;
    let reach = Reach { queries: &comparison.queries, targets: &capsule.targets };
    // It is asked once, however often the other one was.
    let outcome = CandidateOutcome::from(rounds::conclude(outcome, 1, &capsule.answers, reach));
    Ok(CandidateCompared {
        plugin: comparison.plugin.clone(),
        digest: comparison.digest,
        agreement: candidate::agreement(&capsule.conclusion, &outcome),
        policy: capsule.policy,
        episode: capsule.episode,
        capsule: comparison.capsule,
        outcome,
        fuel,
    })
}

fn read(log: &Log, seq: Seq) -> Result<Record, String> {
    log.read(seq).map_err(|error| format!("record {seq} cannot be read: {error}"))
}

fn capsule(log: &Log, seq: Seq) -> Result<Capsule, String> {
    match read(log, seq)?.fact {
        Fact::Evaluated(capsule) => Ok(*capsule),
        other => Err(format!("record {seq} is no evaluation but a {}", other.kind())),
    }
}

fn failed(comparison: Comparison, why: String) -> CandidateCompared {
    let Comparison { plugin, digest, capsule, .. } = comparison;
    let failure = Failure { kind: FailureKind::NotLoaded, message: why };
    CandidateCompared {
        // Of a record that cannot be read neither is known.
        policy: plugin.as_str().parse::<PolicyName>().expect("a plugin's name is written as a policy's"),
        episode: EpisodeId(capsule),
        plugin,
        digest,
        capsule,
        agreement: Agreement::Differs,
        outcome: CandidateOutcome::Concluded(Conclusion::Failed(failure)),
        fuel: 0,
    }
}
