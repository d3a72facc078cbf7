//! The composition root: builds everything, says in which order it starts, and ends it in order.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use balm_core::{
    configuration::Configuration,
    engine::{self as core_engine, Engine},
    input::Input,
    line::Chain,
    record::{AccountChecked, HostStarted, HostStopped, LossAccepted, StopEngaged, StopScope},
    target::{AccountId, Region},
};
use balm_sandbox::{ENGINE_VERSION, Sandbox};
use serde::Serialize;
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::{Handle, Runtime},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    act::Actor,
    admin::{self, About, Admin, Doors, Questions},
    audit::{self, Audit},
    aws::{Aws, Identity},
    checkpoint::{Key, Signer},
    clock::{self, Clock},
    compile::Compiler,
    config::{Config, Starting},
    data_dir::DataDir,
    effects::{self, Effects, Guests},
    engine::{self, Inbox},
    evaluate::Evaluator,
    http::{self, alerts, alerts::Alerts},
    journal::{self, Broken, Journal, Log},
    kill_switch::KillSwitch,
    look::Looker,
    metrics::Metrics,
    notify::Notifiers,
    permitted::Permitted,
    plugins::Plugins,
    priority,
    reload::{self, Known, Loader, Shown},
    shutdown,
    status::Status,
    upkeep::{self, Found, Recovered, States, Upkeep, Verified},
};

/// How long the first question for the accounts' identities may hold up saying that the host is ready.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// How long the record of an orderly end may take: on a full disk it waits for room, and a host that is told to end ends.
const STOPPED_WITHIN: Duration = Duration::from_secs(5);

/// How often an account is asked again that did not answer, at first and at most; and one that did.
const ASK_AGAIN_FIRST: Duration = Duration::from_secs(2);
const ASK_AGAIN_MOST: Duration = Duration::from_secs(60);
const ASK_AGAIN_WELL: Duration = Duration::from_secs(600);

/// What is told of a host that is ready: one line of JSON on the standard output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Ready {
    alerts: String,
    socket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<String>,
    pid: u32,
    rules: usize,
    policies: usize,
    /// What could be done now, in words.
    permitted: String,
}

