//! What reads and subscriptions need of an engine: the committed epochs everybody may see, and the way
//! to the other processes.
//!
//! The committer publishes into it; `ask/`, `feed/` and `reader.rs` read from it and know nothing else
//! of the running engine.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use spoor_operators::assign::CompiledRules;
use spoor_operators::sessionize::backend::SessionChange;

use crate::ask::forward::Forwarded;
use crate::ask::history::History;
use crate::ask::lists::Lists;
use crate::ask::{Answerer, Peers};
use crate::fate::Fate;
use crate::feed::Feed;
use crate::plan::Plan;
use spoor_api::lineage::Lineage;
use spoor_api::service::View;
use spoor_store::{Store, StoreNumbers, StoreView};

/// See the module's description.
pub struct Serving {
    pub(crate) plan: Arc<Plan>,
    pub(crate) store: Store,
    pub(crate) fate: Arc<Fate>,
    /// Which epochs are of this store, or of the whole cluster.
    pub(crate) lineage: Arc<Lineage>,
    pub(crate) feed: Feed,
    /// The other processes; none: this one is alone.
    pub(crate) peers: OnceLock<Arc<dyn Peers>>,
    /// Answers what they ask.
    pub(crate) answerer: OnceLock<Arc<dyn Answerer>>,
    pub(crate) history: History,
    pub(crate) lists: Lists,
    pub(crate) forwarded: Forwarded,
    pub(crate) published: ArcSwap<Published>,
}

/// What everybody may see: the engine as of a committed epoch.
pub struct Published {
    /// The store then.
    pub view: Arc<StoreView>,
    /// The rules in force then.
    pub rules: Arc<CompiledRules>,
    /// Numbers of the store then.
    pub numbers: StoreNumbers,
}

impl Serving {
    /// What everybody may see now.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// Lets everybody see a committed epoch, and subscribers what it changed, if that is kept.
    pub(crate) fn publish(&self, published: Published, changes: Option<Vec<SessionChange>>) {
        let epoch = published.view.epoch();
        // Whoever sees the epoch finds its changes, and whoever is told of it sees it.
        let announces = changes.is_some();
        if let Some(changes) = changes {
            self.feed.remember(epoch, changes);
        }
        self.let_see(published);
        if announces {
            self.feed.announce(epoch);
        }
    }
}
