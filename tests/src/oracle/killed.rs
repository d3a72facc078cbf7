//! A host that is killed after any of its writes, and lives again from the bytes of its journal, judges by the same as the
//! one that lived on.

use balm_core::{
    digest::Digest,
    engine::Engine,
    line::{self, Chain, Framing},
    name::Seq,
    recovery,
    state::State,
    trial::Trial,
};

/// What the guard judged by after which records of a life.
#[derive(Debug, Default)]
pub(super) struct Moments(Vec<(Seq, Digest)>);

impl Moments {
    /// Note what the guard judges by now.
    pub(super) fn note(&mut self, state: &State) {
        self.0.push((state.seq, judged_by(state)));
    }

    /// How many moments there are at which a host that lives again judges by something else, or does not come to live.
    pub(super) fn differing(&self, trial: &Trial) -> Vec<Seq> {
        let (mut bytes, mut chain) = (Vec::new(), Chain::START);
        for record in trial.records() {
            let framing = Framing { synced: Some(chain.seq), prev: None };
            chain = line::write(chain, record, framing, &mut bytes);
        }
        let (mut engine, mut moments) = (Engine::new(), self.0.iter().peekable());
        let mut differing = Vec::new();
        recovery::read_file(&bytes, Chain::START, |batch| {
            batch.iter().for_each(|placed| engine.replay(&placed.line.record));
            while let Some((seq, digest)) = moments.next_if(|(seq, _)| *seq <= engine.state().seq) {
                if *seq != engine.state().seq || *digest != judged_by(engine.state()) {
                    differing.push(*seq);
                }
            }
        });
        differing.extend(moments.map(|(seq, _)| *seq));
        differing
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

fn judged_by(state: &State) -> Digest {
    Digest::of(&[format!("{:?}", state.guarded()).as_bytes()])
}