/// Run a host until it is told to end.
pub(crate) fn serve(starting: &Starting, accept_loss: bool) -> anyhow::Result<()> {
    starting.config.log_warnings();
    let data = DataDir::open(&starting.config.data)?;
    let short = guest_runtime("balm-guest", || {}).context("the threads for plugins cannot be started")?;
    // A guest that computes for long holds up nobody else: not the engine and the listeners either.
    let long = guest_runtime("balm-long", priority::stand_back).context("the threads for plugins cannot be started")?;
    let io = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("balm-io").build()?;
    let guests = Guests { short: short.handle().clone(), long: long.handle().clone() };
    let ended = io.block_on(run(starting, data.path(), guests, accept_loss));
    short.shutdown_background();
    long.shutdown_background();
    io.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Guests that run before one more of those that have just come is looked at. At 1 a stream of new ones would keep those that
/// have begun from ending.
const GUESTS_BETWEEN: u32 = 2;

/// Guests have threads of their own: a plugin that computes takes nothing from the listeners.
fn guest_runtime(name: &str, begin: impl Fn() + Send + Sync + 'static) -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.worker_threads(cores).thread_name(name).on_thread_start(begin);
    threads.global_queue_interval(GUESTS_BETWEEN).enable_time().build()
}

async fn run(starting: &Starting, data: &Path, guests: Guests, accept_loss: bool) -> anyhow::Result<()> {
    let config = &starting.config;
    // Before anything is written: a port that is in use is told at once.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}: is another program using the port?", config.listen))?;
    let admin_listener = bind_admin(config).await?;
    let (ending, ended) = watch::channel(false);
    let begun = begin(starting, data, accept_loss)?;
    let config = &starting.kept(&begun.previous);
    let kill_switch = Arc::new(KillSwitch::new(data));
    let plugins = open_plugins(data)?;
    let key = Key::open(data)?;
    let (inbox, waiting) = engine::inbox();
    let aws = Arc::new(Aws::new(&config.accounts, config.call_timeout).await);
    let looker = Arc::new(Looker::new(Arc::clone(&aws)));
    let evaluator =
        Evaluator::new(Arc::clone(&begun.log), Arc::clone(&plugins), Arc::clone(&looker), Handle::current());
    let state = begun.parts.engine.state();
    let host = state.host.clone();
    let about = about(&host, listener.local_addr()?, &key);
    let known = Known::of(state);
    let stop_is_recorded = state.stops.values().any(StopEngaged::is_the_kill_switch);
    let (calls, calls_ended) = mpsc::channel(1);
    let notifiers = Arc::new(Notifiers::new(Arc::clone(&begun.log), host.clone(), &config.notifiers)?);
    let said = evaluator.said();
    let parts = Arc::new(effects::Parts {
        inbox: inbox.clone(),
        evaluator: Arc::new(evaluator),
        looker,
        actor: Arc::new(Actor::new(Arc::clone(&aws), Arc::clone(&kill_switch))),
        notifiers: Arc::clone(&notifiers),
        guests,
        io: Handle::current(),
    });
    let effects = Effects { parts, calls };
    let status = Arc::clone(&begun.parts.status);
    // It is not waited for at the end: whatever it was at is done again at the next start.
    begun
        .upkeep(config, &inbox, &status, &ended)
        .start(begun.found)
        .context("the thread for the upkeep cannot be started")?;
    let mut engine = Watched::over(begun.parts.run(waiting, move |effect| effects.start(effect))?)?;

    let counts = Arc::new(alerts::Counts::default());
    let alerts = Arc::new(Alerts::new(config.sources.clone(), inbox.clone(), config.body_bytes, Arc::clone(&counts)));
    let (address, router) = (listener.local_addr()?, alerts::router(Arc::clone(&alerts)));
    let serving = tokio::spawn(http::serve(listener, router, http::ALERT_CONNECTIONS, ended.clone()));
    let socket = admin::bind(data).context("the socket in the data directory")?;
    let (reload, asked_to_reload) = reload::requests();
    let requests = reload.clone();
    reload.clone().on_hangup().context("SIGHUP cannot be listened for")?;
    let shown = Arc::new(Shown::default());
    let (ready, is_ready) = watch::channel(false);
    let admin = Arc::new(Admin {
        about,
        inbox: inbox.clone(),
        reload,
        shown: Arc::clone(&shown),
        log: Arc::clone(&begun.log),
        audit: begun.audit,
        verified: begun.verified,
        status,
        kill_switch: Arc::clone(&kill_switch),
        notifiers: Arc::clone(&notifiers),
        metrics: start_metrics(config, &begun.log, &ended)?,
        alerts: counts,
        said,
        doors: Doors::new(config.admin.as_ref()),
        questions: Questions::default(),
        ready: is_ready,
        ending: ended.clone(),
    });
    let (admin_address, administering) = administer(admin, socket, admin_listener, &ended)?;

    let parts = reload::Parts { inbox: inbox.clone(), plugins, alerts, notifiers, shown };
    sign(config, (key, host), &begun.log, &inbox, &ended);
    let mut loader = Loader::new(parts, requests, config.clone(), known);
    let starting = async {
        keep_stopped(&inbox, &kill_switch, stop_is_recorded).await;
        if loader.start(&begun.previous).await.is_ok() {
            tokio::spawn(loader.run(asked_to_reload, ended.clone()));
        }
        let _ = tokio::time::timeout(READY_WITHIN, watch_accounts(aws, inbox.clone())).await;
        ready.send_replace(true);
        say_ready(config, data, &address.to_string(), admin_address);
    };
    let signal = async {
        starting.await;
        shutdown::signal().await
    };
    let why = tokio::select! {
        why = signal => why,
        why = shutdown::signal() => why,
        broken = engine.ended() => return Err(broken),
    };
    tracing::info!(why, "the host ends");
    let (audit_ends, audit_thread) = (begun.audit_ends, begun.audit_thread);
    let running = Running { ending, serving, administering, inbox, calls_ended, engine, audit_ends, audit_thread };
    tokio::select! {
        ended = running.end(why, config.call_timeout) => ended,
        _ = shutdown::signal() => bail!("told twice to end"),
    }
}

/// The sandbox, the compiler in front of it, and what was compiled and in force before.
fn open_plugins(data: &Path) -> anyhow::Result<Arc<Plugins>> {
    let sandbox = Arc::new(Sandbox::new()?);
    let compiler =
        Compiler::keeping(sandbox, data).context("the directory for compiled plugins in the data directory")?;
    Ok(Arc::new(Plugins::new(compiler, data).context("the plugins' directory in the data directory")?))
}

/// What does not change while the host runs.
fn about(host: &str, alerts: SocketAddr, key: &Key) -> About {
    About {
        host: host.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: clock::wall(),
        alerts_at: format!("http://{alerts}/v1/alerts/"),
        checkpoint_key: key.public().to_owned(),
    }
}

/// Have the host with this key and this name sign how far its journal has come, until it ends.
fn sign(config: &Config, (key, host): (Key, String), log: &Arc<Log>, inbox: &Inbox, ended: &watch::Receiver<bool>) {
    let (log, inbox) = (Arc::clone(log), inbox.clone());
    let signer = Signer { key, host, every: config.checkpoint_every, log, inbox };
    tokio::spawn(signer.run(ended.clone()));
}

/// What is to be ended in order.
struct Running {
    ending: watch::Sender<bool>,
    serving: JoinHandle<()>,
    administering: JoinHandle<()>,
    inbox: Inbox,
    calls_ended: mpsc::Receiver<()>,
    engine: Watched,
    audit_ends: watch::Sender<bool>,
    audit_thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Accept nothing more, let what is under way come to its end, and write down that the host was told to end.
    async fn end(mut self, why: &str, call_timeout: Duration) -> anyhow::Result<()> {
        self.ending.send_replace(true);
        let _ = tokio::join!(self.serving, self.administering);
        self.inbox.quiet();
        // Calls under way come to their end, so that fewer are unknown at the next start.
        let _ = tokio::time::timeout(call_timeout, self.calls_ended.recv()).await;
        let stopped = self.inbox.ask(Input::Stopped(HostStopped { why: why.into() }));
        if tokio::time::timeout(STOPPED_WITHIN, stopped).await.is_err() {
            tracing::warn!(
                "there was no room in the journal for the record of this end: the next start takes it for a crash"
            );
        }
        self.inbox.end();
        self.engine.joined().await?;
        // Only now does it get the last record: whoever cuts that off the journal is found out by it.
        self.audit_ends.send_replace(true);
        self.audit_thread.join().ok();
        Ok(())
    }
}

/// The listener of the admin API, if it is configured.
async fn bind_admin(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(admin) = &config.admin else { return Ok(None) };
    if !admin.listen.ip().is_loopback() {
        let advice = "put something in front that speaks TLS";
        tracing::warn!(listen = %admin.listen, advice, "the admin API speaks plain HTTP to the network");
    }
    let listener = TcpListener::bind(admin.listen).await;
    let why = || format!("the admin API cannot listen on {}: is another program using the port?", admin.listen);
    listener.map(Some).with_context(why)
}

/// Serve people: on the socket, and over HTTP if that is configured. The address there, and its end.
fn administer(
    admin: Arc<Admin>,
    socket: UnixListener,
    listener: Option<TcpListener>,
    ended: &watch::Receiver<bool>,
) -> io::Result<(Option<SocketAddr>, JoinHandle<()>)> {
    let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let router = admin::router(Arc::clone(&admin));
    tokio::spawn(admin::serve(socket, admin, ended.clone()));
    let ended = ended.clone();
    let serving = tokio::spawn(async move {
        if let Some(listener) = listener {
            http::serve(listener, router, http::ADMIN_CONNECTIONS, ended).await;
        }
    });
    Ok((address, serving))
}

fn start_metrics(
    config: &Config,
    log: &Arc<Log>,
    ended: &watch::Receiver<bool>,
) -> anyhow::Result<Option<Arc<Metrics>>> {
    let start = || Metrics::start(Arc::clone(log), Handle::current(), ended.clone());
    config.admin.is_some().then(start).transpose().context("the thread for metrics cannot be started")
}

/// What stands before the loop runs.
struct Begun {
    parts: engine::Loop,
    /// What was found, and how much of it was checked.
    found: Found,
    verified: Arc<Verified>,
    states: States,
    log: Arc<Log>,
    audit: Audit,
    audit_ends: watch::Sender<bool>,
    audit_thread: std::thread::JoinHandle<()>,
    /// The configuration that was in force before this start.
    previous: Arc<Configuration>,
}

impl Begun {
    /// What is done with the journal behind the engine's back.
    fn upkeep(&self, config: &Config, inbox: &Inbox, status: &Arc<Status>, ended: &watch::Receiver<bool>) -> Upkeep {
        Upkeep {
            settings: config.upkeep,
            states: self.states.clone(),
            log: Arc::clone(&self.log),
            audit: self.audit.clone(),
            inbox: inbox.clone(),
            status: Arc::clone(status),
            verified: Arc::clone(&self.verified),
            runtime: Handle::current(),
            ending: ended.clone(),
        }
    }
}

/// The engine and its journal before the loop has them.
struct Opening {
    engine: Engine,
    journal: Journal,
    clock: Clock,
}

impl Opening {
    fn write(&mut self, input: Input) -> Result<(), Broken> {
        let taken = self.engine.take(input, self.clock.tick().at);
        self.journal.append(&taken.records)?;
        self.journal.commit().map(drop)
    }

    fn write_genesis(&mut self) -> anyhow::Result<()> {
        let genesis = core_engine::genesis(host_id()?, env!("CARGO_PKG_VERSION"), self.clock.tick().at);
        self.journal.append(std::slice::from_ref(&genesis))?;
        self.journal.commit()?;
        self.engine.replay(&genesis);
        Ok(())
    }
}

/// Open the journal, recover the state, and write down that the host runs.
fn begin(starting: &Starting, data: &Path, accept_loss: bool) -> anyhow::Result<Begun> {
    let states = States::open(data).context("the directory of saved states in the data directory")?;
    let Recovered { mut engine, journal: good, used, lost } = upkeep::recover(data, &states, accept_loss)?;
    let found = Found {
        begins: good.begins,
        checked_from: good.checked_from,
        checked_to: good.chain,
        dropped: engine.state().dropped,
        used,
    };
    let journal::Opened { journal, log, chain, cut } = good.open(starting.config.journal)?;
    if let Err(mistakes) = engine.recovered() {
        tracing::error!(mistakes, "the recorded rules no longer load: nothing is permitted until new ones are");
    }
    let opened = audit::open(data, &log, accept_loss)?;
    let clock = Clock::starting(engine.state().now);
    let previous = Arc::clone(&engine.state().configuration);
    engine.hold_evaluations();
    let mut opening = Opening { engine, journal, clock };
    if chain == Chain::START {
        opening.write_genesis()?;
    }
    for cut in cut {
        opening.write(Input::TailCut(cut.clone()))?;
        journal::cut_is_recorded(data, &cut)?;
    }
    if let Some(known) = opened.lost {
        opening.write(Input::LossAccepted(LossAccepted { known, by: "the audit database".into() }))?;
    }
    if let Some(known) = lost {
        opening.write(Input::LossAccepted(LossAccepted { known, by: "a saved state".into() }))?;
        states.put_away_after(chain.seq)?;
    }
    if let Some(why) = &opened.rebuilt {
        tracing::warn!(why, "the audit database is built again from the journal");
    }
    let started = HostStarted { version: env!("CARGO_PKG_VERSION").into(), engine: ENGINE_VERSION.into() };
    opening.write(Input::Started(started))?;
    opening.write(Input::Configured(Box::new(starting.kept(&previous).core)))?;
    let (audit_ends, ends) = watch::channel(false);
    let (audit, audit_thread) = opened.start(Arc::clone(&log), Handle::current(), ends)?;
    let Opening { engine, journal, clock } = opening;
    let parts = engine::Loop { engine, journal, clock, status: Arc::new(Status::default()) };
    let verified = Arc::new(found.verified());
    Ok(Begun { parts, found, verified, states, log, audit, audit_ends, audit_thread, previous })
}

/// Who this host is, for ever.
fn host_id() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the machine has no randomness")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A stop that was engaged while no record could be written is written down now.
async fn keep_stopped(inbox: &Inbox, kill_switch: &KillSwitch, recorded: bool) {
    if let Some(by) = kill_switch.written_by().filter(|_| !recorded) {
        let _ = inbox.ask(Input::Stop(StopEngaged::by_person(StopScope::Everything, by))).await;
    }
}

/// Ask whose the accounts are, and go on asking. Returns once each has been asked and its answer is recorded.
async fn watch_accounts(aws: Arc<Aws>, inbox: Inbox) {
    let places: Vec<_> = aws.places().cloned().collect();
    let mut first = Vec::new();
    for (account, region) in places {
        let (asked, was_asked) = oneshot::channel();
        first.push(was_asked);
        tokio::spawn(watch_account(Arc::clone(&aws), inbox.clone(), account, region, asked));
    }
    for asked in first {
        let _ = asked.await;
    }
}

async fn watch_account(aws: Arc<Aws>, inbox: Inbox, account: AccountId, region: Region, asked: oneshot::Sender<()>) {
    let (mut asked, mut last, mut pause) = (Some(asked), None, ASK_AGAIN_FIRST);
    loop {
        let identity = aws.identity(account, &region).await;
        let (checked, again) = match &identity {
            Identity::Right(who) => (Some(Ok(who.clone())), ASK_AGAIN_WELL),
            Identity::Wrong(why) => (Some(Err(why.clone())), ASK_AGAIN_MOST),
            // Once it was right, not being able to ask takes nothing away: calls fail by themselves.
            Identity::Unknown(_) if matches!(last, Some(Identity::Right(_))) => (None, pause),
            Identity::Unknown(why) => (Some(Err(why.clone())), pause),
        };
        if let Some(identity_now) = checked.filter(|_| last.as_ref() != Some(&identity)) {
            let checked = AccountChecked { account, region: region.clone(), identity: identity_now };
            let _ = inbox.ask(Input::AccountChecked(checked)).await;
            last = Some(identity.clone());
        }
        if let Some(asked) = asked.take() {
            let _ = asked.send(());
        }
        pause =
            if matches!(identity, Identity::Unknown(_)) { (pause * 2).min(ASK_AGAIN_MOST) } else { ASK_AGAIN_FIRST };
        tokio::time::sleep(again).await;
    }
}

fn say_ready(config: &Config, data: &Path, address: &str, admin: Option<SocketAddr>) {
    let permitted = Permitted::by(config);
    let ready = Ready {
        alerts: format!("http://{address}/v1/alerts/"),
        socket: data.join(admin::SOCKET).display().to_string(),
        admin: admin.map(|address| format!("http://{address}")),
        pid: std::process::id(),
        rules: permitted.rules,
        policies: config.core.policies.len(),
        permitted: permitted.to_string(),
    };
    // The one line on the standard output; whoever started us may have closed it.
    let line = serde_json::to_string(&ready).expect("it serialises");
    let _ = writeln!(io::stdout(), "{line}");
    if permitted.can_act() {
        tracing::info!("{permitted}");
    } else {
        tracing::warn!("{permitted}");
    }
}

/// The engine's thread, watched: when it ends by itself, the process must.
struct Watched {
    ended: Option<oneshot::Receiver<std::thread::Result<Result<(), Broken>>>>,
}

impl Watched {
    fn over(thread: std::thread::JoinHandle<Result<(), Broken>>) -> io::Result<Self> {
        let (tell, ended) = oneshot::channel();
        std::thread::Builder::new().name("balm-watch".into()).spawn(move || {
            let _ = tell.send(thread.join());
        })?;
        Ok(Self { ended: Some(ended) })
    }

    /// Why it ended by itself.
    async fn ended(&mut self) -> anyhow::Error {
        let Some(ended) = self.ended.as_mut() else { return std::future::pending().await };
        match ended.await {
            Ok(Ok(Err(broken))) => broken.into(),
            Ok(Ok(Ok(()))) => anyhow::anyhow!("the engine ended by itself"),
            Ok(Err(_)) | Err(_) => {
                anyhow::anyhow!("the engine failed; its log has the place. Start again: nothing recorded is lost")
            }
        }
    }

    /// Wait for its end in order.
    async fn joined(mut self) -> anyhow::Result<()> {
        match self.ended.take() {
            Some(ended) => match ended.await {
                Ok(Ok(ended)) => Ok(ended?),
                Ok(Err(_)) | Err(_) => bail!("the engine failed while it ended"),
            },
            None => Ok(()),
        }
    }
}
