//! How long it takes to send a large workflow, and to run it.

use aipo_core::TaskId;
use aipo_core::canvas::{Canvas, ResultNode};
use serde_json::json;
use tokio::time::Instant;

use super::super::problem::{Exit, Problem};
use super::super::values;
use super::Common;
use super::lab::Lab;
use super::report::{Part, Report};

/// Flags of `bench workflow`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    /// How many tasks are side by side in each layer; the next one begins when all have ended
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = values::at_least_one)]
    width: u64,
}

impl Args {
    /// Groups one after the other, sent as one workflow before the worker starts.
    pub(super) async fn measure(&self, lab: &Lab) -> Result<Report, Problem> {
        let mut report = lab.report("workflow");
        report.fact("width", json!(self.width));
        let sender = lab.sender();
        let task = |index| -> aipo_core::Result<Canvas> {
            let mut task = sender.call(index).into_canvas()?;
            task.immutable = true;
            Ok(task)
        };
        let layer = |first| {
            let members = (first..lab.n.min(first + self.width)).map(task);
            members.collect::<Result<_, _>>().map(Canvas::group)
        };
        let layers = (0..lab.n).step_by(self.width as usize).map(layer);
        let workflow = Canvas::chain(layers.collect::<Result<_, _>>()?);

        let start = Instant::now();
        let node = lab.app.send_canvas(workflow).await?;
        let sent = Instant::now();
        report.add(Part::new("send").rate(lab.n, sent - start));
        let node = node.ok_or_else(|| Problem::new(Exit::Failed, "the workflow runs nothing"))?;

        let tally = lab.tally.clone();
        let progress = lab.progress("running", lab.n, move || tally.ran());
        lab.start_worker().await?;
        lab.all_ran().await?;
        lab.stop_worker().await?;
        drop(progress);
        let first = lab.tally.first().unwrap_or(sent);
        report.add(Part::new("run").rate(lab.n, lab.tally.last() - first));

        report.check_runs(lab.tally.counted());
        let (ready, parked) = lab.waiting().await?;
        report.check("left_in_queue", ready + parked, 0);
        report.check("results", lab.take_results(&ids(&node)).await?, lab.n);
        Ok(report)
    }
}

/// The ids of all tasks, the first layer first.
fn ids(last: &ResultNode) -> Vec<TaskId> {
    let nodes = std::iter::successors(Some(last), |node| node.parent.as_deref());
    let mut layers: Vec<&ResultNode> = nodes.collect();
    layers.reverse();
    let mut leaves = Vec::new();
    layers.iter().for_each(|layer| layer.leaves(&mut leaves));
    leaves.iter().map(|leaf| leaf.id.as_str().into()).collect()
}
