//! A budget of bytes for each answer, and one for all, charged while an answer is being made.
//!
//! Cost and depth bound what a query may select, not how large the values are. So every value that
//! is resolved is charged; when an answer has become too large nothing more of it is resolved, and
//! the client is told the limit instead. What was charged is given back once the answer is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_graphql::async_trait::async_trait;
use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo,
};
use async_graphql::{ServerError, ServerResult, Value};
use tokio::sync::Notify;

use crate::error::{Code, coded};
use crate::options::VALUE_BYTES;

/// The budget of all answers.
#[derive(Debug)]
pub struct Budgets {
    each_max: usize,
    all_max: usize,
    used: AtomicUsize,
}

impl Budgets {
    /// At most `each_max` bytes for one answer and `all_max` for all together.
    #[must_use]
    pub fn new(each_max: usize, all_max: usize) -> Arc<Self> {
        Arc::new(Self { each_max, all_max, used: AtomicUsize::new(0) })
    }

    /// The budget of one answer.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Arc<Budget> {
        Arc::new(Budget {
            all: Arc::clone(self),
            used: AtomicUsize::new(0),
            is_spent: AtomicBool::new(false),
            spent: Notify::new(),
        })
    }

    /// Bytes charged for all current answers.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// The budget of one answer; dropping it gives back what was charged.
#[derive(Debug)]
pub struct Budget {
    all: Arc<Budgets>,
    used: AtomicUsize,
    is_spent: AtomicBool,
    spent: Notify,
}

impl Budget {
    /// Charges bytes; false when that is more than this answer or all answers may take.
    pub fn take(&self, bytes: usize) -> bool {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.all.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let fits = used <= self.all.each_max && all <= self.all.all_max;
        if !fits {
            self.is_spent.store(true, Ordering::Relaxed);
            self.spent.notify_one();
        }
        fits
    }

    /// Waits until more was charged than fits; answers the error for the client.
    pub async fn spent(&self) -> ServerError {
        self.spent.notified().await;
        if self.used.load(Ordering::Relaxed) > self.all.each_max {
            let most = self.all.each_max;
            let text = format!(
                "the answer is larger than {most} bytes (a value counts {VALUE_BYTES} besides its \
                 text); ask for shorter pages, fewer fields or fewer aliases"
            );
            return coded(Code::ResourceExhausted, text);
        }
        coded(Code::Unavailable, "too many large answers at one time; try again later")
    }

    /// Gives back everything charged: each event of a subscription is an answer of its own.
    pub fn reset(&self) {
        let used = self.used.swap(0, Ordering::Relaxed);
        self.all.used.fetch_sub(used, Ordering::Relaxed);
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.reset();
    }
}

/// Charges what is resolved to the budget among the data of a request.
pub struct Meter;

impl ExtensionFactory for Meter {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Meter {
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let Some(budget) = ctx.data_opt::<Arc<Budget>>() else { return next.run(ctx, info).await };
        let name = info.alias.unwrap_or(info.name).len();
        if budget.is_spent.load(Ordering::Relaxed) {
            // The executor sees `spent` and drops the whole answer, this future included.
            return std::future::pending().await;
        }
        let value = next.run(ctx, info).await?;
        if !budget.take(VALUE_BYTES + name + value.as_ref().map_or(0, text_bytes)) {
            return std::future::pending().await;
        }
        Ok(value)
    }
}

/// Bytes of the text of a value; the entries of lists and objects were charged when they were
/// resolved.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Enum(name) => name.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::Null | Value::Number(_) | Value::Boolean(_) | Value::List(_) | Value::Object(_) => 0,
    }
}
