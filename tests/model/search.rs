//! The search: every state that so many disturbances can bring about, each once, the least disturbed first.
//!
//! A model moves by acts. Some are free: the daemon goes on as it does when nobody disturbs it, and what has a choice
//! anyhow takes one. The others are disturbances, a fault or a wish, and a path may hold only so many of them. States
//! are found layer by layer, by the number of disturbances they take, so that a state is explored where it leaves the
//! most disturbances to come, and a path to a violation holds as few of them as can be.
//!
//! Of a state only its fingerprint is kept, with the way it was reached. States themselves live as long as their
//! layer. Work is done in parallel and merged in order: the same search finds the same states, whoever runs it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// What is searched.
pub(crate) trait Model: Sync {
    type State: Clone + Send + Sync;
    type Act: Copy + Debug + Send + Sync;

    fn first(&self) -> Self::State;

    /// What may happen by itself. The first is what happens when nothing unusual does.
    fn free(&self, state: &Self::State) -> Vec<Self::Act>;

    /// What may disturb it.
    fn disturbed(&self, state: &Self::State) -> Vec<Self::Act>;

    /// The state after `act`; `None` where the act is impossible or would be nothing but a free one. `story` takes
    /// down what happens, for a timeline.
    fn take(
        &self,
        state: &Self::State,
        act: Self::Act,
        story: Option<&mut Vec<String>>,
    ) -> Option<Self::State>;

    fn print(&self, state: &Self::State) -> u128;

    /// What is wrong with a state.
    fn wrong(&self, state: &Self::State) -> Option<String>;

    /// Whether a state needs nothing more: its name, for counting.
    fn end(&self, state: &Self::State) -> Option<&'static str>;

    /// The kind of a disturbance, for counting.
    fn kind(&self, act: Self::Act) -> &'static str;
}

/// A fingerprint is its own hash.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed");
    }
    fn write_u128(&mut self, print: u128) {
        self.0 = u64::try_from(print >> 64).expect("the high half fits");
    }
}

struct Node<A> {
    /// From where it was reached first, and by which act.
    parent: u32,
    act: Option<A>,
    /// Where it goes on to when nothing disturbs it.
    next: u32,
    depth: u16,
    end: Option<&'static str>,
}

/// No node.
const NONE: u32 = u32::MAX;

/// States expanded at once: what they lead to is in memory until it is merged.
const BATCH: usize = 512;

/// Something that must not be, and how it comes about.
pub(crate) struct Violation {
    pub(crate) what: String,
    pub(crate) timeline: Vec<String>,
}

/// What a search found.
pub(crate) struct Report {
    pub(crate) states: usize,
    /// The longest of the paths by which states were reached.
    pub(crate) depth: usize,
    pub(crate) disturbances: usize,
    /// The kinds of disturbances that made a difference, and how often.
    pub(crate) kinds: std::collections::BTreeMap<&'static str, usize>,
    /// The ends that were reached, and how often.
    pub(crate) ends: std::collections::BTreeMap<&'static str, usize>,
    pub(crate) violation: Option<Violation>,
}

struct Found<M: Model> {
    from: u32,
    act: M::Act,
    print: u128,
    /// Absent where it was known before.
    state: Option<M::State>,
    wrong: Option<String>,
    /// Whether it is how the state it comes from goes on by itself.
    goes_on: bool,
}

struct Search<'a, M: Model> {
    model: &'a M,
    index: HashMap<u128, u32, BuildHasherDefault<Itself>>,
    nodes: Vec<Node<M::Act>>,
    report: Report,
}

/// Searches `model` with at most `budget` disturbances on a path, to the end or to the first violation.
pub(crate) fn search<M: Model>(model: &M, budget: usize) -> Report {
    silence();
    let report = Report {
        states: 0,
        depth: 0,
        disturbances: 0,
        kinds: std::collections::BTreeMap::new(),
        ends: std::collections::BTreeMap::new(),
        violation: None,
    };
    let mut search = Search { model, index: HashMap::default(), nodes: Vec::new(), report };
    search.run(budget);
    search.report.states = search.nodes.len();
    search.report
}

