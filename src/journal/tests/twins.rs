//! The two journals held against each other, under whatever two instances may do.

use proptest::prelude::*;

use super::conformance::{LIFE, Store, at, draft, sequences, tenant};
use super::samples;
use crate::ports::{Draft, Lease};

/// What one of two instances does.
#[derive(Debug, Clone)]
enum Op {
    Acquire { tenant: usize, seconds: u32 },
    Append { tenant: usize, credential: usize, sample: prop::sample::Index, off_by: u64 },
    Release { tenant: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..2_usize, 0..100_u32).prop_map(|(tenant, seconds)| Op::Acquire { tenant, seconds }),
        6 => (0..2_usize, 0..2_usize, any::<prop::sample::Index>(), prop_oneof![4 => Just(0), 1 => 1..3_u64])
            .prop_map(|(tenant, credential, sample, off_by)| Op::Append { tenant, credential, sample, off_by }),
        1 => (0..2_usize).prop_map(|tenant| Op::Release { tenant }),
    ]
}

/// Does `ops` on two instances of `store`; what was answered, and how many appends were.
async fn play(store: &Store, ops: &[(usize, Op)]) -> (Vec<String>, usize) {
    let journals = [store.open(), store.open()];
    let mut now = 0;
    let mut leases: [[Option<Lease>; 2]; 2] = Default::default();
    let mut last = [[0; 2]; 2];
    let (mut answers, mut appended) = (Vec::new(), 0);
    for (who, op) in ops {
        let (journal, own) = (&journals[*who], &mut leases[*who]);
        answers.push(match op {
            Op::Acquire { tenant: index, seconds } => {
                now += seconds;
                let holder = ["left", "right"][*who];
                let answer = journal.acquire(&tenant(["t", "u"][*index]), holder, at(now), LIFE).await;
                if let Ok(Some(lease)) = &answer {
                    own[*index] = Some(lease.clone());
                }
                format!("{answer:?}")
            }
            Op::Append { tenant: index, credential, sample, off_by } => {
                let Some(lease) = &own[*index] else { continue };
                let name = format!("{}/{}", ["t", "u"][*index], ["a", "b"][*credential]);
                let event = sample.get(&samples::events()).clone();
                let known: &mut u64 = &mut last[*index][*credential];
                let draft = Draft { at: at(now), event, ..draft(&name, *known + off_by) };
                let answer = journal.append(lease, draft).await;
                if let Ok(entry) = &answer {
                    (*known, appended) = (entry.sequence, appended + 1);
                }
                format!("{answer:?}")
            }
            Op::Release { tenant: index } => match &own[*index] {
                Some(lease) => format!("{:?}", journal.release(lease).await),
                None => continue,
            },
        });
    }
    let entries = journals[0].read(None, 0).await.unwrap();
    assert_eq!(sequences(&entries), (1..=u64::try_from(appended).unwrap()).collect::<Vec<_>>());
    assert_eq!(journals[1].verify().await, Ok(u64::try_from(appended).unwrap()));
    answers.push(format!("{entries:?}"));
    (answers, appended)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever two instances do to several credentials: the sequence is dense, the chain holds, and memory answers
    /// what `SQLite` answers.
    #[test]
    fn the_twins_agree(ops in prop::collection::vec((0..2_usize, op()), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let memory = runtime.block_on(play(&Store::memory(), &ops));
        let sqlite = runtime.block_on(play(&Store::sqlite(), &ops));
        prop_assert_eq!(memory, sqlite);
    }
}
