//! The steps of the demonstration, in order.

use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::check::{Contents, contents};
use super::client::Client;
use crate::cli::problem::Problem;
use crate::export::Format;
use crate::jobs::Inventory;
use crate::locale::{format_count, format_money};
use crate::sample::{self, BadLine};
use crate::tasks::update_dashboard_metrics_cache;

/// Time between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Time in which any one job must end: the PDF of a million rows takes some ten minutes.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

pub(super) struct Scenario {
    client: Client,
    inventory: Inventory,
    folder: PathBuf,
    rows: u64,
    seed: u64,
}

impl Scenario {
    pub(super) fn new(
        address: SocketAddr,
        inventory: Inventory,
        folder: PathBuf,
        rows: u64,
        seed: u64,
    ) -> Self {
        Self {
            client: Client::new(address),
            inventory,
            folder,
            rows,
            seed,
        }
    }

    /// Plays all steps; needs a thread that may block, inside a runtime.
    pub(super) fn play(&self) -> Result<(), Problem> {
        println!(
            "API em {}, trabalhador no mesmo processo",
            self.client.url("")
        );
        println!("arquivos em {}\n", self.folder.display());

        let bad = self.write_catalogue()?;
        let import = self.import()?;
        let imported = self.check_import(&import, &bad)?;
        let exports = self.export_all(imported)?;
        self.refused_files()?;
        self.dashboard(imported)?;
        self.list_tasks()?;
        self.list_rejected(&import, &bad)?;
        self.clean_up(1 + exports)?;
        println!("\ntudo conferido");
        Ok(())
    }

    fn catalogue_path(&self) -> PathBuf {
        self.folder.join("catalogo.csv")
    }

    fn write_catalogue(&self) -> Result<Vec<BadLine>, Problem> {
        let unwritable = || Problem::failed("o catálogo não pode ser escrito");
        let file = File::create(self.catalogue_path()).map_err(unwritable())?;
        let bad = sample::write_catalogue(BufWriter::new(file), self.rows, self.seed)
            .map_err(unwritable())?;
        let size = self
            .catalogue_path()
            .metadata()
            .map_err(unwritable())?
            .len();
        println!(
            "catálogo: {} linhas, {} com problema, cada uma de um jeito; {} KB",
            format_count(self.rows),
            bad.len(),
            format_count(size / 1000),
        );
        if (bad.len() as u64) < sample::BAD_KINDS {
            println!(
                "  (num catálogo de menos de {} linhas, no máximo uma em quatro tem problema)",
                4 * sample::BAD_KINDS
            );
        }
        Ok(bad)
    }

    fn import(&self) -> Result<Value, Problem> {
        let queued = self
            .client
            .upload("/import/", &self.catalogue_path(), 202)?;
        println!("POST /import/ → 202 {queued}");
        self.follow(&queued)
    }

    /// Compares what was imported with what the catalogue holds; returns how many lines were
    /// imported.
    fn check_import(&self, import: &Value, bad: &[BadLine]) -> Result<u64, Problem> {
        let expected = self.rows - bad.len() as u64;
        expect("linhas importadas", &import["record_count"], expected)?;
        expect(
            "linhas rejeitadas",
            &import["progress"]["rejected"],
            bad.len() as u64,
        )?;
        Ok(expected)
    }

