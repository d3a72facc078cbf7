//! Metrics: records folded to counters, in the text format that Prometheus reads.
//!
//! The counters are a projection of the journal: a thread of its own follows the log from the start of the process on, and
//! losing them loses nothing. Labels are names of the configuration and words of this program, never text of an alert, and
//! the number of series is bounded. It refuses to know who asks.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use balm_core::{
    evaluation::Conclusion,
    line,
    record::{AlertReceived, CallResult, EpisodeEnd, Fact, Purpose, Reception, Record, Settled, Verdict},
};
use tokio::{runtime::Handle, sync::watch};

use crate::journal::{Log, LogError};

/// Series of one counter. Beyond them values are counted together under `other`, so that a configuration that changes
/// for years cannot fill the memory.
const SERIES: usize = 1_000;

/// What stands for all values of a label beyond [`SERIES`].
const OTHER: &str = "other";

/// Bytes of the journal that are read at once.
const READ_BYTES: usize = 256 << 10;

/// The upper bounds of the buckets of every histogram, in microseconds: from a warm decision to a whole evaluation's end.
const BUCKETS_US: [u64; 13] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 15_000_000];

/// A counter with labels.
struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
}

macro_rules! families {
    ($($ident:ident = $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(static $ident: Family = Family { name: $name, help: $help, labels: &[$($label),*] };)*
        /// Every counter that comes from records.
        static FAMILIES: &[&Family] = &[$(&$ident),*];
    };
}

families! {
    RECORDS = "balm_records_total" ["kind"] "Records of the journal.";
    ALERTS = "balm_alerts_received_total" ["source", "reception"] "Alerts, by what they meant to their episode.";
    EPISODES_ENDED = "balm_episodes_ended_total" ["how"] "Episodes that ended.";
    EVALUATIONS = "balm_evaluations_total" ["policy", "result"] "Evaluations of policies.";
    SKIPPED = "balm_evaluations_skipped_total" ["policy"] "Evaluations that were due and could not be made at all.";
    INTENTS = "balm_intents_proposed_total" ["policy"] "Intents that were proposed.";
    LOOKS = "balm_looks_total" ["purpose", "result"] "Looks at targets.";
    VERDICTS = "balm_verdicts_total" ["policy", "verdict", "check"] "Answers of the guard; check names what refused.";
    ATTEMPTS = "balm_attempts_total" ["result"] "Calls to AWS that change something, by how they ended.";
    SETTLED = "balm_attempts_settled_total" ["found"] "Calls without an answer, by what was found.";
    INTENTS_ENDED = "balm_intents_ended_total" ["how"] "Intents that ended after their admission; verified is well.";
    NOTICES = "balm_notices_total" ["notifier", "result"] "Notices, by whether they arrived.";
    NOTICES_DROPPED = "balm_notices_dropped_total" ["notifier"] "Notices that were dropped since the receiver was too slow.";
    PLUGINS = "balm_plugin_arrivals_total" ["plugin", "result"] "Plugins that came into force or were refused.";
    STOPS = "balm_stop_changes_total" ["change"] "Stops that were engaged and released.";
    CONFLICTS = "balm_conflicts_total" ["conflict"] "Conflicts that were found and went to a person.";
    APPROVALS = "balm_approvals_total" ["change"] "Approvals that were asked for, given, used and so on.";
    DENIED = "balm_access_denied_total" [] "Requests of credentials whose role does not allow them.";
}

/// Durations, counted in buckets.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Count one.
    pub(crate) fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }
}

/// What the records since the start of the process come to.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
    evaluations: Histogram,
}

/// By family, in the order of [`FAMILIES`], and by the values of its labels.
type Counts = BTreeMap<&'static str, BTreeMap<Vec<Box<str>>, u64>>;

impl Metrics {
    /// Begin to follow the log from here on, until `ending` says so.
    pub(crate) fn start(log: Arc<Log>, runtime: Handle, ending: watch::Receiver<bool>) -> std::io::Result<Arc<Self>> {
        let metrics = Arc::new(Self::default());
        let folded = Arc::clone(&metrics);
        thread::Builder::new().name("balm-metrics".into()).spawn(move || {
            if let Err(error) = folded.follow(&log, &runtime, ending) {
                tracing::error!(%error, "the metrics stand still; they begin again at the next start");
            }
        })?;
        Ok(metrics)
    }

    fn follow(&self, log: &Log, runtime: &Handle, mut ending: watch::Receiver<bool>) -> Result<(), LogError> {
        let (mut at, mut follow) = (log.end(), log.follow());
        loop {
            follow.borrow_and_update();
            let (lines, next) = log.lines(at, READ_BYTES)?;
            if lines.is_empty() {
                if *ending.borrow() {
                    return Ok(());
                }
                runtime.block_on(async {
                    tokio::select! {
                        _ = follow.changed() => {}
                        _ = ending.changed() => {}
                    }
                });
                continue;
            }
            at = next;
            for text in lines.split(|c| *c == b'\n') {
                // The journal has been believed; what does not read is for whoever opens it next.
                if let Some(Ok((record, _))) = line::split(text).map(|(_, json)| line::read_json(json)) {
                    self.fold(&record);
                }
            }
        }
    }