impl<M: Model> Search<'_, M> {
    fn run(&mut self, budget: usize) {
        let first = self.model.first();
        let print = self.model.print(&first);
        self.add(print, NONE, None, &first);
        let mut layer = Vec::new();
        self.close(vec![(0, first)], (budget > 0).then_some(&mut layer));
        for disturbances in 1..=budget {
            let mut next = Vec::new();
            for batch in layer.chunks(BATCH) {
                if self.report.violation.is_some() {
                    return;
                }
                let found = self.expand(batch, M::disturbed, true);
                let seeds = self.merge(found, true);
                self.close(seeds, (disturbances < budget).then_some(&mut next));
            }
            self.report.disturbances = disturbances;
            layer = next;
        }
        if self.report.violation.is_none() {
            self.find_circle();
        }
    }

    /// Follows the free acts from `states` to the end. Every state on the way is put into `layer`.
    fn close(&mut self, mut states: Vec<(u32, M::State)>, mut layer: Option<&mut Vec<(u32, M::State)>>) {
        while !states.is_empty() && self.report.violation.is_none() {
            let mut next = Vec::new();
            for batch in states.chunks(BATCH) {
                let found = self.expand(batch, M::free, false);
                next.extend(self.merge(found, false));
            }
            if let Some(layer) = layer.as_deref_mut() {
                layer.append(&mut states);
            }
            states = next;
        }
    }

    fn expand(
        &self,
        states: &[(u32, M::State)],
        acts: fn(&M, &M::State) -> Vec<M::Act>,
        disturbs: bool,
    ) -> Vec<Found<M>> {
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        let share = states.len().div_ceil(workers).max(16);
        let expand = |states: &[(u32, M::State)]| {
            let mut found = Vec::new();
            for (from, state) in states {
                for (number, act) in acts(self.model, state).into_iter().enumerate() {
                    found.extend(self.after(*from, state, act, number == 0 && !disturbs));
                }
            }
            found
        };
        if states.len() <= share {
            return expand(states);
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                states.chunks(share).map(|share| scope.spawn(move || expand(share))).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("what panics is caught")).collect()
        })
    }

    fn after(&self, from: u32, state: &M::State, act: M::Act, goes_on: bool) -> Option<Found<M>> {
        let taken = catch_unwind(AssertUnwindSafe(|| self.model.take(state, act, None)));
        let next = match taken {
            Ok(next) => next?,
            Err(panic) => {
                let wrong = Some(format!("the code says no: {}", said(panic.as_ref())));
                return Some(Found { from, act, print: 0, state: None, wrong, goes_on });
            }
        };
        let print = self.model.print(&next);
        let wrong = self.model.wrong(&next);
        let known = self.index.contains_key(&print);
        Some(Found { from, act, print, state: (!known).then_some(next), wrong, goes_on })
    }

    fn merge(&mut self, found: Vec<Found<M>>, disturbs: bool) -> Vec<(u32, M::State)> {
        let mut fresh = Vec::new();
        for Found { from, act, print, state, wrong, goes_on } in found {
            if let Some(what) = wrong {
                if self.report.violation.is_none() {
                    self.report.violation = Some(self.violation(what, from, Some(act)));
                }
                continue;
            }
            if disturbs {
                *self.report.kinds.entry(self.model.kind(act)).or_default() += 1;
            }
            let index = match (self.index.get(&print), state) {
                (Some(index), _) => *index,
                (None, Some(state)) => {
                    let index = self.add(print, from, Some(act), &state);
                    fresh.push((index, state));
                    index
                }
                (None, None) => unreachable!("a state that was known stays known"),
            };
            if goes_on {
                self.nodes[from as usize].next = index;
            }
        }
        fresh
    }

    fn add(&mut self, print: u128, parent: u32, act: Option<M::Act>, state: &M::State) -> u32 {
        let index = u32::try_from(self.nodes.len()).expect("four thousand million states do not fit anyhow");
        let depth = if parent == NONE { 0 } else { self.nodes[parent as usize].depth + 1 };
        let end = self.model.end(state);
        if let Some(end) = end {
            *self.report.ends.entry(end).or_default() += 1;
        }
        self.report.depth = self.report.depth.max(usize::from(depth));
        self.nodes.push(Node { parent, act, next: NONE, depth, end });
        match self.index.entry(print) {
            Entry::Vacant(place) => place.insert(index),
            Entry::Occupied(_) => unreachable!("only what is not known is added"),
        };
        index
    }

    /// Once disturbances stop, every state goes on to an end: nothing goes round in circles for ever.
    fn find_circle(&mut self) {
        const UNKNOWN: u8 = 0;
        const ENDS: u8 = 1;
        const ON_THE_WAY: u8 = 2;
        let mut marks = vec![UNKNOWN; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut way = Vec::new();
            let mut at = start;
            while marks[at] == UNKNOWN && self.nodes[at].end.is_none() && self.nodes[at].next != NONE {
                marks[at] = ON_THE_WAY;
                way.push(at);
                at = self.nodes[at].next as usize;
            }
            if marks[at] == ON_THE_WAY || (marks[at] == UNKNOWN && self.nodes[at].end.is_none()) {
                let what = "it goes on for ever and never settles or halts".to_owned();
                let index = u32::try_from(at).expect("an index of a node is one");
                self.report.violation = Some(self.violation(what, index, None));
                return;
            }
            marks[at] = ENDS;
            for at in way {
                marks[at] = ENDS;
            }
        }
    }

    /// The timeline: the acts from the first state on, taken once more.
    fn violation(&self, what: String, at: u32, last: Option<M::Act>) -> Violation {
        let mut acts: Vec<M::Act> = last.into_iter().collect();
        let mut node = &self.nodes[at as usize];
        while let Some(act) = node.act {
            acts.push(act);
            node = &self.nodes[node.parent as usize];
        }
        acts.reverse();
        let mut timeline = Vec::new();
        let mut state = self.model.first();
        for act in acts {
            let taken = catch_unwind(AssertUnwindSafe(|| self.model.take(&state, act, Some(&mut timeline))));
            match taken {
                Ok(Some(next)) => state = next,
                Ok(None) => timeline.push(format!("{act:?} makes no difference")),
                Err(panic) => timeline.push(format!("panic: {}", said(panic.as_ref()))),
            }
        }
        if last.is_none() {
            for _ in 0..40 {
                let Some(act) = self.model.free(&state).first().copied() else { break };
                let Some(next) = self.model.take(&state, act, Some(&mut timeline)) else { break };
                state = next;
            }
        }
        Violation { what, timeline }
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// What panics on a search's own thread is caught and reported with its timeline; it is not printed besides.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let from_product = panic.location().is_some_and(|place| !place.file().contains("tests/"));
            if !from_product {
                usual(panic);
            }
        }));
    });
}
