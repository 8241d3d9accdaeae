//! A command to workers, and what one of them replies. kombu calls this a pidbox.

use regex_lite::Regex;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::{TRANSIENT, body, clock_header, envelope, headers};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Envelope;
use crate::store::{Address, Notice, Topic};

/// kombu sends requests so, although nothing keeps them.
const PERSISTENT: u8 = 2;

/// The exchange of requests: `celery.pidbox`.
pub fn control_exchange(name: &str) -> String {
    format!("{name}.pidbox")
}

/// The exchange of replies: `reply.celery.pidbox`.
pub fn reply_exchange(name: &str) -> String {
    format!("reply.{name}.pidbox")
}

/// A command.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub method: String,
    /// Its arguments.
    #[serde(default, deserialize_with = "null_is_default")]
    pub arguments: Map<String, Value>,
    /// The nodes it is for; with none named, the pattern decides.
    #[serde(default)]
    pub destination: Option<Vec<String>>,
    /// A pattern of node names it is for; with none, all nodes.
    #[serde(default)]
    pub pattern: Option<String>,
    /// What the pattern is: `glob` or `pcre`.
    #[serde(default)]
    pub matcher: Option<String>,
    /// Names the question in its replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Where replies go; no reply is wanted when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
}

/// The mailbox of who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    /// Its exchange.
    pub exchange: String,
    /// Its key there.
    pub routing_key: String,
}

fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Request {
    /// Understands a request, and the clock it came with.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when it is none.
    pub fn decode(told: &Envelope) -> Result<(Self, u64)> {
        Ok((body(told)?, clock_header(&headers(told))))
    }

    /// The request on its way. `expires` is a moment in seconds since 1970, after which nobody waits
    /// for a reply any more.
    pub fn notice(&self, exchange: String, clock: u64, expires: f64) -> Notice {
        let headers = json!({ "clock": clock, "expires": expires });
        Notice {
            to: Address::Everybody {
                exchange,
                routing_key: String::new(),
            },
            envelope: envelope(headers, self, PERSISTENT),
        }
    }

    /// Whether it is for the node of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when its pattern is none.
    pub fn is_for(&self, node: &str) -> Result<bool> {
        if let Some(nodes) = self.destination.as_ref().filter(|nodes| !nodes.is_empty()) {
            return Ok(nodes.iter().any(|name| name == node));
        }
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (Some(pattern), Some(matcher)) = (given(&self.pattern), given(&self.matcher)) else {
            return Ok(true);
        };
        let expression = match matcher.as_str() {
            "glob" => format!("{}$", glob_to_regex(&pattern)),
            "pcre" => pattern,
            other => {
                let message = format!("there is no matcher {other:?}");
                return Err(Error::new(ErrorKind::Codec, message));
            }
        };
        // Both begin at the start of the name, as Python's `re.match` does.
        let regex = Regex::new(&format!("^(?:{expression})")).map_err(|source| {
            Error::new(ErrorKind::Codec, "the pattern is not understood").caused_by(source)
        })?;
        Ok(regex.is_match(node))
    }
}

