//! The configuration: what was typed in `balm.toml` and the files it names, and what of it may be used.
//!
//! A [`Config`] exists only if nothing in any file is wrong; otherwise all mistakes are returned at once. It refuses to
//! know how anything configured here works.

pub(crate) mod admin;
mod approval;
mod aws;
mod document;
mod freezes;
mod guardrails;
mod limits;
mod notifiers;
mod policies;
mod secret;
pub(crate) mod sources;
mod starting;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use balm_core::{
    configuration::{Configuration, Guardrails, Policy, Timing},
    name::{NotifierName, PluginName, PolicyName, SourceName},
};
use balm_sandbox::Class;

use self::document::{Document, Mistakes, Section};
pub(crate) use self::{
    aws::AwsAccount,
    document::{Mistake, parse_duration},
    notifiers::Notifier,
    policies::{Policies, Written},
    secret::Secret,
    sources::Source,
    starting::{Starting, WrongBeside},
};
use crate::{
    journal::Layout,
    upkeep::{self, Retention},
};

/// The bounds of what may be configured, with their defaults.
mod bounds {
    use std::time::Duration;

    /// MiB of a journal segment: large enough for the largest body twice over.
    pub(super) const SEGMENT_MIB: std::ops::RangeInclusive<u64> = 1..=1024;
    pub(super) const SEGMENT_MIB_DEFAULT: u64 = 64;

    /// MiB that stay free on the journal's disk, for what people need to mend things.
    pub(super) const RESERVE_MIB: std::ops::RangeInclusive<u64> = 0..=1_048_576;
    pub(super) const RESERVE_MIB_DEFAULT: u64 = 512;

    /// KiB of a request's body. Grafana sets no cap; a group of 15,000 alerts has about 32 MiB.
    pub(super) const BODY_KIB: std::ops::RangeInclusive<u64> = 1..=262_144;
    pub(super) const BODY_KIB_DEFAULT: u64 = 32 * 1024;

    /// Records after which the state is saved again. The next start reads the saved state and the records behind it, some
    /// ten microseconds each.
    pub(super) const STATE_EVERY: std::ops::RangeInclusive<u64> = 100..=10_000_000;
    pub(super) const STATE_EVERY_DEFAULT: u64 = 20_000;

    /// Days and MiB of the journal that are kept; not typed, all of it.
    pub(super) const KEEP_DAYS: std::ops::RangeInclusive<u64> = 1..=36_500;
    pub(super) const KEEP_MIB: std::ops::RangeInclusive<u64> = 1..=1_073_741_824;
    /// How often the journal's head is signed: what is cut off its end is at most so much. A second is for tests; a day is what
    /// people notice.
    pub(super) const CHECKPOINT_EVERY: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    pub(super) const CHECKPOINT_EVERY_DEFAULT: Duration = Duration::from_secs(60);

    /// Failures of a version in a row before it is stopped. One alert that is tried again makes four, so that no single one stops
    /// what works for all others.
    pub(super) const QUARANTINE_AFTER: std::ops::RangeInclusive<u64> =
        0..=balm_core::caps::QUARANTINE_AFTER_MOST as u64;
    pub(super) const QUARANTINE_AFTER_DEFAULT: u64 = 5;

    pub(super) const MAX_ALERT_AGE: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

    /// How long a call to AWS may take; twice as long after it was sent it can no longer land.
    pub(super) const CALL_TIMEOUT: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(60);
    pub(super) const CALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
}

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file that it was read from.
    pub(crate) file: PathBuf,
    /// Where the journal, the audit database and the socket are.
    pub(crate) data: PathBuf,
    /// Where alerts come in.
    pub(crate) listen: SocketAddr,
    /// The admin API beside the socket, if there is to be one.
    pub(crate) admin: Option<admin::Admin>,
    /// Who may approve beside its credentials.
    pub(crate) approval: approval::Approval,
    /// Where plugins are.
    pub(crate) plugins: PathBuf,
    /// The largest class that plugins may be of.
    pub(crate) plugin_class: Class,
    /// Where the guardrails are.
    pub(crate) guardrails: PathBuf,
    /// Policies with the places where they are written.
    pub(crate) policies: Policies,
    /// Who sends alerts.
    pub(crate) sources: BTreeMap<SourceName, Source>,
    /// Where intents may act, and as whom.
    pub(crate) accounts: Vec<AwsAccount>,
    /// How long a call to AWS may take.
    pub(crate) call_timeout: Duration,
    /// Who is told.
    pub(crate) notifiers: BTreeMap<NotifierName, Notifier>,
    /// The files of the journal.
    pub(crate) journal: Layout,
    /// When its state is saved, and how much of it is kept.
    pub(crate) upkeep: upkeep::Settings,
    /// How often the journal's head is signed.
    pub(crate) checkpoint_every: Duration,
    /// The largest body of a request, in bytes.
    pub(crate) body_bytes: usize,
    /// What the rules depend on.
    pub(crate) core: Configuration,
    /// What is allowed, and should not be.
    pub(crate) warnings: Vec<Mistake>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Wrong(pub(crate) Vec<Mistake>);

