//! Tells that this worker is there: `worker-online`, `worker-heartbeat`, `worker-offline`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::Shared;

/// How often a worker tells that it is there, by default; who hears nothing for twice that takes it to be gone.
/// Celery's `--heartbeat-interval`.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);

/// Tells it now, and again and again until dropped.
pub(crate) async fn presence(shared: Arc<Shared>) {
    let Some(every) = shared.presence else { return };
    tell(&shared, "worker-online");
    let mut beats = tokio::time::interval(every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        tell(&shared, "worker-heartbeat");
    }
}

/// Tells that it goes.
pub(crate) fn say_goodbye(shared: &Shared) {
    if shared.presence.is_some() {
        tell(shared, "worker-offline");
    }
}

/// Tells one such event, with what Celery's workers tell of themselves.
pub(crate) fn tell(shared: &Shared, kind: &str) {
    let every = shared.presence.unwrap_or(HEARTBEAT);
    let fields = json!({
        "freq": every.as_secs_f64(),
        "active": shared.tasks.active_count(),
        "processed": shared.tasks.processed(),
        "loadavg": load_average(),
        "sw_ident": "aipo",
        "sw_ver": env!("CARGO_PKG_VERSION"),
        "sw_sys": system(),
    });
    shared.events.tell(kind, fields);
}

/// The operating system, as Python's `platform.system()` has it.
fn system() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        "windows" => "Windows",
        other => other,
    }
}

/// How busy the machine was in the last 1, 5 and 15 minutes; zeros where it does not tell.
fn load_average() -> Value {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut loads = told.split(' ').map_while(|load| load.parse::<f64>().ok());
    let [one, five, fifteen] = [(); 3].map(|()| loads.next().unwrap_or(0.0));
    json!([one, five, fifteen])
}