    /// Count a record.
    fn fold(&self, record: &Record) {
        self.count(&RECORDS, &[record.fact.kind()], 1);
        match &record.fact {
            Fact::AlertReceived(received) => {
                let AlertReceived { reception, alert } = received.as_ref();
                self.count(&ALERTS, &[alert.source.as_str(), reception_word(reception)], 1);
            }
            Fact::EpisodeEnded(ended) => {
                let how = match ended.how {
                    EpisodeEnd::Resolved => "resolved",
                    EpisodeEnd::Expired => "expired",
                };
                self.count(&EPISODES_ENDED, &[how], 1);
            }
            Fact::Evaluated(capsule) => self.fold_capsule(capsule),
            Fact::EvaluationSkipped(skipped) => self.count(&SKIPPED, &[skipped.policy.as_str()], 1),
            Fact::TargetLooked(looked) => {
                let purpose = match looked.purpose {
                    Purpose::Guard => "guard",
                    Purpose::Trace => "trace",
                    Purpose::Verify => "verify",
                };
                self.count(&LOOKS, &[purpose, if looked.reading.is_ok() { "read" } else { "failed" }], 1);
            }
            Fact::IntentJudged(judged) => {
                let (verdict, check) = match &judged.verdict {
                    Verdict::Admitted => ("admitted", String::new()),
                    Verdict::NeedsApproval(_) => ("needs-approval", String::new()),
                    Verdict::Refused(check) => ("refused", check.to_string()),
                    Verdict::Observed => ("observed", String::new()),
                };
                self.count(&VERDICTS, &[judged.policy.as_str(), verdict, &check], 1);
            }
            Fact::AttemptEnded(ended) => {
                let result = match ended.result {
                    CallResult::Done { .. } => "done",
                    CallResult::Refused { .. } => "refused",
                    CallResult::NotDone { .. } => "not-done",
                    CallResult::Unknown { .. } => "unknown",
                };
                self.count(&ATTEMPTS, &[result], 1);
            }
            Fact::AttemptSettled(settled) => {
                let found = match settled.settled {
                    Settled::Seen => "seen",
                    Settled::NotSeen => "not-seen",
                    Settled::ForAPerson => "for-a-person",
                };
                self.count(&SETTLED, &[found], 1);
            }
            Fact::IntentEnded(ended) => self.count(&INTENTS_ENDED, &[&ended.how.to_string()], 1),
            Fact::NoticeSent(sent) => {
                let result = if sent.delivered.is_ok() { "delivered" } else { "given-up" };
                self.count(&NOTICES, &[sent.notifier.as_str(), result], 1);
                self.count(&NOTICES_DROPPED, &[sent.notifier.as_str()], sent.dropped);
            }
            Fact::PluginActivated(activated) => self.count(&PLUGINS, &[activated.plugin.as_str(), "activated"], 1),
            Fact::PluginPushed(pushed) => self.count(&PLUGINS, &[pushed.plugin.as_str(), "pushed"], 1),
            Fact::PluginRefused(refused) => self.count(&PLUGINS, &[refused.plugin.as_str(), "refused"], 1),
            Fact::StopEngaged(_) => self.count(&STOPS, &["engaged"], 1),
            Fact::StopReleased(_) => self.count(&STOPS, &["released"], 1),
            Fact::ConflictFound(conflict) => self.count(&CONFLICTS, &[&conflict.conflict.to_string()], 1),
            Fact::AccessDenied(denied) => self.count(&DENIED, &[], 1 + denied.unrecorded),
            fact if let Some(change) = fact.kind().strip_prefix("approval-") => self.count(&APPROVALS, &[change], 1),
            // Counted by kind, and nothing more is to be said of them.
            _ => {}
        }
    }

    fn fold_capsule(&self, capsule: &balm_core::evaluation::Capsule) {
        let result = match &capsule.conclusion {
            _ if capsule.superseded => "superseded",
            Conclusion::Decided(_) => "decided",
            Conclusion::Failed(_) => "failed",
        };
        self.count(&EVALUATIONS, &[capsule.policy.as_str(), result], 1);
        self.evaluations.observe(Duration::from_micros(capsule.took_us));
        if let Conclusion::Decided(decision) = &capsule.conclusion
            && !capsule.superseded
        {
            self.count(&INTENTS, &[capsule.policy.as_str()], decision.intents.len() as u64);
        }
    }

    fn count(&self, family: &'static Family, values: &[&str], by: u64) {
        debug_assert_eq!(values.len(), family.labels.len(), "{} has other labels", family.name);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let series = counts.entry(family.name).or_default();
        let mut key: Vec<Box<str>> = values.iter().map(|value| Box::from(*value)).collect();
        if series.len() >= SERIES && !series.contains_key(&key) {
            key.fill(OTHER.into());
        }
        *series.entry(key).or_default() += by;
    }