/// One mistake a line.
impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "{count} {} in the configuration:", if count == 1 { "mistake" } else { "mistakes" })?;
        self.0.iter().try_for_each(|mistake| writeln!(f, "  {mistake}"))
    }
}

impl std::error::Error for Wrong {}

/// Read a configuration and the files that it names. Any mistake refuses all of it.
pub(crate) fn load(path: &Path) -> Result<Config, Wrong> {
    let starting = load_for_start(path)?;
    if starting.wrong.is_empty() { Ok(starting.config) } else { Err(all_wrong(Vec::new(), starting.wrong)) }
}

/// The same for a start, which what is wrong beside a plugin does not refuse. If anything else is wrong, all of it is told.
pub(crate) fn load_for_start(path: &Path) -> Result<Starting, Wrong> {
    let mistakes = Mistakes::default();
    let mut wrong = BTreeMap::new();
    let file = path.display().to_string();
    let config = document::read(path, &mistakes).and_then(|text| {
        let document = Document::parse(&file, &text, &mistakes);
        read(document.root(), path, &mistakes, &mut wrong)
    });
    match (config, mistakes.take()) {
        (Some(config), mistakes) if mistakes.is_empty() => Ok(Starting { config, wrong }),
        (_, mistakes) => Err(all_wrong(mistakes, wrong)),
    }
}

fn all_wrong(mut mistakes: Vec<Mistake>, beside: BTreeMap<PluginName, WrongBeside>) -> Wrong {
    mistakes.extend(beside.into_values().flat_map(|wrong| wrong.mistakes.0));
    document::sort(&mut mistakes);
    Wrong(mistakes)
}

/// Only where the data directory is, whatever else the configuration says: for what must work while it is wrong.
pub(crate) fn data_dir(path: &Path) -> Result<PathBuf, Wrong> {
    let mistakes = Mistakes::default();
    let file = path.display().to_string();
    let Some(text) = document::read(path, &mistakes) else { return Err(Wrong(mistakes.take())) };
    let document = Document::parse(&file, &text, &mistakes);
    let data = document.root().text("data").map_or_else(|| "data".to_owned(), |text| text.value);
    Ok(path.parent().unwrap_or(Path::new("")).join(data))
}

/// Read the policy in a file beside a plugin.
pub(crate) fn beside(path: &Path, plugin: &PluginName, sources: &[SourceName]) -> Result<Written, Wrong> {
    read_beside(path, plugin, sources).map_err(|wrong| wrong.mistakes)
}

/// Read the guardrails of a directory.
pub(crate) fn guardrails(dir: &Path) -> Result<Guardrails, Wrong> {
    let mistakes = Mistakes::default();
    let guardrails = guardrails::read(dir, &mistakes);
    no_mistakes(guardrails, &mistakes)
}

/// Policies by name, as the rules see them.
pub(crate) fn unite(policies: &Policies) -> Result<BTreeMap<PolicyName, Policy>, Wrong> {
    let mistakes = Mistakes::default();
    let united = policies.unite(&mistakes);
    no_mistakes(united, &mistakes)
}

fn no_mistakes<T>(read: T, mistakes: &Mistakes) -> Result<T, Wrong> {
    let mistakes = mistakes.take();
    if mistakes.is_empty() { Ok(read) } else { Err(Wrong(mistakes)) }
}

