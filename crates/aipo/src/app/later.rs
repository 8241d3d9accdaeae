//! Steps of workflows that are kept in the state store, and references to them in messages.
//!
//! Before it: `aipo_core::canvas` says what is kept. Whoever comes to a reference, `worker::follow` or `worker::chords`,
//! puts what was kept in its place here; the step in which that is carried out forgets it.

use std::time::Duration;

use aipo_core::Result;
use aipo_core::canvas::{Kept, first_reference, give_up, kept, parse, resolve};
use aipo_core::store::Fact;
use serde_json::Value;

use super::App;
use super::workflow::{new_id, not_a_workflow};

/// How long steps are kept at least: a workflow whose step waits for longer fails there.
const KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);

impl App {
    /// What is kept, as the state store has it.
    pub(super) fn keep(&self, kept: &Kept) -> Fact {
        let results = self.settings().result_expires.non_zero();
        Fact {
            key: kept.key.clone(),
            value: serde_json::to_vec(&kept.steps)
                .expect("a signature has text keys only, which JSON can hold"),
            ttl: Some(results.unwrap_or_default().max(KEPT_FOR)),
        }
    }

    /// Puts what was kept in the place of a signature that refers to it. `used` gets the keys.
    ///
    /// # Errors
    /// What the store answers, or when what was kept can't be read.
    pub(crate) async fn recall(&self, signature: &mut Value, used: &mut Vec<String>) -> Result<()> {
        while let Some(key) = kept(signature) {
            let key = key.to_owned();
            self.recall_one(signature, &key).await?;
            used.push(key);
        }
        Ok(())
    }

    /// Puts all that was kept in the place of references in a signature that ends without running.
    ///
    /// # Errors
    /// As [`recall`](Self::recall).
    pub(crate) async fn recall_all(
        &self,
        signature: &mut Value,
        used: &mut Vec<String>,
    ) -> Result<()> {
        while let Some(reference) = first_reference(signature) {
            self.recall(reference, used).await?;
        }
        Ok(())
    }

    async fn recall_one(&self, reference: &mut Value, key: &str) -> Result<()> {
        let stored = self.store().state.get(&[key.to_owned()]).await?;
        let steps = stored.into_iter().flatten().next();
        let steps = steps.map(|bytes| parse(&String::from_utf8_lossy(&bytes)));
        match steps {
            Some(Ok(steps)) => {
                *reference = resolve(reference, &steps, &mut new_id).map_err(not_a_workflow)?;
            }
            Some(Err(error)) => {
                tracing::error!(key, %error, "the steps of a workflow can't be read");
                give_up(reference);
            }
            None => {
                tracing::error!(key, "the steps of a workflow are kept no more");
                give_up(reference);
            }
        }
        Ok(())
    }
}
