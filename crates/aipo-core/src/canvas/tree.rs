//! The tree of results that a workflow will have, as `children` and `parent` of results tell it.

use serde_json::{Value, json};

/// A result and the one before it. Celery's result tuple: `[[id, parent], null]` for a task,
/// `[[id, parent], [members]]` for a group.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultNode {
    /// The id of the task or the group.
    pub id: String,
    /// What came before it.
    pub parent: Option<Box<ResultNode>>,
    /// The members, of a group.
    pub members: Option<Vec<ResultNode>>,
}

impl ResultNode {
    /// The result of a task.
    pub fn task(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            parent: None,
            members: None,
        }
    }

    /// The results of a group.
    pub fn group(id: impl Into<String>, members: Vec<ResultNode>) -> Self {
        Self {
            members: Some(members),
            ..Self::task(id)
        }
    }

    /// Puts `before` before the first of this and all that comes before it.
    pub(super) fn after(&mut self, before: ResultNode) {
        let mut first = self;
        while first.parent.is_some() {
            first = first.parent.as_mut().expect("it was looked at");
        }
        first.parent = Some(Box::new(before));
    }

    /// Whether it is the result of a group.
    pub fn is_group(&self) -> bool {
        self.members.is_some()
    }

    /// The tasks whose values it has: itself, or the members of a group, those of groups in it in their place.
    pub fn leaves<'a>(&'a self, leaves: &mut Vec<&'a ResultNode>) {
        match &self.members {
            Some(members) => members.iter().for_each(|member| member.leaves(leaves)),
            None => leaves.push(self),
        }
    }

    /// What came before all of it.
    pub fn first(&self) -> &ResultNode {
        let mut first = self;
        while let Some(parent) = &first.parent {
            first = parent;
        }
        first
    }

    /// The same, of its own.
    pub fn into_first(self) -> Self {
        let mut first = self;
        while let Some(parent) = first.parent.take() {
            first = *parent;
        }
        first
    }

    /// As Celery writes it.
    pub fn to_value(&self) -> Value {
        let parent = self.parent.as_ref().map(|parent| parent.to_value());
        let members = self
            .members
            .as_ref()
            .map(|members| members.iter().map(Self::to_value).collect::<Vec<_>>());
        json!([[self.id, parent], members])
    }

    /// Reads what [`to_value`](Self::to_value) writes; Celery also writes a task without a parent as its id alone.
    pub fn from_value(value: &Value) -> Option<Self> {
        if let Some(id) = value.as_str() {
            return Some(Self::task(id));
        }
        let [this, members] = value.as_array()?.as_slice() else {
            return None;
        };
        let (id, parent) = match this {
            Value::String(id) => (id.clone(), None),
            this => match this.as_array()?.as_slice() {
                [id, parent] => (id.as_str()?.to_owned(), Some(parent)),
                _ => return None,
            },
        };
        let parent = match parent {
            None | Some(Value::Null) => None,
            Some(parent) => Some(Box::new(Self::from_value(parent)?)),
        };
        let members = match members {
            Value::Null => None,
            members => Some(
                members
                    .as_array()?
                    .iter()
                    .map(Self::from_value)
                    .collect::<Option<_>>()?,
            ),
        };
        Some(Self {
            id,
            parent,
            members,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_written_as_celery_writes_them() {
        let mut last = ResultNode::task("4");
        let members = vec![ResultNode::task("3a"), ResultNode::task("3b")];
        let mut group = ResultNode::group("g", members);
        group.after(ResultNode::task("1"));
        last.after(group);

        let written = json!([
            [
                "4",
                [
                    ["g", [["1", null], null]],
                    [[["3a", null], null], [["3b", null], null]]
                ]
            ],
            null
        ]);
        assert_eq!(last.to_value(), written);
        assert_eq!(ResultNode::from_value(&written), Some(last));
        assert_eq!(ResultNode::from_value(&json!(5)), None);
    }
}