    /// Write all that was counted.
    pub(crate) fn write(&self, to: &mut Text) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let nothing = BTreeMap::new();
        for family in FAMILIES {
            to.head(family.name, family.help, "counter");
            let series = counts.get(family.name).unwrap_or(&nothing);
            if series.is_empty() && family.labels.is_empty() {
                to.sample(family.name, &[], 0);
            }
            for (values, count) in series {
                let labels: Vec<(&str, &str)> =
                    family.labels.iter().copied().zip(values.iter().map(AsRef::as_ref)).collect();
                to.sample(family.name, &labels, count);
            }
        }
        let help = "How long evaluations took, with all rounds and answers.";
        to.histogram("balm_evaluation_seconds", help, &self.evaluations);
    }
}

const fn reception_word(reception: &Reception) -> &'static str {
    match reception {
        Reception::Opened { .. } => "opened",
        Reception::Reopened { .. } => "reopened",
        Reception::Repeated { .. } => "repeated",
        Reception::Resolved { .. } => "resolved",
        Reception::Ignored { .. } => "ignored",
    }
}

/// A text in Prometheus's format (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4).
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// What follows is a metric of this name and kind.
    pub(crate) fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A gauge without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl fmt::Display) {
        self.head(name, help, "gauge");
        self.sample(name, &[], value);
    }

    /// One value.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A histogram without labels.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let (bucket, mut count) = (format!("{name}_bucket"), 0);
        for (index, observed) in histogram.buckets.iter().enumerate() {
            count += observed.load(Relaxed);
            let bound = BUCKETS_US.get(index).map_or_else(|| "+Inf".to_owned(), |us| seconds(*us));
            self.sample(&bucket, &[("le", &bound)], count);
        }
        self.sample(&format!("{name}_sum"), &[], seconds(histogram.sum_us.load(Relaxed)));
        self.sample(&format!("{name}_count"), &[], count);
    }

    /// The whole.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use balm_core::{
        name::Seq,
        record::{AccessDenied, NoticeSent, PluginRefused},
        time::Timestamp,
    };

    use super::*;

    fn record(fact: Fact) -> Record {
        Record { seq: Seq(1), at: Timestamp::EPOCH, more: false, fact }
    }

    fn text(metrics: &Metrics) -> String {
        let mut text = Text::default();
        metrics.write(&mut text);
        text.into_string()
    }

    fn refused(plugin: &str) -> Record {
        record(Fact::PluginRefused(PluginRefused { plugin: plugin.parse().unwrap(), digest: None, why: "x".into() }))
    }

    #[test]
    fn records_are_counted_by_what_they_say() {
        let metrics = Metrics::default();
        let sent = |delivered, dropped| {
            let notifier = "team".parse().unwrap();
            let (about, episode, covers, kept) = (Seq(1), None, 1, false);
            record(Fact::NoticeSent(NoticeSent { notifier, about, episode, delivered, dropped, covers, kept }))
        };
        metrics.fold(&sent(Ok(String::new()), 0));
        metrics.fold(&sent(Err("gone".into()), 3));
        metrics.fold(&sent(Ok(String::new()), 1));
        let denied = AccessDenied { who: "ada".into(), what: "x".into(), unrecorded: 4 };
        metrics.fold(&record(Fact::AccessDenied(denied)));
        let text = text(&metrics);
        for line in [
            "balm_records_total{kind=\"notice-sent\"} 3",
            "balm_notices_total{notifier=\"team\",result=\"delivered\"} 2",
            "balm_notices_total{notifier=\"team\",result=\"given-up\"} 1",
            "balm_notices_dropped_total{notifier=\"team\"} 4",
            "balm_access_denied_total 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn series_beyond_the_cap_are_counted_together() {
        let metrics = Metrics::default();
        for n in 0..SERIES + 5 {
            metrics.fold(&refused(&format!("p{n}")));
        }
        metrics.fold(&refused("p0"));
        let text = text(&metrics);
        let of_plugins = |line: &&str| line.starts_with("balm_plugin_arrivals_total{");
        assert_eq!(text.lines().filter(of_plugins).count(), SERIES + 1);
        assert!(text.contains("balm_plugin_arrivals_total{plugin=\"other\",result=\"other\"} 5\n"));
        assert!(text.contains("balm_plugin_arrivals_total{plugin=\"p0\",result=\"refused\"} 2\n"));
    }

    #[test]
    fn buckets_are_cumulative_and_a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for us in [500, 501, 1_000, 20_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let mut text = Text::default();
        text.histogram("x_seconds", "X.", &histogram);
        let text = text.into_string();
        for line in [
            "x_seconds_bucket{le=\"0.0005\"} 1",
            "x_seconds_bucket{le=\"0.001\"} 3",
            "x_seconds_bucket{le=\"15\"} 3",
            "x_seconds_bucket{le=\"+Inf\"} 4",
            "x_seconds_sum 20.002001",
            "x_seconds_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn text_in_labels_cannot_end_them() {
        let mut text = Text::default();
        text.sample("x", &[("a", "say \"hi\"\\\n")], 1);
        assert_eq!(text.into_string(), "x{a=\"say \\\"hi\\\"\\\\\\n\"} 1\n");
    }
}
