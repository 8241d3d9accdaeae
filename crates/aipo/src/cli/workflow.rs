//! `workflow`: how far workflows are.

use std::fmt::Write as _;

use aipo_core::TaskState;
use clap::Subcommand;

use super::open;
use super::output;
use super::problem::{Exit, Problem};
use crate::{AppBuilder, Workflow, WorkflowStep, WorkflowTask};

/// Flags of `workflow`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the steps of a workflow with their states
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The id of its result, or of its first task or group
    #[arg(value_name = "ID")]
    id: String,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
    /// Write a Mermaid flowchart
    #[arg(long, conflicts_with = "json")]
    mermaid: bool,
}

impl Args {
    pub(super) async fn run(self, app: AppBuilder) -> Result<Exit, Problem> {
        let Command::Show(show) = self.command;
        let app = open(app).await?;
        let Some(workflow) = app.workflow(show.id.as_str()).await? else {
            let text = format!("nothing is known of workflow {}", show.id);
            return Err(Problem::new(Exit::Negative, text).hint(
                "it was sent too long ago, or by Python and has not ended yet; of the latter, the first task that has ended shows what follows it",
            ));
        };
        if show.json {
            output::print_json(&workflow)?;
        } else if show.mermaid {
            output::print(&mermaid(&workflow))?;
        } else {
            output::print(&tree(&workflow))?;
        }
        Ok(Exit::Done)
    }
}

/// A line for each task, members of groups further in.
fn tree(workflow: &Workflow) -> String {
    let mut text = format!("workflow {}\n", workflow.root);
    lines(&workflow.steps, 0, &mut text);
    text
}

fn lines(steps: &[WorkflowStep], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for step in steps {
        // Writing into a text does not fail.
        let _ = match step {
            WorkflowStep::Task(task) => writeln!(text, "{indent}{}", line(task)),
            WorkflowStep::Group { id, members } => {
                let _ = writeln!(text, "{indent}group of {}  {id}", members.len());
                for (index, member) in members.iter().enumerate() {
                    let _ = writeln!(text, "{indent}  {index}:");
                    lines(member, depth + 2, text);
                }
                Ok(())
            }
        };
    }
}

fn line(task: &WorkflowTask) -> String {
    let mut line = format!("{:<8} {}  {}", state(task), name(task), task.id);
    if let Some(seconds) = task.seconds {
        let _ = write!(line, "  {seconds:.3}s");
    }
    if let Some(error) = &task.error {
        let _ = write!(line, "  {error}");
    }
    line
}

fn state(task: &WorkflowTask) -> &str {
    task.state.as_ref().map_or("-", TaskState::as_str)
}

fn name(task: &WorkflowTask) -> &str {
    task.name.as_deref().unwrap_or("?")
}

/// A flowchart in Mermaid's language.
fn mermaid(workflow: &Workflow) -> String {
    let mut chart = Chart {
        text: "flowchart TD\n".to_owned(),
        count: 0,
    };
    chart.steps(&workflow.steps, Vec::new());
    chart.text
}

struct Chart {
    text: String,
    count: usize,
}

impl Chart {
    /// Draws steps after the nodes `before`; gives those that the next step comes after.
    fn steps(&mut self, steps: &[WorkflowStep], before: Vec<usize>) -> Vec<usize> {
        let mut before = before;
        for step in steps {
            before = match step {
                WorkflowStep::Task(task) => vec![self.task(task, &before)],
                WorkflowStep::Group { members, .. } if members.is_empty() => before,
                WorkflowStep::Group { members, .. } => members
                    .iter()
                    .flat_map(|member| self.steps(member, before.clone()))
                    .collect(),
            };
        }
        before
    }

    fn task(&mut self, task: &WorkflowTask, before: &[usize]) -> usize {
        let number = self.count;
        self.count += 1;
        // Quotes would end the label.
        let name = name(task).replace('"', "#quot;");
        let _ = writeln!(self.text, "  t{number}[\"{name}<br/>{}\"]", state(task));
        for other in before {
            let _ = writeln!(self.text, "  t{other} --> t{number}");
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, state: Option<TaskState>) -> WorkflowStep {
        let failed = state == Some(TaskState::Failure);
        WorkflowStep::Task(WorkflowTask {
            id: format!("id-{name}").as_str().into(),
            name: Some(name.to_owned()),
            seconds: state.as_ref().map(|_| 1.5),
            state,
            error: failed.then(|| "ValueError: no".to_owned()),
            ended: None,
        })
    }

    fn workflow() -> Workflow {
        let members = vec![
            vec![
                task("b", Some(TaskState::Success)),
                task("c", Some(TaskState::Failure)),
            ],
            vec![task("d", Some(TaskState::Started))],
        ];
        Workflow {
            root: "id-a".into(),
            steps: vec![
                task("a", Some(TaskState::Success)),
                WorkflowStep::Group {
                    id: "g".to_owned(),
                    members,
                },
                task("e", None),
            ],
        }
    }

    #[test]
    fn a_workflow_is_shown_as_a_tree() {
        assert_eq!(
            tree(&workflow()),
            "workflow id-a\n\
             SUCCESS  a  id-a  1.500s\n\
             group of 2  g\n\
             \x20 0:\n\
             \x20   SUCCESS  b  id-b  1.500s\n\
             \x20   FAILURE  c  id-c  1.500s  ValueError: no\n\
             \x20 1:\n\
             \x20   STARTED  d  id-d  1.500s\n\
             -        e  id-e\n"
        );
    }

    #[test]
    fn a_workflow_is_drawn_by_mermaid() {
        assert_eq!(
            mermaid(&workflow()),
            "flowchart TD\n\
             \x20 t0[\"a<br/>SUCCESS\"]\n\
             \x20 t1[\"b<br/>SUCCESS\"]\n\
             \x20 t0 --> t1\n\
             \x20 t2[\"c<br/>FAILURE\"]\n\
             \x20 t1 --> t2\n\
             \x20 t3[\"d<br/>STARTED\"]\n\
             \x20 t0 --> t3\n\
             \x20 t4[\"e<br/>-\"]\n\
             \x20 t2 --> t4\n\
             \x20 t3 --> t4\n"
        );
    }
}
