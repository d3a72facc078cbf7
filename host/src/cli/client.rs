//! Asking the running host over its socket.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::{net::UnixStream, runtime::Runtime};

use crate::admin;

/// The running host of a data directory.
pub(super) struct Client {
    socket: PathBuf,
    /// Whose token is shown beside what the kernel says.
    token: Option<String>,
}

/// Why the host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nobody listens.
    #[error("no host runs with this data directory: {0} does not answer")]
    NotRunning(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// The connection broke.
    #[error("the host did not answer: {0}")]
    Broken(String),
}

impl Client {
    pub(super) fn new(data: &Path) -> Self {
        Self { socket: data.join(admin::SOCKET), token: None }
    }

    /// The same, as the holder of a credential.
    pub(super) fn speaking_with(self, token: String) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Whether a host listens.
    pub(super) fn is_running(&self) -> bool {
        std::os::unix::net::UnixStream::connect(&self.socket).is_ok()
    }

    pub(super) fn get(&self, path: &str) -> Result<Bytes, Error> {
        block_on(async {
            let answer = self.send(Method::GET, path, Bytes::new()).await?;
            Ok(answer.into_body().collect().await.map_err(broken)?.to_bytes())
        })?
    }

    pub(super) fn post(&self, path: &str, body: &impl Serialize) -> Result<Bytes, Error> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        block_on(async {
            let answer = self.send(Method::POST, path, body.into()).await?;
            Ok(answer.into_body().collect().await.map_err(broken)?.to_bytes())
        })?
    }

    /// Hand over bytes of another kind than JSON.
    pub(super) fn post_bytes(&self, path: &str, kind: &'static str, body: Vec<u8>) -> Result<Bytes, Error> {
        block_on(async {
            let answer = self.send_as(Method::POST, path, kind, body.into()).await?;
            Ok(answer.into_body().collect().await.map_err(broken)?.to_bytes())
        })?
    }

    /// Hand each piece of an answer that does not end to `each`, until that does not want more.
    pub(super) fn follow(&self, path: &str, mut each: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), Error> {
        block_on(async {
            let mut body = self.send(Method::GET, path, Bytes::new()).await?.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(broken)?;
                if let Some(data) = frame.data_ref()
                    && each(data).is_break()
                {
                    return Ok(());
                }
            }
            Ok(())
        })?
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<hyper::Response<Incoming>, Error> {
        self.send_as(method, path, "application/json", body).await
    }

    async fn send_as(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: Bytes,
    ) -> Result<hyper::Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|_| Error::NotRunning(self.socket.display().to_string()))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", "balm").header("content-type", kind);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        if answer.status() == StatusCode::OK {
            return Ok(answer);
        }
        let why = answer.into_body().collect().await.map_err(broken)?.to_bytes();
        if let Ok(admin::Said { detail }) = serde_json::from_slice(&why) {
            return Err(Error::Refused(detail));
        }
        Err(Error::Refused(String::from_utf8_lossy(&why).trim_end().to_owned()))
    }
}

fn block_on<F: Future>(future: F) -> Result<F::Output, Error> {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    Ok(runtime.block_on(future))
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Broken(error.to_string())
}