    fn export_all(&self, imported: u64) -> Result<u64, Problem> {
        for format in Format::ALL {
            let body = json!({ "model": "product", "format": format.name() });
            let queued = self.client.post("/export/", &body, 202)?;
            println!("POST /export/ {body} → 202 {queued}");
            let job = self.follow(&queued)?;
            expect("linhas exportadas", &job["record_count"], imported)?;
            let path = self
                .folder
                .join(job["file_name"].as_str().unwrap_or("exportado"));
            self.client
                .download(job["file"].as_str().unwrap_or_default(), &path)?;
            let unreadable = format!("{} não pode ser lido", path.display());
            let size = path
                .metadata()
                .map_err(Problem::failed(&*unreadable))?
                .len();
            let Contents { rows, pages } = contents(&path, format)
                .map_err(|error| Problem::new(format!("{unreadable}: {error}")))?;
            if let Some(rows) = rows {
                expect("linhas no arquivo", &rows.into(), imported)?;
            }
            let pages = pages.map(|pages| format!(", {} páginas", format_count(pages.into())));
            println!(
                "  {}: {} KB{}",
                path.file_name().unwrap_or_default().to_string_lossy(),
                format_count(size.div_ceil(1000)),
                pages.unwrap_or_default(),
            );
        }
        Ok(Format::ALL.len() as u64)
    }

    /// Files that no line of can be trusted are told at once, and start nothing.
    fn refused_files(&self) -> Result<(), Problem> {
        println!("\narquivos recusados na entrada:");
        let wide = (0..200)
            .map(|n| format!("c{n}"))
            .collect::<Vec<_>>()
            .join(";");
        for (name, text) in [
            ("vazio", b"".as_slice()),
            (
                "latin-1",
                b"sku;nome;categoria;custo;preco\nA;Pe\xe7a;B;1;2\n",
            ),
            ("cabecalho-errado", b"codigo;nome\nA;B\n"),
            ("200-colunas", wide.as_bytes()),
            (
                "aspas-abertas",
                b"sku;nome;categoria;custo;preco\nA;\"B;C;1;2\n",
            ),
        ] {
            let path = self.folder.join(format!("{name}.csv"));
            std::fs::write(&path, text)
                .map_err(Problem::failed("um arquivo de teste não pode ser escrito"))?;
            let refused = self.client.upload("/import/", &path, 422)?;
            println!(
                "  {name:<17} 422 {}",
                refused["error"]["message"].as_str().unwrap_or_default()
            );
        }
        Ok(())
    }

    fn dashboard(&self, imported: u64) -> Result<(), Problem> {
        let failed = || Problem::failed("a tarefa das métricas não terminou bem");
        let runtime = tokio::runtime::Handle::current();
        let call = update_dashboard_metrics_cache::s();
        let handle = runtime
            .block_on(self.inventory.app.send(call))
            .map_err(Problem::failed("a tarefa das métricas não foi aceita"))?;
        handle
            .get_blocking(Duration::from_secs(60))
            .map_err(failed())?;
        let metrics = self.client.get("/dashboard/metrics")?;
        expect("produtos no painel", &metrics["product"]["count"], imported)?;
        let value = metrics["product"]["stock_value"]
            .as_f64()
            .unwrap_or_default();
        println!(
            "\npainel: {} produtos, estoque de R$ {}, {} categorias, {} marcas",
            format_count(imported),
            format_money((value * 100.0).round() as i64),
            metrics["products_by_category"]
                .as_array()
                .map_or(0, Vec::len),
            metrics["products_by_brand"].as_array().map_or(0, Vec::len),
        );
        Ok(())
    }

    fn list_tasks(&self) -> Result<(), Problem> {
        let jobs = self.client.get("/notifications/")?;
        println!(
            "\n{:<7} {:<5} {:<36} {:<8} {:<10} {:>9} {:>9}",
            "tipo", "form.", "tarefa", "estado", "situação", "registros", "duração"
        );
        for job in jobs["items"].as_array().into_iter().flatten().rev() {
            let text = |field: &str| job[field].as_str().unwrap_or("–").to_owned();
            let task = self.client.get(&format!("/tasks/{}", text("task_id")))?;
            println!(
                "{:<7} {:<5} {:<36} {:<8} {:<10} {:>9} {:>9}",
                text("kind"),
                text("format"),
                text("task_id"),
                task["status"].as_str().unwrap_or("–"),
                text("status"),
                format_count(job["record_count"].as_u64().unwrap_or_default()),
                duration(job).map_or_else(
                    || "–".to_owned(),
                    |took| format!("{:.2} s", took.as_secs_f64())
                ),
            );
        }
        Ok(())
    }