impl Config {
    /// Tell what is allowed and should not be.
    pub(crate) fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// Go on with what only a restart can change, and say which keys of it are others in the file.
    pub(crate) fn keep_until_restart(&mut self, running: &Self) -> Result<Vec<String>, Wrong> {
        let mut new = std::mem::replace(self, running.clone());
        let journal = |config: &Self| (config.journal, config.upkeep, config.checkpoint_every);
        let aws = |config: &Self| (config.accounts.clone(), config.call_timeout);
        let differs = [
            ("listen", new.listen != running.listen),
            ("admin", new.admin != running.admin),
            ("data", new.data != running.data),
            ("plugins", new.plugins != running.plugins),
            ("guardrails", new.guardrails != running.guardrails),
            ("max-body-kib", new.body_bytes != running.body_bytes),
            ("journal", journal(&new) != journal(running)),
            ("aws", aws(&new) != aws(running)),
        ];
        if new.plugins != running.plugins {
            new.policies.beside.clone_from(&running.policies.beside);
            new.core.policies = unite(&new.policies)?;
        }
        if new.guardrails != running.guardrails {
            new.core.guardrails.clone_from(&running.core.guardrails);
        }
        (self.policies, self.sources, self.notifiers) = (new.policies, new.sources, new.notifiers);
        (self.approval, self.plugin_class, self.warnings) = (new.approval, new.plugin_class, new.warnings);
        let timing = Timing { settle_ms: running.core.timing.settle_ms, ..new.core.timing };
        // The credentials are still those that the host started with.
        let approval = self.approval.terms(self.admin.as_ref());
        self.core = Configuration { accounts: running.core.accounts.clone(), timing, approval, ..new.core };
        Ok(differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key.to_owned()).collect())
    }
}

fn read(
    mut root: Section<'_>,
    path: &Path,
    mistakes: &Mistakes,
    wrong: &mut BTreeMap<PluginName, WrongBeside>,
) -> Option<Config> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let directory = |root: &mut Section<'_>, key, default: &str| {
        dir.join(root.text(key).map_or_else(|| default.to_owned(), |text| text.value))
    };
    let data = directory(&mut root, "data", "data");
    let plugins = directory(&mut root, "plugins", "plugins");
    let plugin_class = root.parsed::<Class>("plugin-class").map_or(Class::Plain, |at| at.value);
    let guardrails_dir = directory(&mut root, "guardrails", "guardrails");
    let listen = match root.has("listen") {
        true => root.parsed::<Address>("listen").map(|at| at.value.0),
        false => Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
    };
    let typed = root.number("max-body-kib", bounds::BODY_KIB);
    let body = typed.as_ref().map_or(bounds::BODY_KIB_DEFAULT, |at| at.value);
    let quarantine_after = root.number("quarantine-after", bounds::QUARANTINE_AFTER);
    let quarantine_after = quarantine_after.map_or(bounds::QUARANTINE_AFTER_DEFAULT, |at| at.value);
    let quarantine_after = u32::try_from(quarantine_after).unwrap_or(u32::MAX);
    let age = root.duration("max-alert-age", bounds::MAX_ALERT_AGE).map(|at| at.value);
    let (journal, upkeep, checkpoint_every) = read_journal(&mut root);
    // Half a segment, so that what comes of the largest body fits into one.
    if body * 1024 * 2 > journal.segment_bytes {
        let segment = journal.segment_bytes >> 20;
        let what = format!("max-body-kib = {body} is more than half of a journal segment of {segment} MiB");
        root.mistake(typed.map_or(0, |at| at.line), what + ": lower it, or raise segment-mib in [journal]");
    }
    let admin = admin::read(&mut root, dir);
    let approval = approval::read(&mut root);
    let sources = sources::read(&mut root, dir);
    let (accounts, call_timeout) = aws::read(&mut root);
    let (notifiers, checkpoints) = notifiers::read(&mut root, dir);
    let names: Vec<SourceName> = sources.keys().cloned().collect();
    let own = root.sections("policy").into_iter().filter_map(|section| policies::read(section, None, &names)).collect();
    root.end();
    let mut policies = Policies { own, beside: read_drop_ins(&plugins, &names, mistakes, wrong) };
    for (plugin, name, twice) in policies.leave_out_twice() {
        wrong.insert(plugin, WrongBeside::twice(name, twice));
    }
    let guardrails = guardrails::read(&guardrails_dir, mistakes);
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let timing = Timing {
        max_alert_age_ms: age.map_or(Timing::default().max_alert_age_ms, millis),
        settle_ms: millis(call_timeout * 2),
    };
    let core = Configuration {
        policies: policies.unite(mistakes),
        guardrails,
        accounts: accounts.iter().map(|account| (account.id, account.regions.clone())).collect(),
        notifiers: notifiers.keys().cloned().collect(),
        paced: notifiers.iter().filter(|(_, notifier)| notifier.is_paced()).map(|(name, _)| name.clone()).collect(),
        checkpoints,
        timing,
        quarantine_after,
        approval: approval.terms(admin.as_ref()),
    };
    Some(Config {
        file: path.to_owned(),
        data,
        listen: listen?,
        admin,
        approval,
        plugins,
        plugin_class,
        guardrails: guardrails_dir,
        policies,
        sources,
        accounts,
        call_timeout,
        notifiers,
        journal,
        upkeep,
        checkpoint_every,
        body_bytes: usize::try_from(body << 10).unwrap_or(usize::MAX),
        core,
        warnings: mistakes.take_warnings(),
    })
}

