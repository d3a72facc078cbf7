//! The cloud as an HTTP endpoint: connections, bodies, and which part of the wire a request is for.
//!
//! It binds to loopback only: whoever reaches it controls it. What operations do is not known here.

use std::{collections::BTreeMap, future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time,
};

pub use self::shared::Handle;
use self::shared::Shared;
use crate::{Cloud, limits};

mod asg;
mod aws;
mod control;
mod credential;
mod query;
mod shared;
mod sts;

/// How often the world moves on although nobody calls, so that late calls reach the log file.
const IDLE_STEP: Duration = Duration::from_millis(250);

/// How long to wait after a connection could not be accepted, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// How an endpoint is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account of credentials that `keys` does not name, and of scenario steps that name none.
    pub account: String,
    /// The region of scenario steps that name none.
    pub region: String,
    /// Access key ids and the accounts that they belong to.
    pub keys: BTreeMap<String, String>,
    /// The world's time when the endpoint starts, in milliseconds since 1970. From then on it passes as real time does.
    pub start_ms: u64,
    /// A file to which every entry of the call log is appended before the call is answered.
    pub log_file: Option<PathBuf>,
}

/// An endpoint that cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would be reachable from elsewhere.
    #[error("refusing to listen on {0}: only loopback addresses are safe here, such as 127.0.0.1:0")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The log file cannot be written; what was not written was not answered either.
    #[error("cannot write the call log to {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The connection is to be closed without a byte of an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Closed;

type Answer = Result<Response<Full<Bytes>>, Closed>;

/// An endpoint that listens and does not yet answer.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Listens on a loopback address and opens the log file; port 0 lets the system choose.
    pub async fn bind(address: SocketAddr, cloud: Cloud, settings: Settings) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback(address));
        }
        let shared = Arc::new(Shared::new(cloud, settings)?);
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A way to the cloud for code in the same process.
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Answers until `stop` is ready; open connections are cut then. Fails when the log file cannot be written.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let mut connections = JoinSet::new();
        let permits = Arc::new(Semaphore::new(limits::CONNECTIONS));
        let mut idle = time::interval(IDLE_STEP);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.shared.failed() => break,
                // A failure to write ends the loop by itself.
                _ = idle.tick() => { _ = self.shared.with(|_, _| ()); }
                Some(_) = connections.join_next() => {}
                (stream, permit) = accept(&self.listener, &permits) => {
                    connections.spawn(serve(stream, self.shared.clone(), permit));
                }
            }
        }
        connections.shutdown().await;
        self.shared.finish()
    }
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let permit = permits.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(_) => time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, permit: Option<OwnedSemaphorePermit>) {
    // Without this, small answers wait for the kernel's timer; if it cannot be had, they do.
    _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, &shared));
    // A broken connection is the caller's to notice, and a lost answer breaks it on purpose.
    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    drop(permit);
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Answer {
    let (head, body) = request.into_parts();
    let controls = head.uri.path().starts_with("/_cloud/");
    let most = if controls { limits::CONTROL_BODY_BYTES } else { limits::CALL_BODY_BYTES };
    let Ok(body) = Limited::new(body, most).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or did not arrive whole"));
    };
    let body = body.to_bytes();
    if controls { control::answer(&head, &body, shared) } else { aws::answer(&head, &body, shared).await }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    reply(status, "text/plain; charset=utf-8", text.to_owned())
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// Serialising our own types to memory cannot fail; if it did, the caller would see an empty object.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_: serde_json::Error| b"{}".to_vec())
}