    /// Lists what was rejected, and compares it with what the catalogue was spoilt with.
    fn list_rejected(&self, import: &Value, bad: &[BadLine]) -> Result<(), Problem> {
        let rejected = self
            .client
            .get(&format!("/notifications/{}/rejected", import["id"]))?;
        let rejected: Vec<&Value> = rejected["items"].as_array().into_iter().flatten().collect();
        println!("\n{} linhas rejeitadas:", rejected.len());
        expect("rejeições", &rejected.len().into(), bad.len() as u64)?;
        for (rejection, expected) in rejected.iter().zip(bad) {
            let text = |field: &str| rejection[field].as_str().unwrap_or_default();
            let value: String = text("value")
                .chars()
                .filter(|c| !c.is_control())
                .take(28)
                .collect();
            println!(
                "  linha {:>6}  {:<10} {:<28}  {}",
                rejection["line"].as_u64().unwrap_or_default(),
                text("field"),
                value,
                text("reason"),
            );
            expect("linha rejeitada", &rejection["line"], expected.line)?;
            if text("field") != expected.field || !text("reason").contains(expected.reason) {
                return Err(Problem::new(format!(
                    "na linha {} o motivo devia falar de «{}» em {}",
                    expected.line, expected.reason, expected.field
                )));
            }
        }
        Ok(())
    }

    fn clean_up(&self, jobs: u64) -> Result<(), Problem> {
        let read = self
            .client
            .post("/notifications/read-all", &json!({}), 200)?;
        expect("notificações lidas", &read["count"], jobs)?;
        let deleted = self.client.delete("/notifications/completed")?;
        expect("notificações apagadas", &deleted["count"], jobs)?;
        println!("\n{jobs} notificações lidas e apagadas, com seus arquivos");
        Ok(())
    }

    /// Follows a job until it has ended, and shows how far it has come; it must complete.
    fn follow(&self, queued: &Value) -> Result<Value, Problem> {
        let id = &queued["notification_id"];
        let clock = self.inventory.app.clock();
        let deadline = clock.now() + PATIENCE;
        let mut shown = None;
        loop {
            let job = self.notification(id)?;
            let progress = &job["progress"];
            let (done, total) = (progress["done"].as_u64(), progress["total"].as_u64());
            if let (Some(done), Some(total)) = (done, total)
                && total > 0
                && shown != Some(done)
            {
                shown = Some(done);
                println!(
                    "  {:>9} de {} ({} %)",
                    format_count(done),
                    format_count(total),
                    done * 100 / total
                );
            }
            match job["status"].as_str() {
                Some("completed") => return Ok(job),
                Some("failed") => {
                    let message = job["error_message"].as_str().unwrap_or_default();
                    return Err(Problem::new(format!("a tarefa falhou: {message}")));
                }
                _ if clock.now() > deadline => {
                    return Err(Problem::new(format!(
                        "a notificação {id} não terminou a tempo"
                    )));
                }
                _ => thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn notification(&self, id: &Value) -> Result<Value, Problem> {
        // The newest are the first, and there are only a few.
        let jobs = self.client.get("/notifications/")?;
        jobs["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|job| job["id"] == *id)
            .cloned()
            .ok_or_else(|| Problem::new(format!("a notificação {id} não existe")))
    }
}

/// How long a job took.
fn duration(job: &Value) -> Option<SignedDuration> {
    let moment = |field: &str| job[field].as_str()?.parse::<Timestamp>().ok();
    Some(moment("finished_at")?.duration_since(moment("started_at")?))
}

fn expect(what: &str, found: &Value, expected: u64) -> Result<(), Problem> {
    if found.as_u64() == Some(expected) {
        Ok(())
    } else {
        Err(Problem::new(format!(
            "{what}: {found} em vez de {expected}"
        )))
    }
}
