//! `balm audit`: what happened, and why, from the running host or from the journal itself.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use balm_core::{
    beginning::{self, Beginning},
    line::{self, Chain},
    name::{EpisodeId, IntentId, Seq},
    record::Record,
};
use clap::Subcommand;

use super::{Place, client, client::Client, show};
use crate::journal::{self, Scanned};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the last records, and follow the ones that come; without a host, those of its journal.
    Tail {
        #[command(flatten)]
        place: Place,
        /// Begin with this record.
        #[arg(long, value_name = "NUMBER")]
        from: Option<u64>,
        /// Show so many records at most, and do not follow.
        #[arg(long)]
        no_follow: bool,
        /// How many records are shown before following, or in all.
        #[arg(long, default_value = "20", value_name = "COUNT")]
        most: usize,
        /// Records as JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Show the chain of an episode: alert, capsule, look, verdict with every check, attempt, result, verification,
    /// notices.
    Show {
        #[command(flatten)]
        place: Place,
        /// The number of an episode or of any of its records, or an intent, as in 1042.0.
        id: String,
        /// Records as JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Check that nothing in the journal, or in an export of it, was changed, moved or left out.
    Verify {
        #[command(flatten)]
        place: Place,
        /// An export, instead of the journal of the data directory.
        file: Option<PathBuf>,
    },
    /// Write all records as JSON lines, each with its hash, so that anybody can verify them.
    Export {
        #[command(flatten)]
        place: Place,
        /// Where to; the standard output otherwise.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

pub(super) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Tail { place, from, no_follow, most, json } => {
            let client = place.client()?;
            if client.is_running() {
                tail(&client, from, most, json, no_follow)?;
            } else {
                tail_of_journal(&place.data()?, from, most, json)?;
            }
        }
        Command::Show { place, id, json } => return show_chain(&place, &id, json),
        Command::Verify { place, file: None } => return verify_journal(&place.data()?),
        Command::Verify { file: Some(file), .. } => return verify_export(&file),
        Command::Export { place, to } => export(&place.data()?, to.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tail(client: &Client, from: Option<u64>, most: usize, json: bool, no_follow: bool) -> anyhow::Result<()> {
    let from = from.map_or_else(String::new, |from| format!("&from={from}"));
    // What is there comes from the audit database, what comes is followed in the journal.
    let page = client.get(&format!("/records?most={most}{from}"))?;
    let mut next = None;
    for line in page.split(|c| *c == b'\n').filter(|line| !line.is_empty()) {
        next = line::split(line).and_then(|(_, json)| line::glance(json)).map(|glance| glance.seq.next());
        client::write_out(render(line, json).as_bytes())?;
    }
    if no_follow {
        return Ok(());
    }
    let path = next.map_or_else(|| "/tail".to_owned(), |next| format!("/tail?from={next}"));
    let mut rest = Vec::new();
    client.follow(&path, |bytes| {
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|c| *c == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            client::write_out(render(&line[..end], json).as_bytes())?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The same without a host: what its journal holds, and nothing to follow.
fn tail_of_journal(data: &Path, from: Option<u64>, most: usize, json: bool) -> anyhow::Result<()> {
    let mut lines = VecDeque::new();
    journal::scan(data, |_, record, line| {
        match from {
            // The first ones from a record on, or else the last ones.
            Some(from) if record.seq.0 < from || lines.len() >= most => return,
            None if lines.len() >= most => drop(lines.pop_front()),
            Some(_) | None => {}
        }
        lines.push_back(line.to_vec());
    })?;
    lines.truncate(most);
    for line in lines {
        client::write_out(render(&line, json).as_bytes())?;
    }
    eprintln!("no host runs: these records are the journal's, and none will follow");
    Ok(())
}

fn render(line: &[u8], json: bool) -> String {
    let Some((_, text)) = line::split(line) else { return String::new() };
    if json {
        return format!("{}\n", String::from_utf8_lossy(text));
    }
    match line::read_json(text) {
        Ok((record, _)) => show::record(&record),
        Err(error) => format!("a record that cannot be read: {error}\n"),
    }
}

fn show_chain(place: &Place, id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let lines = chain(place, id)?;
    if lines.is_empty() {
        println!("there is no record {id}");
        return Ok(ExitCode::FAILURE);
    }
    for line in lines {
        client::write_out(render(&line, json).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines of an episode: from the running host, or from the journal where none runs. None if there is no such record.
pub(super) fn chain(place: &Place, id: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let client = place.client()?;
    if !client.is_running() {
        return chain_of_journal(&place.data()?, id);
    }
    let answer = client.get(&format!("/chains/{id}"))?;
    Ok(answer.split(|c| *c == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

/// The same without a host: read the whole journal, twice.
fn chain_of_journal(data: &Path, id: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let seq = id.parse::<IntentId>().map(|intent| intent.proposed).ok().or_else(|| id.parse().map(Seq).ok());
    let seq = seq.with_context(|| format!("{id:?} is neither a record's number nor an intent, as in 1042.0"))?;
    let mut episode = None;
    journal::scan(data, |_, record, _| {
        if record.seq == seq {
            episode = Some(record.fact.episode().unwrap_or(EpisodeId(seq)));
        }
    })?;
    let mut lines = Vec::new();
    journal::scan(data, |_, record, line| {
        if record.fact.episode() == episode && episode.is_some() || Some(EpisodeId(record.seq)) == episode {
            lines.push(line.to_vec());
        }
    })?;
    Ok(lines)
}

fn verify_journal(data: &Path) -> anyhow::Result<ExitCode> {
    let Scanned { begins, chain, torn_bytes } = journal::scan(data, |_, _, _| {})?;
    say_verified(begins, chain);
    if torn_bytes > 0 {
        println!("behind them: {torn_bytes} bytes of an unfinished write, which nobody was told of");
    }
    Ok(ExitCode::SUCCESS)
}

fn say_verified(begins: Chain, chain: Chain) {
    let (count, hash) = (chain.seq.0 - begins.seq.0, chain.hash);
    let from = match begins {
        Chain::START => String::new(),
        Chain { seq, .. } => format!(", from record {} on: older ones are no longer kept", seq.next()),
    };
    println!("{count} records are whole and in order{from}; the last one's hash is {hash}");
}

/// The end of an exported line, behind the journal's own JSON without its last brace.
fn with_hash(json: &[u8], hash: &balm_core::digest::Digest) -> Vec<u8> {
    let mut line = json.strip_suffix(b"}").unwrap_or(json).to_vec();
    line.extend_from_slice(format!(",\"hash\":\"{hash}\"}}\n").as_bytes());
    line
}

/// The journal's JSON and the hash of an exported line.
fn without_hash(line: &[u8]) -> Option<(Vec<u8>, balm_core::digest::Digest)> {
    const END: usize = r#","hash":""}"#.len() + 64;
    let at = line.len().checked_sub(END)?;
    let hash = line[at..].strip_prefix(br#","hash":""#)?.strip_suffix(br#""}"#)?;
    let mut json = line[..at].to_vec();
    json.push(b'}');
    Some((json, balm_core::digest::Digest::from_hex(hash)?))
}

fn export(data: &Path, to: Option<&Path>) -> anyhow::Result<()> {
    let mut out: Box<dyn io::Write> = match to {
        Some(path) => {
            let file = File::create_new(path).with_context(|| format!("{} cannot be written", path.display()))?;
            Box::new(io::BufWriter::new(file))
        }
        None => Box::new(io::BufWriter::new(io::stdout().lock())),
    };
    let mut failed = None;
    journal::scan(data, |hash, _: &Record, line| {
        if let Some((_, json)) = line::split(line)
            && failed.is_none()
        {
            failed = out.write_all(&with_hash(json, &hash)).err();
        }
    })?;
    match failed.map_or_else(|| out.flush(), Err) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("the export cannot be written"),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn verify_export(path: &Path) -> anyhow::Result<ExitCode> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let (mut chain, mut goes_on, mut beginning) = (Chain::START, false, Beginning::default());
    for (number, line) in (1..).zip(BufReader::new(file).split(b'\n')) {
        let line = line.with_context(|| format!("{} cannot be read", path.display()))?;
        let place = || format!("{}:{number}", path.display());
        let Some((json, hash)) = without_hash(&line) else { bail!("{}: this is no line of an export", place()) };
        if chain == Chain::START {
            chain = before_first(&json).unwrap_or(chain);
        }
        let checked = line::read(chain, format!("{hash} {}", String::from_utf8_lossy(&json)).as_bytes());
        let read =
            checked.with_context(|| format!("{}: record {} is not what was written", place(), chain.seq.next()))?;
        chain = Chain { seq: read.record.seq, hash: read.hash };
        goes_on = read.record.more;
        beginning.note(&read.record, read.framing);
    }
    if goes_on {
        bail!("{} ends with record {}, and its batch goes on: the end is missing", path.display(), chain.seq);
    }
    if chain == Chain::START {
        bail!("{} holds no record", path.display());
    }
    beginning.check().with_context(|| format!("{} is not whole", path.display()))?;
    say_verified(beginning.first(), chain);
    Ok(ExitCode::SUCCESS)
}

/// Where the chain stands before the first line of an export of a journal that no longer begins with record 1.
fn before_first(json: &[u8]) -> Option<Chain> {
    let (record, framing) = line::read_json(json).ok()?;
    beginning::before(record.seq, framing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exported_line_gives_back_the_journals_bytes() {
        let json = br#"{"v":1,"seq":1,"at":5,"kind":"time-passed","data":{}}"#;
        let hash = balm_core::digest::Digest::of(&[json]);
        let line = with_hash(json, &hash);
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok(), "it is JSON for everybody");
        assert_eq!(without_hash(line.strip_suffix(b"\n").unwrap()), Some((json.to_vec(), hash)));
        assert_eq!(without_hash(json), None);
    }
}