/// An address to listen on, with an error that shows how one is written.
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |_| format!("{text:?} is no address to listen on: write one with its port, as in \"127.0.0.1:8300\"");
        text.parse().map(Self).map_err(wrong)
    }
}

fn read_journal(root: &mut Section<'_>) -> (Layout, upkeep::Settings, Duration) {
    let (mut segment, mut reserve) = (bounds::SEGMENT_MIB_DEFAULT, bounds::RESERVE_MIB_DEFAULT);
    let (mut save_every, mut keep) = (bounds::STATE_EVERY_DEFAULT, Retention::default());
    let mut sign_every = bounds::CHECKPOINT_EVERY_DEFAULT;
    if let Some(mut journal) = root.section("journal") {
        segment = journal.number("segment-mib", bounds::SEGMENT_MIB).map_or(segment, |at| at.value);
        reserve = journal.number("reserve-mib", bounds::RESERVE_MIB).map_or(reserve, |at| at.value);
        sign_every = journal.duration("checkpoint-every", bounds::CHECKPOINT_EVERY).map_or(sign_every, |at| at.value);
        save_every = journal.number("state-every", bounds::STATE_EVERY).map_or(save_every, |at| at.value);
        let days = journal.number("keep-days", bounds::KEEP_DAYS);
        keep.age = days.map(|at| Duration::from_secs(at.value * 24 * 3600));
        keep.bytes = journal.number("keep-mib", bounds::KEEP_MIB).map(|at| at.value << 20);
        journal.end();
    }
    let reserve_bytes = reserve << 20;
    let layout = Layout { segment_bytes: segment << 20, reserve_bytes };
    (layout, upkeep::Settings { save_every, keep, reserve_bytes }, sign_every)
}

/// Policies that lie beside their plugins: `web.toml` beside `web.wasm`.
fn read_drop_ins(
    plugins: &Path,
    sources: &[SourceName],
    mistakes: &Mistakes,
    wrong: &mut BTreeMap<PluginName, WrongBeside>,
) -> BTreeMap<PluginName, Written> {
    let Ok(entries) = std::fs::read_dir(plugins) else {
        let message = "cannot be read: the directory holds the plugins (*.wasm), and may be empty";
        mistakes.add(&plugins.display().to_string(), 0, message);
        return BTreeMap::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut written = BTreeMap::new();
    for path in paths {
        let file = path.display().to_string();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        match stem.parse::<PluginName>() {
            Ok(plugin) => match read_beside(&path, &plugin, sources) {
                Ok(policy) => drop(written.insert(plugin, policy)),
                Err(mistakes) => drop(wrong.insert(plugin, mistakes)),
            },
            Err(error) => mistakes.add(&file, 0, error.to_string()),
        }
    }
    written
}

fn read_beside(path: &Path, plugin: &PluginName, sources: &[SourceName]) -> Result<Written, WrongBeside> {
    let mistakes = Mistakes::default();
    let file = path.display().to_string();
    let text = document::read(path, &mistakes);
    let written = text.as_ref().and_then(|text| {
        let document = Document::parse(&file, text, &mistakes);
        policies::read(document.root(), Some(plugin), sources)
    });
    match (written, mistakes.take()) {
        (Some(written), mistakes) if mistakes.is_empty() => Ok(written),
        (_, mistakes) => Err(WrongBeside::new(&file, text.as_deref(), plugin, mistakes)),
    }
}

#[cfg(test)]
mod tests;
