//! A client that shows the bytes: one connection, one request after the other.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) key: &'static str,
    pub(crate) region: &'static str,
    pub(crate) agent: &'static str,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.head.lines().filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == name);
        found.map(|(_, value)| value)
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, key: "AKIDEXAMPLE", region: "eu-central-1", agent: "aws-sdk-rust/1.7.0 app/balm" }
    }

    /// `None`: the connection was closed without a byte.
    pub(crate) async fn send(&mut self, request: &str) -> Option<Response> {
        self.stream.write_all(request.as_bytes()).await.expect("written");
        self.receive().await
    }

    async fn receive(&mut self) -> Option<Response> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
        loop {
            if let Some(response) = whole(&bytes) {
                return Some(response);
            }
            let read = self.stream.read(&mut buffer).await.expect("read");
            if read == 0 {
                assert!(bytes.is_empty(), "half an answer: {}", String::from_utf8_lossy(&bytes));
                return None;
            }
            bytes.extend_from_slice(&buffer[..read]);
        }
    }

    pub(crate) async fn ecs(&mut self, operation: &str, body: &Value) -> Option<Response> {
        let (region, key, agent, body) = (self.region, self.key, self.agent, body.to_string());
        let request = format!(
            "POST / HTTP/1.1\r\nhost: ecs\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\
             x-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\nx-amz-user-agent: {agent}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/ecs/aws4_request, \
             SignedHeaders=host, Signature=00\r\n\r\n{body}",
            body.len()
        );
        self.send(&request).await
    }

    pub(crate) async fn identity(&mut self) -> Option<Response> {
        self.query("sts", "Action=GetCallerIdentity&Version=2011-06-15").await
    }

    pub(crate) async fn asg(&mut self, form: &str) -> Option<Response> {
        self.query("autoscaling", &format!("{form}&Version=2011-01-01")).await
    }

    async fn query(&mut self, service: &str, body: &str) -> Option<Response> {
        let (region, key, agent) = (self.region, self.key, self.agent);
        let request = format!(
            "POST / HTTP/1.1\r\nhost: aws\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\
             x-amz-user-agent: {agent}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, \
             SignedHeaders=host, Signature=00\r\n\r\n{body}",
            body.len()
        );
        self.send(&request).await
    }

    pub(crate) async fn control(&mut self, method: &str, path: &str, body: &Value) -> Response {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let request =
            format!("{method} /_cloud/{path} HTTP/1.1\r\nhost: cloud\r\ncontent-length: {length}\r\n\r\n{body}");
        self.send(&request).await.expect("an answer")
    }

    pub(crate) async fn scale(&mut self, desired: i64) -> Option<Response> {
        let body = serde_json::json!({ "cluster": "prod", "service": "web", "desiredCount": desired });
        self.ecs("UpdateService", &body).await
    }

    pub(crate) async fn describe(&mut self) -> Value {
        let body = serde_json::json!({ "cluster": "prod", "services": ["web"] });
        self.ecs("DescribeServices", &body).await.expect("an answer").json()["services"][0].clone()
    }
}

fn whole(bytes: &[u8]) -> Option<Response> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let (head, body) = (head.to_owned(), body.to_owned());
    (body.len() == length.parse::<usize>().ok()?).then_some(Response { status, head, body })
}
