//! `balm audit`: what happened, and why, from the running host or from the journal itself.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use balm_core::{
    digest::Digest,
    line,
    name::{EpisodeId, IntentId, Seq},
    record::Fact,
};
use clap::Subcommand;

use super::{
    Place,
    client::Client,
    find,
    out::{self, Reader, say},
    show, verify,
};
use crate::{export, journal, plugins};

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
    /// Find records by what they are about, oldest first, page by page; all that is named must hold. The host may run.
    #[command(after_help = "\
Examples:
  balm audit find --policy web-cpu --result failed
  balm audit find --target arn:aws:ecs:eu-central-1:123456789012:service/prod/web --since 2026-11-01T00:00:00Z
  balm audit find --verdict limits --json --limit 1000")]
    Find(Box<find::Find>),
    /// Check that nothing in the journal, or in an export of it, was changed, moved or left out, and that its checkpoints fit.
    #[command(after_help = "\
Examples:
  balm audit verify                                 the journal of the data directory
  balm audit verify history.jsonl --checkpoint kept.txt --key \"$(cat balm.pub)\"")]
    Verify(verify::Verify),
    /// Print the public key that this host signs its checkpoints with.
    Key {
        #[command(flatten)]
        place: Place,
    },
    /// Write all records as JSON lines, each with its hash, so that anybody can verify them.
    Export {
        #[command(flatten)]
        place: Place,
        /// Where to; the standard output otherwise.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// A directory to put every version of a plugin into that the records name, named by its digest, for a replay elsewhere.
        #[arg(long, value_name = "DIR")]
        plugins: Option<PathBuf>,
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
        Command::Find(find) => return find::run(&find),
        Command::Verify(verify) => return verify::run(&verify),
        Command::Key { place } => return verify::show_key(&place.data()?),
        Command::Export { place, to, plugins } => write_export(&place.data()?, to.as_deref(), plugins.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tail(client: &Client, from: Option<u64>, most: usize, json: bool, no_follow: bool) -> anyhow::Result<()> {
    let asked = from.map(Seq);
    let from = from.map_or_else(String::new, |from| format!("&from={from}"));
    // What is there comes from the audit database, what comes is followed in the journal.
    let page = client.get(&format!("/records?most={most}{from}"))?;
    let mut next = None;
    for line in page.split(|c| *c == b'\n').filter(|line| !line.is_empty()) {
        next = line::split(line).and_then(|(_, json)| line::glance(json)).map(|glance| glance.seq.next());
        if out::write(render(line, json))? == Reader::Gone {
            return Ok(());
        }
    }
    if no_follow {
        return Ok(());
    }
    let path = next.or(asked).map_or_else(|| "/tail".to_owned(), |next| format!("/tail?from={next}"));
    let mut rest = Vec::new();
    let mut written = Ok(Reader::Listens);
    client.follow(&path, |bytes| {
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|c| *c == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            written = out::write(render(&line[..end], json));
            if !matches!(written, Ok(Reader::Listens)) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    written?;
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
        out::write(render(&line, json))?;
    }
    out::aside("no host runs: these records are the journal's, and none will follow");
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
        say!("there is no record {id}")?;
        return Ok(ExitCode::FAILURE);
    }
    for line in lines {
        out::write(render(&line, json))?;
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

fn write_export(data: &Path, to: Option<&Path>, plugins: Option<&Path>) -> anyhow::Result<()> {
    let mut out: Box<dyn io::Write> = match to {
        Some(path) => {
            let file = File::create_new(path).with_context(|| format!("{} cannot be written", path.display()))?;
            Box::new(io::BufWriter::new(file))
        }
        None => Box::new(out::in_pieces()),
    };
    let name = to.map_or_else(|| "the standard output".to_owned(), |path| path.display().to_string());
    let mut versions = BTreeSet::new();
    export::write(data, &name, &mut out, |record| match &record.fact {
        // What put its version in force may be no longer kept.
        Fact::Evaluated(capsule) => drop(versions.insert(capsule.plugin)),
        fact => versions.extend(fact.version().map(|(_, digest)| digest)),
    })?;
    plugins.map_or(Ok(()), |dir| copy_plugins(data, dir, &versions))
}

fn copy_plugins(data: &Path, to: &Path, versions: &BTreeSet<Digest>) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    let kept = plugins::kept(data);
    for digest in versions {
        let file = plugins::file_name(*digest);
        let copied = fs::copy(kept.join(&file), to.join(&file));
        copied.with_context(|| format!("version {} of a plugin cannot be copied", digest.short()))?;
    }
    Ok(())
}
