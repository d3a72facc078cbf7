//! A receiver of notices that answers as it is told: well, with an error, with something else, or not at all.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::net::TcpSocket;

use super::wait;

/// How a request is met.
#[derive(Clone, Debug)]
pub enum Manner {
    /// With this status, these headers and this body.
    Answer {
        /// The status code.
        status: u16,
        /// Lines of the head.
        headers: Vec<String>,
        /// The body.
        body: String,
    },
    /// With its own path in an error page, as careless servers do.
    Echo(u16),
    /// With silence, for as long as the other end waits.
    Hang,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// When.
    pub at: Instant,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, if it is JSON.
    pub body: Value,
    /// How it was met.
    pub status: Option<u16>,
}

/// A running receiver. Its threads end with the test's process.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How the next requests are met; after those as Slack does when all is well.
    script: VecDeque<Manner>,
    requests: Vec<Request>,
    hanging: Vec<TcpStream>,
}

/// An address that is held and where nobody listens: whoever connects is refused until a receiver comes.
#[derive(Debug)]
pub struct Away {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Away {
    /// At a free port, which nobody else gets meanwhile.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn hold() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        Self { socket, address }
    }

    /// Where nobody listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on somebody does.
    ///
    /// # Panics
    ///
    /// If the system refuses that.
    #[must_use]
    pub fn come_back(self) -> Receiver {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let _within = runtime.enter();
        let listener = self.socket.listen(128).and_then(tokio::net::TcpListener::into_std).expect("it listens");
        listener.set_nonblocking(false).expect("a socket can be told to wait");
        Receiver::listen(listener)
    }
}

/// The address of the incoming webhook at a receiver; the path is the secret.
#[must_use]
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}/services/T0/B0/{SECRET}")
}

/// What must appear nowhere but in the file with the address.
pub const SECRET: &str = "XnotYforZpeople";

impl Manner {
    /// As Slack answers: a status and a word.
    #[must_use]
    pub fn answer(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }

    /// Too many requests, and when to come again.
    #[must_use]
    pub fn busy_for(seconds: u64) -> Self {
        Self::Answer { status: 429, headers: vec![format!("retry-after: {seconds}")], body: "rate_limited".into() }
    }
}

impl Receiver {
    /// One that takes everything.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    #[must_use]
    pub fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&theirs);
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Meet the next requests so.
    pub fn then(&self, manners: impl IntoIterator<Item = Manner>) {
        lock(&self.shared).script.extend(manners);
    }

    /// Everything that came in.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared).requests.clone()
    }

    /// The bodies of what it took.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        self.requests().into_iter().filter(|request| request.status == Some(200)).map(|request| request.body).collect()
    }

    /// Wait for what it takes to be like this, and return it.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, Duration::from_secs(60), || self.taken().into_iter().find(|body| is_there(body)))
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (headers, body) = read(&mut stream)?;
        let manner = lock(shared).script.pop_front().unwrap_or_else(|| Manner::answer(200, "ok"));
        let (status, head, body_out) = match manner {
            Manner::Answer { status, headers, body } => (Some(status), headers, body),
            Manner::Echo(status) => (Some(status), Vec::new(), format!("Cannot POST {path}")),
            Manner::Hang => (None, Vec::new(), String::new()),
        };
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        lock(shared).requests.push(Request { at: Instant::now(), headers, body, status });
        let Some(status) = status else {
            lock(shared).hanging.push(stream.into_inner());
            return Ok(());
        };
        let head: String = head.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body_out.len();
        write!(stream.get_mut(), "HTTP/1.1 {status} so\r\ncontent-length: {length}\r\n{head}\r\n{body_out}")?;
    }
}

type Headers = Vec<(String, String)>;

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<(Headers, Vec<u8>)> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((headers, body))
}
