//! A receiver of webhooks: keeps what it is sent, and answers as it is told.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long a sender may take to send the next byte.
const SLOWEST: Duration = Duration::from_secs(10);

/// A running receiver.
pub(crate) struct Receiver {
    address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A request that it got.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// With which status it was answered.
    pub(crate) answered: u16,
}

impl Receiver {
    /// Start one. `answer` says the status for each delivery, counted from 0.
    pub(crate) fn start(answer: impl Fn(usize) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (deliveries, ending) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (deliveries, ending) = (Arc::clone(&deliveries), Arc::clone(&ending));
            move || {
                while !ending.load(Ordering::SeqCst) {
                    let Ok((stream, _)) = listener.accept() else { continue };
                    let nth = lock(&deliveries).len();
                    // A sender that breaks off has delivered nothing.
                    if let Ok(delivery) = serve(&stream, answer(nth)) {
                        lock(&deliveries).push(delivery);
                    }
                }
            }
        });
        Self { address, deliveries, ending, thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What it got so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.deliveries).clone()
    }
}

fn lock(deliveries: &Mutex<Vec<Delivery>>) -> MutexGuard<'_, Vec<Delivery>> {
    deliveries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request on a connection of its own.
fn serve(stream: &TcpStream, status: u16) -> io::Result<Delivery> {
    stream.set_read_timeout(Some(SLOWEST))?;
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.iter().skip(1).filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")?;
    Ok(Delivery { headers, body: String::from_utf8_lossy(&body).into_owned(), answered: status })
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Whoever waits for a connection gets a last one.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