/// Python's `fnmatch.translate`: `*`, `?`, `[seq]`, `[!seq]`.
fn glob_to_regex(glob: &str) -> String {
    let mut regex = String::from("(?s)");
    let mut rest = glob.chars();
    while let Some(next) = rest.next() {
        match next {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match class(rest.as_str()) {
                Some((class, after)) => {
                    regex.push_str(&class);
                    rest = after.chars();
                }
                None => regex.push_str(r"\["),
            },
            other => regex.push_str(&regex_lite::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}

/// The class behind a `[`, and what follows its `]`; `None` when there is no `]`.
fn class(text: &str) -> Option<(String, &str)> {
    let (negated, members) = match text.strip_prefix('!') {
        Some(members) => ("^", members),
        None => ("", text),
    };
    // A `]` that comes first is a member.
    let first = members.chars().next()?.len_utf8();
    let end = first + members[first..].find(']')?;
    let mut class = format!("[{negated}");
    for member in members[..end].chars() {
        if matches!(member, '\\' | '[' | ']' | '^' | '&' | '~') {
            class.push('\\');
        }
        class.push(member);
    }
    class.push(']');
    Some((class, &members[end + 1..]))
}

/// What a node replies.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The node.
    pub node: String,
    /// What its command answered; an object with `error` when that failed.
    pub value: Value,
    /// Names the question.
    pub ticket: Option<String>,
    /// The node's clock.
    pub clock: u64,
}

impl Reply {
    /// Understands a message to a reply mailbox.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when it is no reply.
    pub fn decode(told: &Envelope) -> Result<Self> {
        let headers = headers(told);
        let answers: Map<String, Value> = body(told)?;
        let Some((node, value)) = answers.into_iter().next() else {
            return Err(Error::new(ErrorKind::Codec, "a reply names no node"));
        };
        Ok(Self {
            node,
            value,
            ticket: headers
                .get("ticket")
                .and_then(Value::as_str)
                .map(str::to_owned),
            clock: clock_header(&headers),
        })
    }

    /// The reply on its way.
    pub fn notice(&self, to: ReplyTo) -> Notice {
        let headers = json!({ "ticket": self.ticket, "clock": self.clock });
        let answer = Map::from_iter([(self.node.clone(), self.value.clone())]);
        Notice {
            to: Address::Mailbox {
                exchange: to.exchange,
                routing_key: to.routing_key,
            },
            envelope: envelope(headers, &answer, TRANSIENT),
        }
    }
}

impl From<ReplyTo> for Topic {
    fn from(mailbox: ReplyTo) -> Self {
        Self::Mailbox {
            exchange: mailbox.exchange,
            routing_key: mailbox.routing_key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &str, body: &str) -> Envelope {
        Envelope {
            headers: headers.as_bytes().to_vec(),
            body: body.as_bytes().to_vec(),
            ..Envelope::default()
        }
    }

    #[test]
    fn a_request_of_celery_is_understood() {
        let ping = r#"{"method": "ping", "arguments": {}, "destination": ["w1@h"], "pattern": null,
            "matcher": null, "ticket": "766a593b",
            "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": "ff9c1c65"}}"#;
        let headers = r#"{"clock": 3, "expires": 1795185068.04}"#;
        let (request, clock) = Request::decode(&told(headers, ping)).expect("a request");
        assert_eq!((request.method.as_str(), clock), ("ping", 3));
        assert_eq!(request.destination, Some(vec!["w1@h".to_owned()]));
        let reply_to = request.reply_to.clone().expect("a mailbox");
        assert_eq!(reply_to.routing_key, "ff9c1c65");

        let notice = request.notice(control_exchange("celery"), 4, 0.5);
        assert_eq!(
            notice.to,
            Address::Everybody {
                exchange: "celery.pidbox".to_owned(),
                routing_key: String::new()
            }
        );
        assert_eq!(notice.envelope.headers, br#"{"clock":4,"expires":0.5}"#);
        let body: Value = serde_json::from_slice(&notice.envelope.body).expect("JSON");
        let sent: Value = serde_json::from_str(ping).expect("JSON");
        assert_eq!(body, sent);
        assert_eq!(
            Request::decode(&notice.envelope).expect("a request"),
            (request, 4)
        );
    }

    #[test]
    fn little_is_needed_and_the_rest_is_refused() {
        let least = told("", r#"{"method": "heartbeat", "arguments": null}"#);
        let (request, clock) = Request::decode(&least).expect("a request");
        assert_eq!(clock, 0);
        assert!(request.is_for("anybody").expect("no pattern"));
        for bad in ["", "[]", "{}", "7", r#"{"method": 7}"#] {
            assert!(Request::decode(&told("{}", bad)).is_err(), "{bad}");
        }
        let mut pickled = told("{}", r#"{"method": "ping"}"#);
        pickled.properties.content_type = "application/x-python-serialize".to_owned();
        assert!(Request::decode(&pickled).is_err());
    }

    #[test]
    fn a_request_is_for_those_it_names() {
        #[track_caller]
        fn check(destination: &[&str], pattern: &str, matcher: &str, expected: Option<bool>) {
            let request = Request {
                destination: Some(destination.iter().map(|&name| name.into()).collect()),
                pattern: Some(pattern.to_owned()),
                matcher: Some(matcher.to_owned()),
                ..Request::default()
            };
            assert_eq!(request.is_for("w1@h.example").ok(), expected);
        }
        check(&[], "", "", Some(true));
        check(&["w1@h.example"], "", "", Some(true));
        check(&["w2@h"], "*", "glob", Some(false));
        check(&[], "w2", "", Some(true));
        check(&[], "w*@h.example", "glob", Some(true));
        check(&[], "w?@*", "glob", Some(true));
        check(&[], "w1", "glob", Some(false));
        check(&[], "w1@hxexample", "glob", Some(false));
        check(&[], "w[0-9]@*", "glob", Some(true));
        check(&[], "w[!0-9]@*", "glob", Some(false));
        check(&[], "w[]1]@*", "glob", Some(true));
        check(&[], "w[1@*", "glob", Some(false));
        check(&[], "w[^1]@*", "glob", Some(true));
        check(&[], "w\\d@", "pcre", Some(true));
        check(&[], "1@h", "pcre", Some(false));
        check(&[], "w1$|x", "pcre", Some(false));
        check(&[], "(", "pcre", None);
        check(&[], "w1", "telepathy", None);
    }

    #[test]
    fn replies_go_there_and_back() {
        let reply = Reply {
            node: "w1@h".to_owned(),
            value: json!({ "ok": "pong" }),
            ticket: Some("766a593b".to_owned()),
            clock: 9,
        };
        let notice = reply.notice(ReplyTo {
            exchange: reply_exchange("celery"),
            routing_key: "ff9c1c65".to_owned(),
        });
        assert_eq!(notice.envelope.body, br#"{"w1@h":{"ok":"pong"}}"#);
        assert_eq!(
            serde_json::from_slice::<Value>(&notice.envelope.headers).expect("JSON"),
            json!({ "clock": 9, "ticket": "766a593b" })
        );
        assert_eq!(Reply::decode(&notice.envelope).expect("a reply"), reply);
        assert!(Reply::decode(&told("{}", "{}")).is_err());
    }
}
