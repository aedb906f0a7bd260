//! What is to go wrong in the world, and when: one step in one way, or the process at one point.

use rekeyd::domain::failure::Failure;

/// How a step goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum How {
    /// It is refused, without an effect.
    Refused(Failure),
    /// It takes effect, and its reply is lost.
    Lost(Failure),
    /// The process dies with the intent on disk and the call not made.
    DiesBefore,
    /// The process dies with the effect taken and nothing written.
    DiesAfter,
}

pub(crate) struct Trouble {
    step: String,
    pass: u32,
    times: u32,
    how: How,
}

/// What is to go wrong.
#[derive(Default)]
pub(crate) struct Script {
    /// One by one; cleared, nothing goes wrong any more.
    pub(crate) troubles: Vec<Trouble>,
    /// Moments at which the process could die: before and after each call, before and after each write.
    pub(crate) points: u32,
    /// The moment at which it does, counted from 1.
    pub(crate) dies_at: Option<u32>,
    dying: bool,
}

impl Script {
    /// Lets `times` steps of this name go wrong, after `pass` that go well.
    pub(crate) fn plan(&mut self, step: &str, pass: u32, times: u32, how: How) {
        self.troubles.push(Trouble { step: step.to_owned(), pass, times, how });
    }

    /// How the step that is about to be taken goes wrong.
    pub(crate) fn next(&mut self, step: &str) -> Option<How> {
        let trouble = self.troubles.iter_mut().find(|trouble| trouble.step == step && trouble.times > 0)?;
        if trouble.pass > 0 {
            trouble.pass -= 1;
            return None;
        }
        trouble.times -= 1;
        Some(trouble.how.clone())
    }

    /// A moment at which the process may die. Answers whether it does.
    pub(crate) fn point(&mut self) -> bool {
        self.points += 1;
        if self.dies_at == Some(self.points) {
            self.dying = true;
        }
        self.dying
    }

    pub(crate) fn die(&mut self) {
        self.dying = true;
    }

    /// Whether the process dies now; asked once.
    pub(crate) fn dies(&mut self) -> bool {
        std::mem::take(&mut self.dying)
    }
}
