//! Asking a running host over the socket in its data directory, as `curl --unix-socket` does.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

/// Get a path; the answer is JSON.
pub fn get(data: &Path, path: &str) -> io::Result<Value> {
    let mut stream = UnixStream::connect(data.join("balm.sock"))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: balm\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    if head.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(answer));
    }
    Ok(serde_json::from_str(body)?)
}
