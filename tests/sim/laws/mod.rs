//! What must hold: one law a file. They look at every step, and say what is broken.

mod bounded;
mod comes_back;
mod nothing_left;
mod one_owner;
mod quiet;
mod stays;
mod told;
mod trees;

use crate::world::{At, STEP, World};

/// A law that was broken.
#[derive(Debug, Clone)]
pub struct Broken {
    pub law: &'static str,
    pub why: String,
    pub at: At,
}

/// What the laws remember.
#[derive(Debug, Default)]
pub struct Laws {
    quiet: quiet::Quiet,
    told: told::Told,
    crossings: trees::Crossings,
    looks: u64,
}

impl World {
    /// All laws look at the world as it is now.
    pub fn judge(&mut self) {
        self.laws.looks += 1;
        let looks = self.laws.looks;
        self.rule("comes back", Self::law_comes_back);
        self.rule("one owner", Self::law_one_owner);
        if looks.is_multiple_of(4) {
            let quiet = self.law_quiet();
            self.rule("quiet", |_| quiet);
        }
        if looks.is_multiple_of(8) {
            self.rule("bounded", Self::law_bounded);
            self.rule("trees", Self::law_trees);
            let crosses = self.law_crosses_once();
            self.rule("crosses once", |_| crosses);
            let told = self.law_told();
            self.rule("told", |_| told);
        }
        if self.now + STEP > self.ends && self.now > self.last_orders {
            self.rule("nothing left", Self::law_nothing_left);
        }
    }

    fn rule(&mut self, law: &'static str, look: impl FnOnce(&Self) -> Result<(), String>) {
        if let Err(why) = look(self) {
            self.breaks(law, why);
        }
    }
}
