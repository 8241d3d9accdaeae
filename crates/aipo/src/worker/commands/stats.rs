//! `stats`: numbers about the worker and its process.

use aipo_core::url::redact;
use serde_json::{Map, Value, json};

use super::Answer;
use crate::worker::Shared;

/// Clock ticks in a second, as Linux tells times in `/proc`.
const TICKS: f64 = 100.0;
/// Linux counts disk I/O of a process in bytes, `getrusage` in blocks of this size.
const BLOCK: u64 = 512;

pub(super) fn stats(shared: &Shared) -> Answer {
    let settings = shared.app.settings();
    let slots = shared.slots.count();
    let uptime = shared.app.clock().now().duration_since(shared.started);
    Ok(json!({
        "total": shared.tasks.total(),
        "outcomes": shared.tasks.outcomes(),
        "pid": std::process::id(),
        "clock": shared.app.lamport().value().to_string(),
        "uptime": uptime.as_secs(),
        "pool": {
            "implementation": "aipo:tokio",
            "max-concurrency": slots,
            "processes": [std::process::id()],
            "max-tasks-per-child": "N/A",
            "put-guarded-by-semaphore": true,
            "timeouts": [
                seconds(settings.task_soft_time_limit),
                seconds(settings.task_time_limit),
            ],
        },
        "broker": broker(&settings.broker_url),
        "prefetch_count": slots * settings.worker_prefetch_multiplier,
        "rusage": rusage().unwrap_or_else(|| "N/A".into()),
    }))
}

fn seconds(limit: Option<std::time::Duration>) -> f64 {
    limit.map_or(0.0, |limit| limit.as_secs_f64())
}

/// The parts of the broker's address, without the password.
fn broker(url: &str) -> Value {
    let url = redact(url);
    let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
    let rest = rest.split('?').next().unwrap_or_default();
    let is_server = !matches!(scheme, "sqlite" | "memory" | "redis+socket");
    let (place, path) = match is_server {
        true => rest.split_once('/').unwrap_or((rest, "")),
        false => ("", rest),
    };
    let (user, host) = place.rsplit_once('@').unwrap_or(("", place));
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port.parse::<u16>().ok()),
        None => (host, None),
    };
    let user = user.split(':').next().filter(|user| !user.is_empty());
    json!({
        "transport": scheme,
        "hostname": Some(host).filter(|host| !host.is_empty()),
        "port": port,
        "userid": user,
        "virtual_host": path,
        "ssl": scheme == "rediss",
        "transport_options": {},
        "alternates": [],
    })
}

/// What the process has used so far, by the names of `getrusage`; `None` where the system does not tell.
fn rusage() -> Option<Value> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
    let stat = read("stat")?;
    // Numbers follow the name of the program, which stands in brackets and may be anything.
    let fields: Vec<u64> = stat
        .rsplit_once(") ")?
        .1
        .split(' ')
        .skip(1)
        .map(|field| field.trim().parse().unwrap_or(0))
        .collect();
    let field = |number: usize| fields.get(number - 4).copied().unwrap_or(0);
    let status = read("status").unwrap_or_default();
    let io = read("io").unwrap_or_default();
    let named = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        number
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let mut rusage = Map::from_iter([
        ("utime".to_owned(), json!(field(14) as f64 / TICKS)),
        ("stime".to_owned(), json!(field(15) as f64 / TICKS)),
    ]);
    let counts = [
        ("maxrss", named(&status, "VmHWM:")),
        ("minflt", field(10)),
        ("majflt", field(12)),
        ("inblock", named(&io, "read_bytes:") / BLOCK),
        ("oublock", named(&io, "write_bytes:") / BLOCK),
        ("nvcsw", named(&status, "voluntary_ctxt_switches:")),
        ("nivcsw", named(&status, "nonvoluntary_ctxt_switches:")),
    ];
    rusage.extend(counts.map(|(name, count)| (name.to_owned(), json!(count))));
    // Linux keeps no account of these.
    for name in [
        "ixrss", "idrss", "isrss", "nswap", "msgsnd", "msgrcv", "nsignals",
    ] {
        rusage.insert(name.to_owned(), json!(0));
    }
    Some(Value::Object(rusage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_in_parts() {
        #[track_caller]
        fn check(url: &str, expected: Value) {
            let parts = broker(url);
            let told = ["transport", "hostname", "port", "userid", "virtual_host"]
                .map(|part| parts[part].clone());
            assert_eq!(Value::from_iter(told), expected, "{url}");
        }
        check("redis://h:6400/0", json!(["redis", "h", 6400, null, "0"]));
        check(
            "rediss://ana:secret@h/1?x=y",
            json!(["rediss", "h", null, "ana", "1"]),
        );
        check("redis://:secret@h", json!(["redis", "h", null, null, ""]));
        check(
            "sqlite:///var/a.db",
            json!(["sqlite", null, null, null, "/var/a.db"]),
        );
        check("memory://", json!(["memory", null, null, null, ""]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_what_the_process_uses() {
        let rusage = rusage().expect("Linux has /proc");
        assert!(rusage["maxrss"].as_u64() > Some(100), "{rusage}");
        assert!(rusage["minflt"].as_u64() > Some(0), "{rusage}");
    }
}
